"""Model files: what is read gives the model that was written, and what means harm neither runs nor reads."""

import hashlib
import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.models import Checkpoint, load
from hiveguard_pipeline.learning.models.checkpoints import kind_of, read_file
from tests.learning import evil

ROWS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
LABELS = np.where(ROWS[:, 0] > 0, "yes", "no")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def refused(data: bytes, checkpoint: Checkpoint) -> str:
    with pytest.raises(BadInputError) as error:
        load(data, "model", checkpoint)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_skops_file_gives_the_model_that_was_written() -> None:
    model = LogisticRegression().fit(ROWS, LABELS)
    loaded = load(skops.io.dumps(model), "model.skops", Checkpoint("skops"))
    assert loaded.classes == ("no", "yes")
    np.testing.assert_array_equal(loaded.predict_proba(ROWS), model.predict_proba(ROWS))


def test_a_skops_pipeline_takes_texts_as_they_are() -> None:
    texts = ["good good", "bad bad", "good", "bad"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, ["p", "n", "p", "n"])
    loaded = load(skops.io.dumps(model), "model.skops", Checkpoint("skops"))
    assert loaded.predict_proba(["so good"]).argmax() == 1


def test_a_type_that_is_not_trusted_is_named_and_taken_only_when_it_is_trusted() -> None:
    data = skops.io.dumps(RandomForestClassifier(3, random_state=0).fit(ROWS, LABELS))
    assert "sklearn.tree._tree.Tree" in refused(data, Checkpoint("skops"))
    assert "sklearn.tree._tree.Tree" in refused(data, Checkpoint("skops", trusted=("builtins.dict",)))
    loaded = load(data, "model", Checkpoint("skops", trusted=("sklearn.tree._tree.Tree",)))
    assert loaded.predict_proba(ROWS).shape == (40, 2)


def test_the_evil_pickle_does_run_where_it_is_believed(canary: Path) -> None:
    """What the tests below would miss if the canary could not sing."""
    pickle.loads(evil.evil_pickle(canary))
    assert canary.exists()


@pytest.mark.parametrize("make", [evil.evil_pickle, evil.with_pickle_inside, evil.with_call_inside])
@pytest.mark.parametrize("kind", ["skops", "weak", "onnx", "pickle"])
def test_an_evil_file_does_not_run_whatever_it_is_taken_for(make: Any, kind: str, canary: Path) -> None:
    data = make(canary)
    refused(data, Checkpoint(kind, classes=("a", "b"), trusted=("builtins.list",), sha256="0" * 64))
    assert not canary.exists()


def test_a_pickle_is_read_only_by_its_own_hash() -> None:
    data = pickle.dumps(LogisticRegression().fit(ROWS, LABELS))
    digest = hashlib.sha256(data).hexdigest()
    assert "--trust-pickle" in refused(data, Checkpoint("pickle"))
    assert digest in refused(data, Checkpoint("pickle", sha256="0" * 64))
    assert load(data, "model.pkl", Checkpoint("pickle", sha256=digest)).classes == ("no", "yes")
    refused(data + b" ", Checkpoint("pickle", sha256=digest))


def test_a_zip_bomb_is_refused_before_it_unfolds() -> None:
    data = evil.bomb()
    assert len(data) < 1 << 20
    assert "would unfold to" in refused(data, Checkpoint("skops"))


@pytest.mark.parametrize("name", ["../../evil.npy", "/etc/evil.npy", "..\\evil.npy", "C:evil.npy"])
def test_a_member_that_would_leave_the_zip_is_refused(name: str) -> None:
    data = evil.rezipped(
        skops.io.dumps(evil.small_model()),
        lambda member, content: (member if member == "schema.json" else name + member, content),
    )
    assert "outside" in refused(data, Checkpoint("skops"))


def test_an_onnx_file_gives_the_probabilities_of_its_model() -> None:
    weights = np.array([[2.0, -1.0], [0.5, 1.0], [0.0, 0.3]])
    loaded = load(
        evil.linear_onnx(weights).SerializeToString(), "m.onnx", Checkpoint("onnx", classes=("a", "b"))
    )
    powers = np.exp(ROWS @ weights)
    np.testing.assert_allclose(
        loaded.predict_proba(ROWS), powers / powers.sum(axis=1, keepdims=True), atol=1e-5
    )
    assert loaded.classes == ("a", "b")


def test_onnx_scores_are_taken_for_probabilities_only_when_said_to_be_scores() -> None:
    data = evil.linear_onnx(np.eye(3) * 3, softmax=False).SerializeToString()
    scores = Checkpoint("onnx", classes=("a", "b", "c"))
    with pytest.raises(BadInputError, match="--logits"):
        load(data, "m.onnx", scores).predict_proba(ROWS)
    loaded = load(data, "m.onnx", Checkpoint("onnx", classes=("a", "b", "c"), logits=True))
    np.testing.assert_allclose(loaded.predict_proba(ROWS).sum(axis=1), 1)


def test_an_onnx_model_with_other_classes_than_its_output_is_refused() -> None:
    data = evil.linear_onnx(np.eye(3)).SerializeToString()
    assert "--classes" in refused(data, Checkpoint("onnx"))
    with pytest.raises(BadInputError, match="2 classes"):
        load(data, "m.onnx", Checkpoint("onnx", classes=("a", "b"))).predict_proba(ROWS)


@pytest.mark.parametrize("where", ["initializer", "constant", "subgraph", "sparse", "function", "training"])
@pytest.mark.parametrize("location", ["../secret.bin", "secret.bin", "/etc/passwd"])
def test_an_onnx_file_with_data_elsewhere_is_refused_wherever_it_stands(
    where: str, location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret.bin"
    # A pipe without a writer: whoever opened it to read would wait for ever.
    os.mkfifo(secret)
    said = refused(evil.onnx_reading(location, where), Checkpoint("onnx", classes=("a", "b")))
    assert "another file" in said


def test_the_check_finds_external_data_that_a_session_would_read(tmp_path: Path) -> None:
    """The file is one that ONNX Runtime itself follows: the refusal is ours, not its."""
    import onnxruntime

    (tmp_path / "weights.bin").write_bytes(np.eye(2, dtype=np.float32).tobytes())
    data = evil.onnx_reading("weights.bin")
    (tmp_path / "m.onnx").write_bytes(data)
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.ones((1, 2), np.float32)})[0].shape == (1, 2)
    assert "another file" in refused(data, Checkpoint("onnx", classes=("a", "b")))


def test_an_operator_that_reads_a_file_is_refused() -> None:
    model = evil.linear_onnx(np.eye(2))
    model.graph.node.append(
        helper.make_node("EPContext", ["x"], ["z"], domain="com.microsoft", ep_cache_context="/etc/passwd")
    )
    assert "EPContext" in refused(model.SerializeToString(), Checkpoint("onnx", classes=("a", "b")))


def test_a_file_in_onnx_runtimes_own_format_is_refused(tmp_path: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    data = evil.linear_onnx(np.eye(2)).SerializeToString()
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    refused((tmp_path / "m.ort").read_bytes(), Checkpoint("onnx", classes=("a", "b")))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_as_such_or_gives_a_model(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["onnx", "skops"]))
    whole = (
        bytearray(evil.linear_onnx(np.eye(2)).SerializeToString())
        if kind == "onnx"
        else bytearray(skops.io.dumps(evil.small_model()))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with suppress(BadInputError):
        load(cut, "model", Checkpoint(kind, classes=("a", "b")))


def test_no_input_but_one_of_floats_or_texts_is_taken() -> None:
    model = evil.linear_onnx(np.eye(2))
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    assert "one input" in refused(model.SerializeToString(), Checkpoint("onnx", classes=("a", "b")))


def test_a_file_of_an_unknown_kind_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="end in"):
        kind_of(tmp_path / "model.h5")
    with pytest.raises(BadInputError, match="does not exist"):
        read_file(tmp_path / "model.skops")
    with pytest.raises(BadInputError, match="is no file"):
        read_file(tmp_path)
