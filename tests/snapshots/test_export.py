"""An export is a function of snapshot and options, the same bytes anywhere; every format is read back."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports.query import FIELDS
from hiveguard_pipeline.formats import FormatConverter
from hiveguard_pipeline.review import correct
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.snapshots import ExportOptions, Snapshot, create_snapshot, export_snapshot
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.snapshots.conftest import Snap, details
from tests.store.voting import add_items, cast

BOXES = '{"boxes":[{"bbox":[1.0,2.0,30.5,4.25],"label":"car"},{"bbox":[5.0,6.0,7.0,8.0],"label":"bus"}]}'
SPANS = '{"spans":[{"end":3,"label":"PER","start":0}]}'
TEXT = "Ann met Bob in Paris."


def of_bytes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def answered(database: Database, name: str, task: str, classes: tuple[str, ...], answer: str) -> Dataset:
    """Eight graduated items that all have one answer."""
    modality = "text" if task in ("ner", "text_classification") else "image"
    dataset = create_dataset(database, name, Policy(), classes=classes, task_type=task, modality=modality)
    names = [f"set one/i{n}.png" for n in range(8)]
    for item_id in add_items(database, dataset, names).values():
        if modality == "text":
            details(database, item_id, content=TEXT)
        else:
            details(database, item_id, width=64, height=48)
    cast(database, dataset, [(item, answer) for item in names for _ in range(15)])
    apply_votes(database, name, run_id="run")
    return dataset


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    return open_database(f"sqlite:///{tmp_path / 'hiveguard.db'}")


def made(database: Database, name: str, root: str) -> Snapshot:
    return create_snapshot(database, name, root).snapshot


@pytest.mark.parametrize("fmt", ["csv", "jsonl", "json", "parquet"])
def test_plain_files_have_the_seven_fields_and_the_split(
    fmt: str, database: Database, snap: Snap, root: str, tmp_path: Path
) -> None:
    from tests.exports.test_labels import parsed

    snapshot = snap()
    export_snapshot(database, snapshot, root, fmt, tmp_path / "out")
    rows = parsed((tmp_path / "out" / f"labels.{fmt}").read_bytes(), fmt)
    assert len(rows) == 12
    assert list(rows[0]) == [*FIELDS, "split"]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["snapshot_id"] == snapshot.snapshot_id
    assert {entry["name"]: entry["sha256"] for entry in manifest["files"]} == {
        name: digest for name, digest in of_bytes(tmp_path / "out").items() if name != "manifest.json"
    }


CASES = [
    ("bbox", ("car", "bus"), BOXES, ("coco", "voc", "yolo", "huggingface", "jsonl")),
    ("ner", ("LOC", "PER"), SPANS, ("spacy", "huggingface")),
    ("text_classification", ("good", "bad"), "bad", ("spacy", "huggingface")),
    ("image_classification", ("cat", "dog"), "dog", ("huggingface",)),
]


@pytest.mark.parametrize(("task", "classes", "answer", "formats"), CASES, ids=[case[0] for case in CASES])
def test_every_format_of_a_task_type_is_read_back_with_classes_in_their_order(
    task: str,
    classes: tuple[str, ...],
    answer: str,
    formats: tuple[str, ...],
    sqlite: Database,
    tmp_path: Path,
) -> None:
    answered(sqlite, "things", task, classes, answer)
    root = str(tmp_path / "snapshots")
    snapshot = made(sqlite, "things", root)
    for fmt in formats:
        out = tmp_path / fmt
        export_snapshot(sqlite, snapshot, root, fmt, out)
        if fmt == "jsonl":
            continue
        parts = [out / "train.json", out / "validation.json"] if fmt == "coco" else [out]
        items: list[dict[str, Any]] = []
        for number, part in enumerate(parts):
            back = tmp_path / f"{fmt}-{number}.jsonl"
            FormatConverter().convert(
                input_path=part, input_format=fmt, output_path=back, output_format="jsonl"
            )
            lines = [json.loads(line) for line in back.read_text().splitlines()]
            assert [entry["name"] for entry in lines[0]["categories"]] == list(classes)
            items += lines[1:]
        assert sorted(item["name"] for item in items) == [f"set one/i{n}.png" for n in range(8)]
        for item in items:
            found = item.get("annotations", [])
            if task == "bbox":
                boxes = {(one["category"], *one["bbox"]) for one in found}
                assert {(label, *(round(value, 9) for value in box)) for label, *box in boxes} == {
                    ("car", 1.0, 2.0, 30.5, 4.25),
                    ("bus", 5.0, 6.0, 7.0, 8.0),
                }
            elif task == "ner":
                assert [(one["category"], *one["span"]) for one in found] == [("PER", 0, 3)]
                assert item["text"] == TEXT
            else:
                assert item["labels"] == [answer]


_COPY = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('VACUUM INTO ?', sys.argv[2:])"
_ELSEWHERE = """
import sys
from pathlib import Path
from hiveguard_pipeline.snapshots import export_snapshot, find_snapshot
from hiveguard_pipeline.store.schema import open_database
database = open_database(sys.argv[1])
for fmt in sys.argv[5].split(","):
    export_snapshot(database, find_snapshot(database, sys.argv[3]), sys.argv[2], fmt, Path(sys.argv[4], fmt))
"""


@pytest.mark.parametrize(("task", "classes", "answer", "formats"), CASES, ids=[case[0] for case in CASES])
def test_an_export_is_the_same_bytes_in_other_processes_later_and_from_a_copy(
    task: str,
    classes: tuple[str, ...],
    answer: str,
    formats: tuple[str, ...],
    sqlite: Database,
    tmp_path: Path,
) -> None:
    answered(sqlite, "things", task, classes, answer)
    root = str(tmp_path / "snapshots")
    snapshot = made(sqlite, "things", root)
    found = []
    for number, (seed, zone, locale) in enumerate(
        (("0", "Asia/Kathmandu", "C"), ("4711", "America/St_Johns", "de_DE.UTF-8"))
    ):
        machine = tmp_path / f"machine-{number}"
        machine.mkdir()
        shutil.copytree(root, machine / "copied")
        subprocess.run(
            [sys.executable, "-c", _COPY, str(sqlite.url.database), str(machine / "h.db")], check=True,
        )  # fmt: skip
        subprocess.run(
            [sys.executable, "-c", _ELSEWHERE, f"sqlite:///{machine / 'h.db'}", str(machine / "copied"),
             snapshot.snapshot_id[:8], str(machine), ",".join(formats)],
            check=True, cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale},
        )  # fmt: skip
        found.append({fmt: of_bytes(machine / fmt) for fmt in formats})
        given = (
            answer.replace("car", "bus").replace("PER", "LOC").replace("bad", "good").replace("dog", "cat")
        )
        correct(sqlite, "set one/i0.png", given, reviewer="ann", reason="later", dataset_name="things")
    assert found[0] == found[1]
    assert all(len(files) >= 2 for files in found[0].values())


def test_formats_that_do_not_fit_and_what_is_missing_are_refused_by_name(
    sqlite: Database, tmp_path: Path
) -> None:
    root = str(tmp_path / "snapshots")
    dataset = create_dataset(sqlite, "plain", Policy(), task_type="bbox")
    add_items(sqlite, dataset, ["a.png", "b.png"])
    cast(sqlite, dataset, [(name, BOXES) for name in ("a.png", "b.png") for _ in range(15)])
    apply_votes(sqlite, "plain", run_id="run")
    snapshot = made(sqlite, "plain", root)
    for fmt, said in (("yolo", "a.png, b.png"), ("voc", "--image-dir"), ("spacy", "coco, voc, yolo")):
        with pytest.raises(BadInputError, match=said):
            export_snapshot(sqlite, snapshot, root, fmt, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.png", "b.png"):
        png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x30\x08\2\0\0\0"
        (images / name).write_bytes(png)
    export_snapshot(sqlite, snapshot, root, "yolo", tmp_path / "out", ExportOptions(image_dir=images))
    assert len(list((tmp_path / "out").rglob("*.txt"))) >= 2
    with pytest.raises(BadInputError, match="is there already"):
        export_snapshot(sqlite, snapshot, root, "jsonl", tmp_path / "out")
