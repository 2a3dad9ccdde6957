"""A training export is whole or not there; latest.json names the newest one and never goes back."""

import hashlib
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports import FORMATS
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.snapshots import (
    ExportOptions,
    TrainingExport,
    export_snapshot,
    latest_export,
    write_training_export,
)
from hiveguard_pipeline.snapshots.settings import set_export_settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, get_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from tests.exports.test_labels import exported, parsed
from tests.snapshots.conftest import details
from tests.store.voting import add_items, cast, letters


@pytest.fixture
def graduates(database: Database, dataset: Dataset) -> Dataset:
    """Two graduated items, and others that are not."""
    add_items(database, dataset, ["g1", "g2", "running", "flagged", "later"])
    stands = {"g1": "x" * 15, "g2": "y" * 16, "running": "xxx", "flagged": "xxyyyy"}
    cast(database, dataset, [vote for name, answers in stands.items() for vote in letters(name, answers)])
    apply_votes(database, dataset.name, run_id="run")
    return dataset


def written(database: Database, dataset: Dataset, root: object, kept: int = 30) -> TrainingExport:
    return write_training_export(database, dataset.name, str(root), kept=kept, run_id="the-run")


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def ledger_moves_on(database: Database, dataset: Dataset) -> None:
    cast(database, dataset, letters("later", "xxx"))
    apply_votes(database, dataset.name, run_id="run")


def check_hashes(read: Any, folder: str, latest: dict[str, Any]) -> dict[str, Any]:
    """Follow latest.json to the manifest, and the manifest to the files."""
    manifest = read(f"{folder}/{latest['export_id']}/manifest.json")
    assert hashlib.sha256(manifest).hexdigest() == latest["manifest_sha256"]
    content: dict[str, Any] = json.loads(manifest)
    for entry in content["files"]:
        data = read(f"{folder}/{latest['export_id']}/{entry['name']}")
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry["sha256"], entry["bytes"])
    return content


def test_files_manifest_and_latest_hold_the_graduated_labels(
    database: Database, graduates: Dataset, tmp_path: Path
) -> None:
    done = written(database, graduates, tmp_path)
    assert (done.rows, done.is_latest, done.path) == (2, True, str(tmp_path / "animals" / done.export_id))
    latest = json.loads((tmp_path / "animals" / "latest.json").read_text())
    assert latest == latest_export(str(tmp_path), "animals")
    assert (latest["export_id"], latest["ledger_position"]) == (done.export_id, done.ledger_position)
    manifest = check_hashes(lambda path: Path(path).read_bytes(), str(tmp_path / "animals"), latest)
    assert manifest["export_id"] == done.export_id
    assert (manifest["dataset"], manifest["rows"], manifest["run_id"]) == ("animals", 2, "the-run")
    assert manifest["ledger_position"] == done.ledger_position > 0
    assert manifest["policy"]["REVALIDATION_EXIT_CONFIDENCE"] == "0.85"
    assert [entry["name"] for entry in manifest["files"]] == [f"labels.{fmt}" for fmt in FORMATS]
    for fmt in FORMATS:
        data = (Path(done.path) / f"labels.{fmt}").read_bytes()
        assert data == exported(database, fmt, graduated=True)
        assert [row["label"] for row in parsed(data, fmt)] == [
            row["label"] for row in parsed(exported(database, "json", graduated=True), "json")
        ]
    assert names(Path(done.path)) == sorted(["manifest.json", *(f"labels.{fmt}" for fmt in FORMATS)])


def test_an_export_of_no_labels_is_an_export(database: Database, dataset: Dataset, tmp_path: Path) -> None:
    done = written(database, dataset, tmp_path)
    assert (done.rows, done.is_latest, done.ledger_position) == (0, True, 0)
    assert json.loads((Path(done.path) / "labels.json").read_text()) == []


def test_latest_moves_on_with_the_ledger_and_never_goes_back(
    database: Database, graduates: Dataset, tmp_path: Path
) -> None:
    first = written(database, graduates, tmp_path)
    ledger_moves_on(database, graduates)
    second = written(database, graduates, tmp_path)
    assert second.ledger_position > first.ledger_position
    latest = tmp_path / "animals" / "latest.json"
    assert json.loads(latest.read_text())["export_id"] == second.export_id
    newer = {"export_id": "of-a-faster-run", "manifest_sha256": "", "ledger_position": 10**9}
    latest.write_text(json.dumps(newer))
    third = written(database, graduates, tmp_path)
    assert not third.is_latest
    assert json.loads(latest.read_text()) == newer
    assert third.export_id in names(tmp_path / "animals")


def test_the_newest_exports_are_kept_and_the_one_that_latest_names(
    database: Database, graduates: Dataset, tmp_path: Path
) -> None:
    done = [written(database, graduates, tmp_path, kept=3) for _ in range(5)]
    folder = tmp_path / "animals"
    assert names(folder) == sorted([*(export.export_id for export in done[-3:]), "latest.json"])
    named = {"export_id": done[2].export_id, "manifest_sha256": "", "ledger_position": 10**9}
    (folder / "latest.json").write_text(json.dumps(named))
    last = [written(database, graduates, tmp_path, kept=1) for _ in range(2)][-1]
    assert names(folder) == sorted([done[2].export_id, last.export_id, "latest.json"])


def test_a_root_that_cannot_be_written_is_refused_in_one_line(
    database: Database, graduates: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    for root in (tmp_path / "file", "no-such-protocol://bucket"):
        with pytest.raises(BadInputError) as refused:
            written(database, graduates, root)
        assert "\n" not in str(refused.value)
    assert (tmp_path / "file").read_text() == "in the way"


def test_an_export_that_breaks_off_leaves_latest_and_the_others_and_no_half_one(
    database: Database, graduates: Dataset, database_url: str, tmp_path: Path
) -> None:
    """The disk is full, as far as the process can tell: no file may grow beyond 40 kB."""
    cast(database, graduates, [("later", "x" * 60_000)] * 15)
    apply_votes(database, graduates.name, run_id="run")
    root = tmp_path / "exports"
    first = written(database, graduates, root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    code = (
        "import resource, sys\n"
        "from hiveguard_pipeline.errors import BadInputError\n"
        "from hiveguard_pipeline.snapshots import write_training_export\n"
        "from hiveguard_pipeline.store.schema import open_database\n"
        "database = open_database(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "try: write_training_export(database, 'animals', sys.argv[2], kept=1, run_id='r')\n"
        "except BadInputError as error: print(error)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, database_url, str(root)],
        capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ended.returncode == 0
    assert "cannot be written" in ended.stdout
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    assert names(root / "animals") == [first.export_id, "latest.json"]
    assert ended.stderr == "", "the reason alone is said, with no trace of what broke off with it"


def test_a_format_that_cannot_hold_the_labels_is_told_and_stops_no_other(
    database: Database, tmp_path: Path
) -> None:
    create_dataset(database, "boxed", Policy(), classes=("car",), task_type="bbox")
    dataset = set_up(database, "boxed", '{"boxes":[{"bbox":[1,2,3,4],"label":"car"}]}', ["yolo", "coco"])
    done = written(database, dataset, tmp_path)
    assert list(done.refused) == ["yolo"]
    assert "a, b" in done.refused["yolo"]
    folders = {entry["name"].partition("/")[0] for entry in done.files}
    assert folders == {"coco", *(f"labels.{fmt}" for fmt in FORMATS)}
    latest = latest_export(str(tmp_path), "boxed")
    assert latest is not None
    manifest = check_hashes(lambda path: Path(path).read_bytes(), str(tmp_path / "boxed"), latest)
    assert (manifest["export_id"], manifest["refused"]) == (done.export_id, done.refused)
    assert not (Path(done.path) / "yolo").exists()


def test_a_text_recorded_after_its_votes_and_shorter_than_a_span_stops_spacy_alone(
    database: Database, tmp_path: Path
) -> None:
    pytest.importorskip("spacy", reason="spaCy is not installed (the extra [spacy])")
    create_dataset(database, "people", Policy(), classes=("PER",), task_type="ner")
    dataset = set_up(database, "people", '{"spans":[{"end":9,"label":"PER","start":0}]}', ["spacy"])
    with database.read() as connection:
        ids = connection.execute(sa.text("SELECT item_id FROM items")).scalars().all()
    for item_id in ids:
        details(database, str(item_id), content="Ada")
    done = written(database, dataset, tmp_path)
    assert "beyond the text of 3 characters" in done.refused["spacy"]
    assert len(done.files) == len(FORMATS)
    roots = (done.snapshot, f"{tmp_path}/_snapshots", "spacy")
    with pytest.raises(BadInputError, match="beyond the text"):
        export_snapshot(database, *roots, tmp_path / "out")
    left_out = export_snapshot(database, *roots, tmp_path / "out", ExportOptions(allow_lossy=True))
    assert left_out.kept["spans_beyond_text_dropped"] == 2


def set_up(database: Database, name: str, answer: str, formats: list[str]) -> Dataset:
    """Two graduated items of one structured answer, without sizes or texts."""
    with database.read() as connection:
        dataset = get_dataset(connection, name)
    add_items(database, dataset, "ab")
    cast(database, dataset, [(item, answer) for item in "ab" for _ in range(15)])
    apply_votes(database, name, run_id="run")
    set_export_settings(database, name, {"formats": formats})
    return dataset


def test_a_root_on_another_store_works_the_same(database: Database, graduates: Dataset) -> None:
    root = f"memory://exports-{uuid.uuid4().hex}"
    store = fsspec.filesystem("memory")
    done = [written(database, graduates, root, kept=2) for _ in range(3)]
    assert done[-1].is_latest
    assert done[-1].path.startswith("memory://")
    latest = latest_export(root, "animals")
    assert latest is not None
    assert latest["export_id"] == done[-1].export_id
    folder = root.removeprefix("memory:/") + "/animals"
    assert check_hashes(store.cat, folder, latest)["rows"] == 2
    found = sorted(entry.rsplit("/", 1)[-1] for entry in store.ls(folder, detail=False))
    assert found == sorted([done[1].export_id, done[2].export_id, "latest.json"])


def test_there_is_no_latest_before_the_first_export(tmp_path: Path) -> None:
    assert latest_export(str(tmp_path), "animals") is None
