"""Training exports: the graduated labels of a dataset as files, with a manifest that says which they are.

<root>/<dataset>/<export id>/labels.{csv,jsonl,json,parquet}, a folder for each training format that the
dataset's settings name, and manifest.json; beside them latest.json, which is written last and never goes
back to an older ledger position. A training format that cannot hold the labels is left out, and the
manifest says why: one label stops no other file. The rows are those of a snapshot, made first, which the
manifest names. Nothing is renamed on a store that cannot do it: an export is there when latest.json names
it. The root is any fsspec URL.
"""

import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from hiveguard_pipeline import __version__
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports.files import FORMATS, open_writer
from hiveguard_pipeline.exports.query import FIELDS, SCHEMA
from hiveguard_pipeline.snapshots.create import create_snapshot
from hiveguard_pipeline.snapshots.export import ExportOptions, label_rows, write_files
from hiveguard_pipeline.snapshots.export_folder import LATEST, MANIFEST, ExportFolder, Hashed
from hiveguard_pipeline.snapshots.files import SnapshotFolder
from hiveguard_pipeline.snapshots.records import Snapshot, policy_of
from hiveguard_pipeline.snapshots.settings import ExportSettings, export_settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset, lock_dataset, progress_of
from hiveguard_pipeline.store.tables import time_text

SNAPSHOTS = "_snapshots"
"""Below the export root, where no other place is named: no dataset's name begins with an underscore."""


@dataclass(frozen=True, slots=True)
class TrainingExport:
    """An export as written: where, of which snapshot, how many rows, and whether latest.json names it now.

    refused: training formats of the settings that could not be written, each with the reason.
    """

    export_id: str
    path: str
    rows: int
    ledger_position: int
    newest_vote: int
    snapshot: Snapshot
    files: list[dict[str, Any]]
    refused: dict[str, str]
    is_latest: bool


def write_training_export(
    database: Database,
    dataset_name: str,
    root: str,
    *,
    kept: int,
    run_id: str,
    snapshots: str | None = None,
    snapshots_kept: int = 0,
) -> TrainingExport:
    """Make a snapshot of a dataset's graduated labels and write it in all formats, then the manifest, then
    latest.json.

    snapshots: where snapshots lie; below the root if it is not named. An error leaves latest.json and the
    exports before it as they were. Raises BadInputError if a place cannot be written. A training format that
    cannot hold the labels is refused alone: the export says so, and has the others.
    """
    snapshot_root = snapshots or f"{root.rstrip('/')}/{SNAPSHOTS}"
    folder = ExportFolder(root, dataset_name)
    moment = datetime.now(UTC)
    with database.read() as connection:
        dataset = get_dataset(connection, dataset_name)
        settings = export_settings(connection, dataset)
        # No later than the snapshot: what an export says it holds, it does.
        progress = progress_of(connection, dataset)
    position = progress.ledger_position
    snapshot = create_snapshot(
        database,
        dataset_name,
        snapshot_root,
        note="training export",
        actor="training_export",
        run_id=run_id,
        kept=snapshots_kept,
        export_root=root,
    ).snapshot
    with database.read() as connection:
        recorded = policy_of(connection, snapshot)
    export_id = f"{moment:%Y%m%dT%H%M%S.%fZ}-{position}"
    try:
        source = SnapshotFolder(snapshot_root)
        with closing(label_rows(source, snapshot, tuple(FIELDS))) as batches:
            files = _write_plain(folder, export_id, batches, snapshot.rows)
        written, refused = _write_training(folder, export_id, source, snapshot, settings)
        files += written
        manifest = {
            "export_id": export_id,
            "dataset": dataset_name,
            "created_at": time_text(moment),
            "rows": snapshot.rows,
            "fields": list(FIELDS),
            "files": files,
            "refused": refused,
            "policy": {"policy_id": recorded.policy_id, **recorded.policy.settings()},
            "ledger_position": position,
            "newest_vote": progress.folded_through,
            "run_id": run_id,
            "snapshot_id": snapshot.snapshot_id,
            "snapshot": snapshot.header.values(),
            "licence": settings.licence,
            "licences": list(snapshot.header.licences),
            "hiveguard_version": __version__,
        }
        manifest_hash = folder.write_json(f"{export_id}/{MANIFEST}", manifest)
    except BaseException:
        folder.remove(export_id)
        raise
    with database.write() as connection:
        lock_dataset(connection, dataset_name)
        latest = folder.read_json(LATEST)
        is_latest = latest is None or int(str(latest["ledger_position"])) <= position
        if is_latest:
            folder.write_json(
                LATEST,
                {
                    "export_id": export_id,
                    "manifest_sha256": manifest_hash,
                    "ledger_position": position,
                    "snapshot_id": snapshot.snapshot_id,
                },
            )
        folder.keep_newest(
            kept, always=export_id if is_latest or latest is None else str(latest["export_id"])
        )
    return TrainingExport(
        export_id,
        folder.shown(export_id),
        snapshot.rows,
        position,
        progress.folded_through,
        snapshot,
        files,
        refused,
        is_latest,
    )


def _write_plain(
    folder: ExportFolder, export_id: str, batches: Iterable[pa.RecordBatch], rows: int
) -> list[dict[str, Any]]:
    with ExitStack() as stack:
        hashed = {
            fmt: Hashed(stack.enter_context(folder.open(f"{export_id}/labels.{fmt}"))) for fmt in FORMATS
        }
        with ExitStack() as writing:
            writers = [
                writing.enter_context(open_writer(fmt, SCHEMA, stream))  # type: ignore[arg-type]
                for fmt, stream in hashed.items()
            ]
            for batch in batches:
                for writer in writers:
                    writer.write(batch)
    return [
        {"name": f"labels.{fmt}", "rows": rows, "bytes": stream.size, "sha256": stream.hash.hexdigest()}
        for fmt, stream in hashed.items()
    ]


def _write_training(
    folder: ExportFolder, export_id: str, source: SnapshotFolder, snapshot: Snapshot, settings: ExportSettings
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The training formats that the settings name, each in a folder of its name; written here, then put.

    Returns the files, and the formats that cannot hold the labels, with the reason.
    """
    files: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    for fmt in settings.formats:
        if fmt in FORMATS:
            continue
        with tempfile.TemporaryDirectory(prefix="hiveguard-export-") as made:
            target = Path(made) / fmt
            target.mkdir()
            try:
                done = write_files(source, snapshot, fmt, target, ExportOptions())
            except BadInputError as error:
                if isinstance(error.__context__, OSError):
                    raise  # a full disk, a file that is gone: that is no fault of the labels
                refused[fmt] = str(error)
                continue
            for entry in done.files:
                name = f"{fmt}/{entry['name']}"
                folder.put(target / entry["name"], f"{export_id}/{name}")
                files.append({**entry, "name": name, "rows": snapshot.rows})
    return files, refused
