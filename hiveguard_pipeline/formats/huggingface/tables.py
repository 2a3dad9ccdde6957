"""Rows of a Hugging Face dataset into saved splits, and out of them, a batch at a time."""

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.huggingface.data_files import refuse_names_outside
from hiveguard_pipeline.formats.huggingface.library import offline

_BATCH = 500
_NULLABLE = ("id", "width", "height", "text")
_LISTS = ("objects", "spans")


def features_of(datasets: Any, names: list[str]) -> Any:
    """The Features of all columns that there can be."""
    value, many = datasets.Value, datasets.List
    label = datasets.ClassLabel(names=names) if names else value("int64")
    return datasets.Features(
        {
            "name": value("string"),
            "id": value("int64"),
            "width": value("int32"),
            "height": value("int32"),
            "text": value("string"),
            "label": label,
            "labels": many(label),
            "objects": many(
                {
                    "bbox": many(value("float64"), length=4),
                    "category": label,
                    "area": value("float64"),
                    "id": value("int64"),
                    "iscrowd": value("bool"),
                }
            ),
            "spans": many(
                {"start": value("int64"), "end": value("int64"), "label": label, "id": value("int64")}
            ),
        }
    )


class SplitWriter:
    """Takes rows split by split, and saves them as a DatasetDict of the columns that were used."""

    def __init__(self, datasets: Any, features: Any, target: Path) -> None:
        self._datasets, self._features, self._target = datasets, features, target
        self._folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=".rows-")
        self._streams: dict[str, Any] = {}
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._used = {"name"}

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams.values():
            stream.close()
        self._folder.cleanup()

    def add(self, split: str, row: dict[str, Any]) -> None:
        """Take a row."""
        labels = row["labels"]
        row = {**row, "label": labels[0] if labels else None}
        self._used.update(name for name in _NULLABLE if row[name] is not None)
        self._used.update(name for name in _LISTS if row[name])
        if labels:
            self._used.add("label" if len(labels) == 1 else "labels")
        waiting = self._waiting.setdefault(split, [])
        waiting.append(row)
        if len(waiting) == _BATCH:
            self._flush(split)

    def save(self, order: tuple[str, ...]) -> None:
        """Save what was taken; a dataset without rows has an empty train."""
        import pyarrow as pa

        used = [name for name in self._features if name in self._used]
        if "labels" in used and "label" in used:
            used.remove("label")
        if self._used == {"name"}:
            self._waiting.setdefault("train", [])
        splits = {}
        for split in [one for one in order if one in self._waiting]:
            self._flush(split)
            self._streams.pop(split).close()
            path = self._path(split)
            table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
            chosen = self._datasets.Dataset(
                self._datasets.table.InMemoryTable(table.select(used)),
                info=self._datasets.DatasetInfo(
                    features=self._datasets.Features({name: self._features[name] for name in used})
                ),
                split=split,
                # The library's own would be of the clock and of chance.
                fingerprint=_digest(path, used),
            )
            splits[split] = chosen
        # Left to itself the library saves no file of no rows, and then cannot load it.
        files = {split: None if len(rows) else 1 for split, rows in splits.items()}
        try:
            self._datasets.DatasetDict(splits).save_to_disk(str(self._target), num_shards=files)
        except (ValueError, OSError) as error:
            raise BadInputError(f"{self._target}: the dataset cannot be saved: {error}.") from None

    def _flush(self, split: str) -> None:
        import pyarrow as pa

        schema = self._features.arrow_schema
        if split not in self._streams:
            self._streams[split] = pa.ipc.new_stream(str(self._path(split)), schema)
        rows = self._waiting[split]
        try:
            batch = pa.RecordBatch.from_pylist(rows, schema=schema)
        except (pa.ArrowInvalid, UnicodeEncodeError, OverflowError) as error:
            names = f"{rows[0]['name']!r} to {rows[-1]['name']!r}"
            raise BadInputError(f"items {names}: Arrow cannot hold a value of them: {error}.") from None
        self._streams[split].write_batch(batch)
        self._waiting[split] = []

    def _path(self, split: str) -> Path:
        return Path(self._folder.name) / f"{split}.arrow"


@dataclass(slots=True)
class Splits:
    """A saved dataset, opened. names: of the classes, in the order of the ClassLabel."""

    path: Path
    tables: dict[str, Any]
    names: list[str]

    def rows(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Each row with its split, and its number there from 1."""
        import pyarrow as pa

        for split, table in self.tables.items():
            number = 0
            try:
                for batch in _without_files(table).to_batches(max_chunksize=_BATCH):
                    batch.validate(full=True)
                    for row in batch.to_pylist():
                        number += 1
                        yield split, number, row
            except (pa.ArrowException, UnicodeDecodeError, OSError, OverflowError) as error:
                raise BadInputError(f"{self.path}, {split}, after row {number}: {error}.") from None


def open_splits(path: Path) -> Splits:
    """Open what `save_to_disk` has written. Raises BadInputError for anything else."""
    import pyarrow as pa

    if not path.is_dir() or not any(
        (path / name).is_file() for name in ("dataset_dict.json", "dataset_info.json")
    ):
        raise BadInputError(f"{path}: not a folder that `save_to_disk` of Hugging Face datasets has written.")
    _refuse_links(path)
    refuse_names_outside(path)
    with offline() as datasets:
        try:
            found = datasets.load_from_disk(str(path))
            if isinstance(found, datasets.Dataset):
                found = {str(found.split or "train"): found}
            tables = {}
            names: list[str] | None = None
            for split, dataset in found.items():
                if dataset._indices is not None:
                    dataset = dataset.flatten_indices()
                tables[split] = dataset.data.table
                mine = _class_names(datasets, dataset.features)
                if names is not None and mine != names:
                    raise BadInputError(f"{path}: the splits have other classes; convert them one by one.")
                names = mine
        except (
            *(ValueError, KeyError, TypeError, AttributeError, OSError, IndexError, RecursionError),
            *(pa.ArrowException, OverflowError, NotImplementedError),
        ) as error:
            raise BadInputError(
                f"{path}: the dataset cannot be opened: {' '.join(str(error).split())}."
            ) from None
    return Splits(path, tables, names or [])


def _without_files(table: Any) -> Any:
    """A table with images and sounds by their path only: what is in them is no annotation."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, field in enumerate(table.schema):
        names = [field.type.field(n).name for n in range(field.type.num_fields)]
        if pa.types.is_struct(field.type) and "bytes" in names and "path" in names:
            paths = pc.struct_field(table.column(place), "path")
            table = table.set_column(place, field.name, paths)
        elif pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            table = table.set_column(place, field.name, pa.nulls(len(table)))
    return table


def _class_names(datasets: Any, features: Any) -> list[str]:
    """The names of the ClassLabel in the columns that we read; all of them must be the same."""
    found: list[list[str]] = []

    def look(feature: Any) -> None:
        if isinstance(feature, datasets.ClassLabel):
            found.append(list(feature.names))
        elif isinstance(feature, dict):
            for one in feature.values():
                look(one)
        elif isinstance(feature, list):
            look(feature[0])
        elif hasattr(feature, "feature"):
            look(feature.feature)

    for name in ("label", "labels", "objects", "spans"):
        if name in features:
            look(features[name])
    if any(one != found[0] for one in found[1:]):
        raise ValueError("the columns label, objects and spans have different lists of classes")
    return found[0] if found else []


def _refuse_links(path: Path) -> None:
    for one in path.rglob("*"):
        if one.is_symlink() and not one.resolve().is_relative_to(path.resolve()):
            raise BadInputError(f"{one}: a link that leads out of the folder; it is not followed.")


def _digest(path: Path, used: list[str]) -> str:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=8))
    digest.update("\0".join(used).encode())
    return digest.hexdigest()
