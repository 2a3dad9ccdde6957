"""ONNX files, run by ONNX Runtime on the processor.

The file is given as bytes, in ONNX's own format (never ONNX Runtime's, which a file could ask for by its
first bytes), after `onnx_contents` has found no data outside of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.extras import needed
from hiveguard_pipeline.learning.models.loaded import Loaded
from hiveguard_pipeline.learning.models.onnx_contents import refuse_external_data

_FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
_ROWS_AT_ONCE = 256
_QUIET = 4


def load_onnx(data: bytes, name: str, classes: Sequence[str] | None, *, logits: bool) -> Loaded:
    """A model with one input; raises BadInputError for a file of no use.

    classes: of the columns of its output. Of several outputs the probabilities are the one of floats with a
    column a class, or scikit-learn's list of a mapping a row. logits: scores, turned to probabilities.
    """
    if classes is None:
        raise BadInputError(f"{name} does not say its classes; name them with --classes, in its order")
    refuse_external_data(data, name)
    runtime: Any = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = _QUIET
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors share no base class
        raise BadInputError(f"{name} is no ONNX model that can be run: {_said(error)}") from None
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in (*_FLOATS, "tensor(string)"):
        shown = ", ".join(f"{each.name}: {each.type}" for each in inputs) or "none"
        raise BadInputError(f"{name} must have one input, of floats or texts; it has {shown}")
    names = tuple(classes)
    prepare = _texts(len(inputs[0].shape)) if inputs[0].type == "tensor(string)" else _floats(inputs[0].type)

    def predict(rows: Any) -> Any:
        count = rows.shape[0] if hasattr(rows, "shape") else len(rows)
        parts = [
            _probabilities(
                session.run(None, {inputs[0].name: prepare(rows[start : start + _ROWS_AT_ONCE])}), names, name
            )
            for start in range(0, count, _ROWS_AT_ONCE)
        ]
        found = np.concatenate(parts) if parts else np.empty((0, len(names)))
        return _softmax(found) if logits else found

    return Loaded(names, predict)


def _floats(kind: str) -> Callable[[Any], Any]:
    def prepare(rows: Any) -> Any:
        dense = rows.toarray() if hasattr(rows, "toarray") else rows
        return np.ascontiguousarray(dense, dtype=_FLOATS[kind])

    return prepare


def _texts(axes: int) -> Callable[[Any], Any]:
    """A text a row; scikit-learn's converters make a column of them."""

    def prepare(rows: Any) -> Any:
        texts = np.array(list(rows), dtype=object)
        return texts[:, None] if axes == 2 else texts

    return prepare


def _probabilities(outputs: list[Any], classes: tuple[str, ...], name: str) -> Any:
    for output in outputs:
        if (
            isinstance(output, np.ndarray)
            and output.dtype.kind == "f"
            and output.shape[1:] == (len(classes),)
        ):
            return output.astype(np.float64)
        if isinstance(output, list) and output and isinstance(output[0], dict):
            named = [{str(key): value for key, value in row.items()} for row in output]
            if set(named[0]) == set(classes):
                return np.array([[row[label] for label in classes] for row in named])
    shapes = ", ".join(str(getattr(output, "shape", type(output).__name__)) for output in outputs)
    raise BadInputError(
        f"{name} gives {shapes}: no output of floats with a column for each of {len(classes)} classes"
    )


def _softmax(scores: Any) -> Any:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True)) if len(scores) else scores
    return powers / powers.sum(axis=1, keepdims=True)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
