"""JSONL: the model without loss, and the lines of other tools."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.jsonl.format import FORMAT
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item

from .any_model import models, read, write


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=models())
def test_every_model_comes_back_whole(model: tuple[Header, list[Item]], tmp_path: Path) -> None:
    header, items = model
    target = tmp_path / "items.jsonl"
    assert not write(FORMAT, target, header, items)
    reading, back = read(FORMAT, target)
    assert reading.header == header
    assert back == items
    first = target.read_bytes()
    write(FORMAT, target, reading.header, back)
    assert target.read_bytes() == first


def test_classes_stand_by_name_and_by_place_where_two_have_one(tmp_path: Path) -> None:
    item = Item("a.jpg", [Annotation(1, (0.0, 0.1, 2.0, 3.0))], labels=(0,))
    write(FORMAT, tmp_path / "names", Header([Category("cat"), Category("dog")]), [item])
    line = json.loads((tmp_path / "names").read_text().splitlines()[1])
    assert line["annotations"][0] == {"category": "dog", "bbox": [0.0, 0.1, 2.0, 3.0]}
    assert line["labels"] == ["cat"]
    twins = Header([Category("cat", 1), Category("cat", 2)])
    write(FORMAT, tmp_path / "twins", twins, [item])
    reading, back = read(FORMAT, tmp_path / "twins")
    assert (reading.header, back) == (twins, [item])


def lines(path: Path, *values: object) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def test_prodigy_lines(tmp_path: Path) -> None:
    spans = [{"start": 0, "end": 3, "label": "PER", "token_start": 0}]
    path = lines(
        tmp_path / "p.jsonl",
        {"text": "Ada met Bob", "spans": spans, "answer": "accept", "_input_hash": 7},
        {"text": "No", "spans": [{"start": 0, "end": 2, "label": "LOC"}], "answer": "reject"},
        {"text": "Win", "accept": ["SPORTS", "NEWS"], "answer": "accept"},
    )
    reading, back = read(FORMAT, path)
    assert [one.name for one in reading.header.categories] == ["NEWS", "PER", "SPORTS"]
    assert back[0].annotations == [Annotation(1, span=(0, 3), extra={"token_start": 0})]
    assert back[0].extra == {"_input_hash": 7, "answer": "accept"}
    assert back[1].annotations == []
    assert back[2].labels == (2, 0)


def test_doccano_lines(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "d.jsonl",
        {"id": 4, "text": "Ada met Bob", "label": [[0, 3, "PER"], [8, 11, "PER"]]},
        {"id": 5, "text": "x y", "entities": [{"id": 9, "label": "LOC", "start_offset": 2, "end_offset": 3}]},
        {"id": 6, "text": "z", "label": ["pos"], "Comments": []},
    )
    _, back = read(FORMAT, path)
    assert [one.span for one in back[0].annotations] == [(0, 3), (8, 11)]
    assert (back[0].id, back[0].name) == (4, "4")
    assert (back[1].annotations[0].id, back[1].annotations[0].span) == (9, (2, 3))
    assert (back[2].labels, back[2].extra) == ((2,), {"Comments": []})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"name": "a", "annotations": [{"category": "cat", "bbox": [1, 2, -3, 4]}]}', "at least 0"),
        ('{"name": "a", "annotations": [{"category": "cow", "bbox": [1, 2, 3, 4]}]}', "'cow'"),
        ('{"name": "a", "width": NaN}', "NaN"),
        ('{"name": "a", "extra": {"x": 1e999}}', "too large"),
        ('{"name": "a", "extra": {"x": "\\ud800"}}', "surrogate"),
        ('{"name": "a", "extra": ' + "[" * 200 + "]" * 200 + "}", "100 levels"),
        ('{"name": "a", "width": 3000000000}', r"2\*\*31"),
        ('{"name": "a", "text": "abc", "annotations": [{"category": "cat", "span": [1, 4]}]}', "beyond"),
        ('{"name": "a", "labels": [true]}', "position"),
        ('{"name": "a", "annotations": [{"category": "cat", "order": 9223372036854775808}]}', "64 bits"),
        ('{"name": "a"', "not JSON"),
        ('{"name": ""}', "not empty"),
        ('{"name": "../../a.jpg"}', r"\.\."),
        ('{"name": "/srv/a.jpg"}', "--rebase-paths"),
        ('{"name": "a\\u0000.jpg"}', "control character"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"hiveguard": 1, "categories": [{"name": "cat"}]}\n\n' + line + "\n")
    with pytest.raises(BadInputError, match=rf"bad\.jsonl, line 3: .*{told}"):
        read(FORMAT, path)


@pytest.mark.parametrize("label", [1, True, [0, 1]])
def test_a_class_that_is_no_name_is_refused(label: object, tmp_path: Path) -> None:
    path = lines(tmp_path / "n.jsonl", {"text": "a", "label": label})
    with pytest.raises(BadInputError, match=r"n\.jsonl, line 1: label: the name of a class"):
        read(FORMAT, path)


def test_a_root_is_taken_off_absolute_names_of_images(tmp_path: Path) -> None:
    theirs = lines(tmp_path / "theirs.jsonl", {"image": "/srv/img/a.jpg", "label": "x"})
    ours = lines(
        tmp_path / "ours.jsonl", {"hiveguard": 1, "categories": []}, {"name": "b"}, {"name": "/srv/img/a.jpg"}
    )
    for path in (theirs, ours):
        reading, back = read(FORMAT, path, rebase_paths="/srv/img/")
        assert (reading.rebased, back[-1].name) == (True, "a.jpg")
    text = lines(tmp_path / "text.jsonl", {"text": "a", "key": "/srv/img/../a"})
    reading, back = read(FORMAT, text, rebase_paths="/srv/img")
    assert (reading.rebased, back[0].name) == (False, "/srv/img/../a")


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = lines(tmp_path / "twice.jsonl", *[{"image": name, "label": "x"} for name in "abca"])
    with pytest.raises(BadInputError, match="items 1 and 4 have the same name"):
        read(FORMAT, path)


def test_a_million_brackets_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_text("[" * 1_000_000)
    with pytest.raises(BadInputError, match="100 levels"):
        read(FORMAT, path)
