"""Hostile and broken files of the text formats: nothing but BadInputError, with the file and the place."""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Options
from hiveguard_pipeline.formats.registry import open_format

from .any_model import read
from .text_mutations import TASK, try_one

SEEDS = st.integers(0, 2**40)
FEW = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)
FEWER = settings(FEW, max_examples=8)
LABEL_STUDIO = open_format("label-studio")


@FEW
@given(seed=SEEDS)
@pytest.mark.parametrize("name", ["jsonl", "csv", "label-studio"])
def test_files_made_wrong_by_chance(name: str, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    try_one(name, seed, tmp_path_factory.mktemp("wrong"))


@FEW
@given(data=st.binary(max_size=200))
@pytest.mark.parametrize("name", ["jsonl", "csv", "label-studio"])
def test_any_bytes(name: str, data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bytes") / "in"
    path.write_bytes(data)
    try:
        read(open_format(name), path)
    except BadInputError as error:
        if str(path) not in str(error):
            raise


@FEWER
@given(seed=SEEDS)
@pytest.mark.parametrize(("name", "needs"), [("spacy", "spacy"), ("huggingface", "datasets")])
def test_files_of_libraries_made_wrong_by_chance(
    name: str, needs: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip(needs)
    try_one(name, seed, tmp_path_factory.mktemp("wrong"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"attrs": []}, "columns"),
        ({"attrs": [65, 65]}, "columns"),
        ({"lengths": b"\xff\xff\xff\xff"}, "words and spaces"),
        ({"lengths": b"\xff\xff\xff\x7f"}, "words and spaces"),
        # The next two once came through as errors of other kinds (found by text_mutations.py).
        ({"strings": [1]}, "strings"),
        ({"strings": ["Ada", "met", "Bob"]}, "not in StringStore"),
        ({"cats": [{"a": "b"}]}, "cats"),
        ({"cats": []}, "cats"),
        ({"tokens": b""}, "columns"),
    ],
)
def test_docbin_files_that_lie_about_themselves(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    srsly = pytest.importorskip("srsly")
    doc = spacy.blank("xx")("Ada met Bob")
    doc.ents = [doc.char_span(0, 3, label="PER")]
    docs = spacy.tokens.DocBin(docs=[doc])
    said = {**srsly.msgpack_loads(zlib.decompress(docs.to_bytes())), **change}
    (tmp_path / "x.spacy").write_bytes(zlib.compress(srsly.msgpack_dumps(said)))
    with pytest.raises(BadInputError, match=rf"x\.spacy: not a DocBin.*{told}"):
        read(open_format("spacy"), tmp_path)


@pytest.mark.parametrize("words", [(0, 9), (-3, 1), (2, 1), (2**31 - 1, 2**31 - 1)])
def test_docbin_spans_beyond_their_text_are_refused(words: tuple[int, int], tmp_path: Path) -> None:
    import struct

    spacy = pytest.importorskip("spacy")
    srsly = pytest.importorskip("srsly")
    nlp = spacy.blank("xx")
    doc = nlp("Ada met Bob")
    doc.spans["sc"] = [doc.char_span(0, 3, label="PER")]
    said = srsly.msgpack_loads(zlib.decompress(spacy.tokens.DocBin(docs=[doc]).to_bytes()))
    ((group, keys),) = srsly.msgpack_loads(said["span_groups"][0]).items()
    inside = srsly.msgpack_loads(group)
    identity, base, label, *_ = struct.unpack(">QQQllll", inside["spans"][0])
    inside["spans"] = [struct.pack(">QQQllll", identity, base, label, *words, 0, 3)]
    said["span_groups"] = [srsly.msgpack_dumps({srsly.msgpack_dumps(inside): keys})]
    (tmp_path / "x.spacy").write_bytes(zlib.compress(srsly.msgpack_dumps(said)))
    with pytest.raises(BadInputError, match=r"x\.spacy: not a DocBin.*(creating span|a span from word)"):
        read(open_format("spacy"), tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"[" * 1_000_000, "100 levels"),
        (b'[{"a":' * 1_000_000, "100 levels"),
        (b"[" + json.dumps(TASK).encode(), "cut off"),
        (b'[{"data": {"text": "x', "cut off"),
        (b'[{"data": {"text": "x"}}] and more', "follows"),
        (b'[{"data": {"text": NaN}}]', "task 1: NaN"),
        (b'[{"data": {"text": "\\ud800"}}]', "task 1: half of a surrogate"),
        (b'[{"data": {"text": "\xff"}}]', "task 1: not UTF-8"),
        (b'[{"data": {"text": "x"}},]', "task 2: not JSON"),
        (b'[{"data": {"text": "x"}} {"data": {}}]', "task 1: not JSON"),
        (b'{"images": []}', "no `data`"),
        (b"[1]", "task 1: a task is an object"),
        (b"", "an array of tasks|a JSON array"),
    ],
    ids=range(13),
)
def test_label_studio_files_that_are_none(text: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(text)
    with pytest.raises(BadInputError, match=rf"in\.json.*({told})"):
        read(LABEL_STUDIO, tmp_path / "in.json")


def test_a_value_without_end_is_refused_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hiveguard_pipeline.formats.label_studio.array_elements.LARGEST_TASK", 1 << 20)
    monkeypatch.setattr("hiveguard_pipeline.formats.text_lines.LONGEST_LINE", 1 << 20)
    monkeypatch.setattr("hiveguard_pipeline.formats.csv.grouping.LONGEST_ROW", 1 << 20)
    (tmp_path / "in").write_bytes(b'[{"data": {"text": "' + b"x" * (3 << 20) + b'"}}]')
    with pytest.raises(BadInputError, match="task 1: it has more than 1 MB"):
        read(LABEL_STUDIO, tmp_path / "in")
    with pytest.raises(BadInputError, match="line 1: a line of more than 1 MB"):
        read(open_format("jsonl"), tmp_path / "in")
    (tmp_path / "in").write_bytes(b'item,label\na,"' + b"x\n" * (1 << 20) + b'"\n')
    with pytest.raises(BadInputError, match="line 2: a row of more than 1 MB"):
        read(open_format("csv"), tmp_path / "in")


@pytest.mark.parametrize("name", ["jsonl", "csv", "label-studio"])
def test_pipes_and_folders_are_no_files(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(BadInputError, match="a file is wanted"):
            open_format(name).read(path, Options())
    with pytest.raises(BadInputError, match="No such file"):
        open_format(name).read(tmp_path / "none", Options())


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_tasks_are_cut_right_wherever_a_chunk_ends(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hiveguard_pipeline.formats.label_studio.array_elements import elements

    values = [{"a": '\\"],[{', "b": [1, {"c": "\\\\"}]}, {"d": "😀 \n"}, {}]
    (tmp_path / "in").write_text(" [ " + " , ".join(json.dumps(one) for one in values) + " ]\n ")
    monkeypatch.setattr("hiveguard_pipeline.formats.label_studio.array_elements._CHUNK", chunk)
    assert [value for _, value in elements(tmp_path / "in")] == values
    (tmp_path / "in").write_text("[]")
    assert list(elements(tmp_path / "in")) == []
