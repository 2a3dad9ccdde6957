"""Model files that mean harm: each would leave a canary file, or read one, if it were believed."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import skops.io
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression


class Payload:
    """What a pickle of this leaves when it is loaded: the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.canary}",)


def evil_pickle(canary: Path) -> bytes:
    return pickle.dumps(Payload(canary))


def small_model() -> LogisticRegression:
    return LogisticRegression().fit(np.array([[0.0], [1.0], [2.0]]), ["a", "b", "b"])


def rezipped(data: bytes, change: Any) -> bytes:
    """A zip with its members changed: change(name, bytes) -> (name, bytes) or None."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(out, "w") as after:
        for member in before.namelist():
            changed = change(member, before.read(member))
            if changed is not None:
                after.writestr(*changed)
    return out.getvalue()


def with_pickle_inside(canary: Path) -> bytes:
    """A skops file whose array is an object array: numpy reads one by unpickling it."""
    array = io.BytesIO()
    np.save(array, np.array([Payload(canary)], dtype=object), allow_pickle=True)

    def change(name: str, data: bytes) -> tuple[str, bytes]:
        return name, array.getvalue() if name.endswith(".npy") else data

    return rezipped(skops.io.dumps(small_model()), change)


def with_call_inside(canary: Path) -> bytes:
    """A skops file whose schema asks for os.system to be built and called."""

    def change(name: str, data: bytes) -> tuple[str, bytes]:
        if name != "schema.json":
            return name, data
        schema = json.loads(data)
        schema |= {
            "__class__": "system",
            "__module__": "posix",
            "__loader__": "FunctionNode",
            "content": {"module_path": "posix", "function": "system"},
        }
        return name, json.dumps(schema).encode()

    return rezipped(skops.io.dumps(small_model()), change)


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as folded:
        folded.writestr("schema.json", b"{}")
        with folded.open("1.npy", "w", force_zip64=True) as member:
            for _ in range(256):
                member.write(bytes(1 << 20))
    return out.getvalue()


def linear_onnx(weights: np.ndarray[Any, Any], *, softmax: bool = True) -> Any:
    """x -> softmax(x W), as ONNX; x of shape (n, rows of W)."""
    rows, classes = weights.shape
    nodes = [helper.make_node("MatMul", ["x", "w"], ["s" if softmax else "y"])]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["s"], ["y"], axis=1))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", rows])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", classes])],
        [numpy_helper.from_array(weights.astype(np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def made_external(tensor: Any, location: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location


def onnx_reading(location: str, where: str = "initializer") -> bytes:
    """An ONNX model with the values of a tensor in another file, in one of the places a tensor can be."""
    model = linear_onnx(np.eye(2))
    graph = model.graph
    if where == "initializer":
        made_external(graph.initializer[0], location)
    elif where == "constant":
        constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.eye(2), "c"))
        graph.node.insert(0, constant)
        made_external(graph.node[0].attribute[0].t, location)
    elif where == "subgraph":
        inner = helper.make_graph([], "inner", [], [], [numpy_helper.from_array(np.eye(2), "i")])
        graph.node.insert(0, helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner))
        made_external(graph.node[0].attribute[0].g.initializer[0], location)
    elif where == "sparse":
        values = numpy_helper.from_array(np.ones(1, np.float32), "v")
        indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
        graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2, 2]))
        made_external(graph.sparse_initializer[0].values, location)
    elif where == "function":
        constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.eye(2), "c"))
        model.functions.append(
            helper.make_function("own", "f", [], ["c"], [constant], [helper.make_opsetid("", 17)])
        )
        made_external(model.functions[0].node[0].attribute[0].t, location)
    elif where == "training":
        training = onnx.TrainingInfoProto()
        training.initialization.CopyFrom(graph)
        made_external(training.initialization.initializer[0], location)
        model.training_info.append(training)
    data: bytes = model.SerializeToString()
    return data
