"""Training exports: the graduated labels of a dataset as files, with a manifest that says which they are.

<root>/<dataset>/<export id>/labels.{csv,jsonl,json,parquet} and manifest.json; beside them latest.json,
which is written last and never goes back to an older ledger position. Nothing is renamed on a store that
cannot do it: an export is there when latest.json names it. The root is any fsspec URL.
"""

import hashlib
import json
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hiveguard_pipeline import __version__
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports.files import FORMATS, open_writer, replacing
from hiveguard_pipeline.exports.labels import label_batches
from hiveguard_pipeline.exports.query import FIELDS, SCHEMA
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import (
    current_policy,
    get_dataset,
    lock_dataset,
    progress_of,
)
from hiveguard_pipeline.store.tables import time_text

LATEST = "latest.json"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class TrainingExport:
    """An export as written: where, how many rows, and whether latest.json names it now."""

    export_id: str
    path: str
    rows: int
    ledger_position: int
    files: list[dict[str, object]]
    is_latest: bool


def write_training_export(
    database: Database, dataset_name: str, root: str, *, kept: int, run_id: str
) -> TrainingExport:
    """Write a dataset's graduated labels in all formats, then the manifest, then latest.json.

    An error leaves latest.json and the exports before it as they were. Raises BadInputError if the root
    cannot be written.
    """
    folder = _Folder(root, dataset_name)
    moment = datetime.now(UTC)
    with database.read() as connection:
        dataset = get_dataset(connection, dataset_name)
        recorded = current_policy(connection, dataset)
        position = progress_of(connection, dataset).ledger_position
        export_id = f"{moment:%Y%m%dT%H%M%S.%fZ}-{position}"
        try:
            with closing(label_batches(connection, dataset_id=dataset.dataset_id, graduated=True)) as batches:
                files, rows = _write_files(folder, export_id, batches)
            manifest = {
                "export_id": export_id,
                "dataset": dataset_name,
                "created_at": time_text(moment),
                "rows": rows,
                "fields": list(FIELDS),
                "files": files,
                "policy": {"policy_id": recorded.policy_id, **recorded.policy.settings()},
                "ledger_position": position,
                "run_id": run_id,
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
                {"export_id": export_id, "manifest_sha256": manifest_hash, "ledger_position": position},
            )
        folder.keep_newest(
            kept, always=export_id if is_latest or latest is None else str(latest["export_id"])
        )
    return TrainingExport(export_id, folder.shown(export_id), rows, position, files, is_latest)


def latest_export(root: str, dataset_name: str) -> dict[str, Any] | None:
    """What latest.json says, None if there is no export yet."""
    return _Folder(root, dataset_name).read_json(LATEST)


def _write_files(folder: "_Folder", export_id: str, batches: Any) -> tuple[list[dict[str, object]], int]:
    rows = 0
    with ExitStack() as stack:
        hashed = {
            fmt: _Hashed(stack.enter_context(folder.open(f"{export_id}/labels.{fmt}"))) for fmt in FORMATS
        }
        with ExitStack() as writing:
            writers = [
                writing.enter_context(open_writer(fmt, SCHEMA, stream))  # type: ignore[arg-type]
                for fmt, stream in hashed.items()
            ]
            for batch in batches:
                for writer in writers:
                    writer.write(batch)
                rows += batch.num_rows
    return [
        {"name": f"labels.{fmt}", "rows": rows, "bytes": stream.size, "sha256": stream.hash.hexdigest()}
        for fmt, stream in hashed.items()
    ], rows


class _Hashed:
    """A stream that knows the hash and size of what went through it."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self.hash.update(view)
        self.size += len(view)
        self._stream.write(view)
        return len(view)

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        return


class _Folder:
    """The folder of a dataset's exports, on this machine or on any store that fsspec reaches."""

    def __init__(self, root: str, dataset_name: str) -> None:
        import fsspec

        try:
            self._fs, path = fsspec.core.url_to_fs(root)
        except (ImportError, ValueError) as error:
            raise BadInputError(f"HIVEGUARD_EXPORT_ROOT cannot be used: {error}") from None
        self._path = f"{path.rstrip('/')}/{dataset_name}"
        self._local = "file" in (
            self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        )

    def shown(self, name: str) -> str:
        return (
            f"{self._path}/{name}" if self._local else str(self._fs.unstrip_protocol(f"{self._path}/{name}"))
        )

    def open(self, name: str) -> Any:
        """A file for writing; on this machine it appears when it is whole."""
        path = f"{self._path}/{name}"
        if self._local:
            return replacing(Path(path))
        try:
            self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            return self._fs.open(path, "wb")
        except OSError as error:
            raise BadInputError(f"{self.shown(name)} cannot be written: {error}") from None

    def write_json(self, name: str, content: dict[str, Any]) -> str:
        """Write an object; returns the hash of the file."""
        data = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
        with self.open(name) as stream:
            stream.write(data)
        return hashlib.sha256(data).hexdigest()

    def read_json(self, name: str) -> dict[str, Any] | None:
        try:
            with self._fs.open(f"{self._path}/{name}", "rb") as stream:
                content = json.load(stream)
        except FileNotFoundError:
            return None
        return dict(content)

    def remove(self, export_id: str) -> None:
        path = f"{self._path}/{export_id}"
        if self._fs.exists(path):
            self._fs.rm(path, recursive=True)

    def keep_newest(self, kept: int, always: str) -> None:
        """Remove all but the newest exports; never the one that latest.json names."""
        found = sorted(
            entry["name"].rstrip("/").rsplit("/", 1)[-1]
            for entry in self._fs.ls(self._path, detail=True)
            if entry["type"] == "directory"
        )
        for export_id in found[:-kept]:
            if export_id != always:
                self.remove(export_id)
