"""A snapshot as files that training jobs read: the same bytes for the same snapshot, options and release.

Nothing is asked of the clock, the locale or the database as it stands today: rows and classes are the
snapshot's own. manifest.json says which snapshot it was, by which policy, and the hash of each file.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from hiveguard_pipeline import __version__
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports.files import FORMATS as PLAIN
from hiveguard_pipeline.exports.files import open_writer
from hiveguard_pipeline.exports.query import FIELDS
from hiveguard_pipeline.snapshots.content import HASHED
from hiveguard_pipeline.snapshots.files import SnapshotFolder, batches, sha256_of
from hiveguard_pipeline.snapshots.records import Snapshot, policy_of
from hiveguard_pipeline.snapshots.split import SPLITS
from hiveguard_pipeline.store.database import Database

MANIFEST = "manifest.json"
TRAINING = ("coco", "voc", "yolo", "spacy", "huggingface")
EXPORT_FORMATS = (*PLAIN, *TRAINING)

_FITTING = {
    "bbox": ("coco", "voc", "yolo", "huggingface"),
    "ner": ("spacy", "huggingface"),
    "text_classification": ("spacy", "huggingface"),
}
"""Training formats by task type; every other one has Hugging Face alone."""
_NEED_SIZES = ("voc", "yolo")
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Options of a training format, as `hiveguard convert` has them. image_dir: for sizes not recorded."""

    rebase_paths: str | None = None
    image_dir: Path | None = None
    allow_lossy: bool = False


@dataclass(slots=True)
class Exported:
    """What was written: files with rows, bytes and hashes; losses: kept in a side-car, and lost."""

    files: list[dict[str, Any]] = field(default_factory=list)
    kept: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)


def check_format(fmt: str, task_type: str) -> None:
    """Raise BadInputError, naming those that fit, for a format that a task type cannot be written in."""
    fitting = (*PLAIN, *_FITTING.get(task_type, ("huggingface",)))
    if fmt not in EXPORT_FORMATS:
        raise BadInputError(f"there is no format {fmt!r} of exports; there are {', '.join(EXPORT_FORMATS)}")
    if fmt not in fitting:
        raise BadInputError(
            f"labels of {task_type} cannot be written as {fmt}; they can as {', '.join(fitting)}"
        )


def export_snapshot(
    database: Database,
    snapshot: Snapshot,
    root: str,
    fmt: str,
    output: Path,
    options: ExportOptions | None = None,
) -> Exported:
    """Write a snapshot to a new folder: its files and manifest.json, all or nothing.

    Raises BadInputError for a format that does not fit, for what the format cannot hold unless
    options.allow_lossy, for sizes or texts that are missing, and for an output that is there already.
    """
    check_format(fmt, snapshot.header.task_type)
    chosen = options or ExportOptions()
    with database.read() as connection:
        recorded = policy_of(connection, snapshot)
    SnapshotFolder(root).refuse_changed(snapshot.file, snapshot.file_sha256)
    with new_folder(output) as folder:
        done = write_files(SnapshotFolder(root), snapshot, fmt, folder, chosen)
        manifest = {
            "snapshot_id": snapshot.snapshot_id,
            "header": snapshot.header.values(),
            "schema": {
                "version": snapshot.header.schema_version,
                "task_type": snapshot.header.task_type,
                "classes": snapshot.header.values()["classes"],
            },
            "policy": recorded.policy.settings(),
            "format": fmt,
            "options": {
                "rebase_paths": chosen.rebase_paths,
                "image_sizes": "of image files" if chosen.image_dir else "recorded",
                "allow_lossy": chosen.allow_lossy,
            },
            "losses": {"kept_in_side_car": done.kept, "lost": done.lost},
            "licences": list(snapshot.header.licences),
            "hiveguard_version": __version__,
            "files": done.files,
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8", newline="\n")
    return done


def write_files(
    folder: SnapshotFolder, snapshot: Snapshot, fmt: str, target: Path, options: ExportOptions
) -> Exported:
    """Write a snapshot's files of one format into an empty folder of this machine; no manifest."""
    done = Exported()
    if fmt in PLAIN:
        with (target / f"labels.{fmt}").open("wb") as stream:
            _write_plain(folder, snapshot, fmt, stream)
    else:
        _write_training(folder, snapshot, fmt, target, options, done)
    done.files = list(_files_of(target))
    return done


def label_rows(
    folder: SnapshotFolder, snapshot: Snapshot, names: tuple[str, ...]
) -> Generator[pa.RecordBatch]:
    """Some columns of a snapshot's rows, in batches of the schema that exports write."""
    schema = pa.schema([HASHED.field(name) for name in names])
    with folder.reading(snapshot.file) as file:
        for batch in batches(file, snapshot.file, names, _ROWS_AT_ONCE):
            yield batch.select(names).cast(schema)


def _write_plain(folder: SnapshotFolder, snapshot: Snapshot, fmt: str, stream: BinaryIO) -> None:
    """The seven fields of every label export, and behind them the split."""
    names = (*FIELDS, "split")
    schema = pa.schema([HASHED.field(name) for name in names])
    with open_writer(fmt, schema, stream) as writer:
        for batch in label_rows(folder, snapshot, names):
            writer.write(batch)


def _write_training(
    folder: SnapshotFolder, snapshot: Snapshot, fmt: str, target: Path, options: ExportOptions, done: Exported
) -> None:
    from hiveguard_pipeline.formats import Options, write_source
    from hiveguard_pipeline.snapshots.items import COLUMNS, naming_of, source_of, without

    def rows() -> Iterator[pa.RecordBatch]:
        return label_rows(folder, snapshot, COLUMNS)

    _refuse_missing(fmt, snapshot, options, without, rows)
    naming = naming_of(rows, options.rebase_paths)
    asked = Options(
        image_dir=options.image_dir, rebase_paths=options.rebase_paths, allow_lossy=options.allow_lossy
    )
    if fmt == "coco":  # a document has no splits: one for each
        written = [
            write_source(
                source_of(snapshot.header, rows, naming, split), fmt, target / f"{split}.json", asked
            )
            for split in SPLITS
        ]
    else:
        written = [write_source(source_of(snapshot.header, rows, naming), fmt, target, asked)]
    for conversion in written:
        for losses, counted in ((conversion.kept, done.kept), (conversion.lost, done.lost)):
            for loss in losses:
                counted[loss.code] = counted.get(loss.code, 0) + loss.count


def _refuse_missing(fmt: str, snapshot: Snapshot, options: ExportOptions, without: Any, rows: Any) -> None:
    if fmt in _NEED_SIZES and options.image_dir is None and (named := without("width", rows)):
        raise BadInputError(
            f"{fmt} wants the sizes of images, and these have none: {named}; name the folder of the images"
            " with --image-dir"
        )
    is_text = fmt == "spacy" or snapshot.header.task_type == "ner"
    if is_text and (named := without("content", rows)):
        raise BadInputError(
            f"{fmt} wants the texts, and these items have none: {named}; import the items with a column"
            " `content`"
        )


def _files_of(target: Path) -> Iterator[dict[str, Any]]:
    """Each file below a folder, by name, with its size and hash."""
    names = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    for name in names:
        with (target / name).open("rb") as stream:
            yield {"name": name, "bytes": os.fstat(stream.fileno()).st_size, "sha256": sha256_of(stream)}


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A folder that appears under its name when the block ends without an error; else nothing is left."""
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise BadInputError(f"{output} is there already; name a new folder, or take it away first")
    hidden = None
    try:
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.absolute().parent))
        partial = hidden / "output"
        partial.mkdir()
        yield partial
        os.replace(partial, output)
    except OSError as error:
        raise BadInputError(f"{output} cannot be written: {error.strerror or error}") from None
    finally:
        if hidden is not None:
            with suppress(OSError):
                shutil.rmtree(hidden)
