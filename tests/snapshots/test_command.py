"""`hiveguard snapshots` and what of the other commands makes snapshots, on both databases."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hiveguard_pipeline.store.database import Database
from tests.cli.conftest import Terminal
from tests.cli.conftest import make_labels as make_labels
from tests.cli.conftest import terminal as terminal


@pytest.fixture
def filled(terminal: Terminal, make_labels: Callable[[str], Database]) -> Terminal:
    terminal("datasets", "create", "animals")
    make_labels(terminal.environment["HIVEGUARD_DATABASE_URL"])
    return terminal


def create(terminal: Terminal, *words: str) -> dict[str, Any]:
    (row,) = terminal.rows("snapshots", "create", "--dataset", "animals", *words)
    return row


def test_a_snapshot_from_its_making_to_its_drift(filled: Terminal, tmp_path: Path) -> None:
    made = create(filled, "--note", "for the first model", "--actor", "ann")
    key = made["snapshot_id"][:8]
    assert (made["rows"], made["actor"], made["note"]) == (1, "ann", "for the first model")
    assert create(filled) == made
    everything = create(filled, "--all", "--min-confidence", "0.7", "--split", "exact")
    assert everything["rows"] == 2
    assert filled.rows("snapshots", "list") == [everything, made]
    assert "rows_sha256" in filled("snapshots", "show", key).stdout
    (shown,) = filled.rows("snapshots", "show", key)
    assert shown["header"]["split"] == {"method": "hash", "salt": "animals", "share": "0.85"}

    (change,) = filled.rows("snapshots", "diff", key, everything["snapshot_id"])
    assert (change["change"], change["external_id"], change["source"]) == ("added", "moving", "votes")
    told = filled("snapshots", "diff", everything["snapshot_id"][:9], key).stderr
    assert "1 removed, 1 as before" in told
    assert filled("snapshots", "verify", "--all").stdout == ""
    assert filled("snapshots", "drift", key).stdout == ""

    filled("labels", "correct", "graduated", "--dataset", "animals", "--label", "b", "--reason", "seen")
    drifted = filled("snapshots", "drift", key, "--fmt", "jsonl", code=1)
    row = json.loads(drifted.stdout)
    assert (row["what"], row["label"], row["label_now"], row["reason"]) == ("relabelled", "a", "b", "seen")
    assert "export anew and check again" in drifted.stderr
    assert "withdrawn" not in drifted.stdout

    filled("snapshots", "export", key, "--fmt", "jsonl", "--output", "out")
    (label,) = (json.loads(line) for line in (tmp_path / "out" / "labels.jsonl").read_text().splitlines())
    assert (label["label"], label["split"]) == ("a", "train")
    assert "is there already" in filled.refused("snapshots", "export", key, "--fmt", "csv", "--output", "out")
    path = tmp_path / "home" / "snapshots" / made["file"]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = filled("snapshots", "verify", key, "--fmt", "jsonl", code=1)
    assert json.loads(found.stdout.splitlines()[0])["what"] == "bytes of the file"


def test_labels_export_in_a_training_format_makes_or_finds_the_snapshot(
    filled: Terminal, tmp_path: Path
) -> None:
    words = ("labels", "export", "--dataset", "animals")
    filled(*words, "--fmt", "huggingface", "--output", "hf")
    (made,) = filled.rows("snapshots", "list")
    manifest = json.loads((tmp_path / "hf" / "manifest.json").read_text())
    assert manifest["snapshot_id"] == made["snapshot_id"]
    filled(*words, "--fmt", "huggingface", "--output", "again")
    assert filled.rows("snapshots", "list") == [made]
    said = filled.refused(*words, "--fmt", "coco", "--output", "coco")
    assert "image_classification cannot be written as coco" in said
    assert "huggingface" in said
    filled.refused(*words, "--fmt", "coco", code=2)
    filled.refused(*words, "--fmt", "csv", "--split", "exact", code=2)


def test_both_forms_of_a_correction_are_revisions(filled: Terminal) -> None:
    words = (
        "labels",
        "correct",
        "graduated",
        "--dataset",
        "animals",
        "--reason",
        "seen",
        "--reviewer",
        "ann",
    )
    filled(*words, "--label", "b")
    filled("labels", "correct", "graduated", "c", *words[3:])
    filled.refused(*words, code=2)
    create(filled, "--all")
    (row,) = (
        entry for entry in filled.rows("datasets", "items", "animals") if entry["external_id"] == "graduated"
    )
    assert row["label"] == "c"


def test_settings_of_exports_are_set_and_refused_by_key(filled: Terminal) -> None:
    given = ("datasets", "set", "animals")
    rows = filled.rows(
        *given, "export.formats=huggingface,csv", "export.train_val_split=0.5", "export.salt=s"
    )
    found = {row["setting"]: row["value"] for row in rows}
    assert found["export.formats"] == "huggingface,csv"
    assert (found["export.train_val_split"], found["export.salt"]) == ("0.5", "s")
    made = create(filled)
    (shown,) = filled.rows("snapshots", "show", made["snapshot_id"])
    assert shown["header"]["split"] == {"method": "hash", "salt": "s", "share": "0.5"}
    for wrong, said in (
        ("export.formats=yolo", "cannot be written as yolo"),
        ("export.train_val_split=2", "between 0 and 1"),
        ("export.split=random", "hash or exact"),
        ("export.colour=red", "no key of export"),
    ):
        assert said in filled.refused(*given, wrong)
    filled.refused(*given, "formats=csv", code=2)


CONFIG = """\
name: cars
task_type: bbox
export:
  formats: [coco, yolo]
  train_val_split: 0.9
  licence: CC-BY-4.0
"""


def test_a_config_names_the_exports_and_an_error_its_line(terminal: Terminal, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    for text, said in (
        (CONFIG.replace("yolo", "spacy"), "line 4: labels of bbox cannot be written as spacy"),
        (CONFIG.replace("0.9", "nine"), "line 5: train_val_split must be a number"),
        (CONFIG.replace("licence", "license"), "line 6: license is no key of export"),
        (CONFIG.replace("[coco, yolo]", "coco"), "line 4: export.formats must be a list"),
    ):
        config.write_text(text)
        assert said in terminal("init", "--config", str(config), code=1).stderr
        assert terminal.rows("datasets", "list") == []
    config.write_text(CONFIG)
    terminal("init", "--config", str(config))
    terminal("init", "--config", str(config))
    rows = terminal.rows("datasets", "set", "cars", "export.split=exact")
    assert {row["setting"]: row["value"] for row in rows} == {
        "export.formats": "coco,yolo",
        "export.train_val_split": "0.9",
        "export.split": "exact",
        "export.salt": "cars",
        "export.licence": "CC-BY-4.0",
    }
