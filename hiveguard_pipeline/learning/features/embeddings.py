"""Vectors that a user supplies: a .npy file with the names of its rows beside it, Parquet, or CSV.

`vectors.npy` of shape (n, d) has `vectors.ids.txt` beside it, an item_id or external_id a line. A Parquet or
CSV file has a column `item_id` or `external_id` and the numbers of each vector: in Parquet a list column
`vector` (or `embedding`), in CSV that column as a JSON list, or columns of numbers named `v0`, `v1`, ...
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.features.source import NO_VECTOR, Features, Items

NAMES = ("item_id", "external_id")
VECTORS = ("vector", "embedding")
_NUMBERED = re.compile(r"v\d+")


class Embeddings:
    """The vectors of a file; read once, when first used. Raises BadInputError for a file of no use."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._read = False
        self._place: dict[str, int] = {}
        self._named_by: tuple[str, ...] = NAMES
        self._vectors: Any = None

    @property
    def description(self) -> dict[str, Any]:
        """The kind alone: which file it is stands in the dataset's settings."""
        return {"kind": "embeddings"}

    def make(self, items: Items) -> Features:
        """The vectors as a float32 matrix."""
        if not self._read:
            self._open()
        places = np.full(len(items), -1, dtype=np.int64)
        for column in self._named_by:
            names = items.item_ids if column == "item_id" else items.external_ids
            named = np.array([self._place.get(name, -1) for name in names], dtype=np.int64)
            places = np.where(places < 0, named, places)
        positions = np.flatnonzero(places >= 0)
        rows = np.asarray(self._vectors[places[positions]], dtype=np.float32)
        whole = np.isfinite(rows).all(axis=1)
        faults = {
            NO_VECTOR: int((places < 0).sum()),
            "not_finite": int((~whole).sum()),
        }
        return Features(rows[whole], positions[whole], {why: count for why, count in faults.items() if count})

    def _open(self) -> None:
        path = Path(self.file)
        try:
            if path.suffix == ".npy":
                names, self._vectors = _of_npy(path)
            elif path.suffix in (".parquet", ".csv"):
                column, names, self._vectors = _of_table(path)
                self._named_by = (column,)
            else:
                raise BadInputError(f"{path}: embeddings are a .npy, .parquet or .csv file")
        except OSError as error:
            raise BadInputError(f"{path} cannot be read: {error.strerror or error}") from None
        if self._vectors.ndim != 2 or len(self._vectors) != len(names):
            raise BadInputError(
                f"{path} holds vectors of shape {self._vectors.shape} for {len(names):,} names; it must be"
                " (names, numbers)"
            )
        self._place = {name: place for place, name in enumerate(names)}
        if len(self._place) < len(names):
            raise BadInputError(f"{path} names an item twice")
        self._read = True


def _of_npy(path: Path) -> tuple[list[str], Any]:
    beside = path.with_suffix(".ids.txt")
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise BadInputError(f"{path} is no .npy file of numbers: {error}") from None
    if vectors.dtype.kind not in "fiu":
        raise BadInputError(f"{path} holds {vectors.dtype}, no numbers")
    try:
        return beside.read_text(encoding="utf-8").splitlines(), vectors
    except FileNotFoundError:
        raise BadInputError(
            f"{beside} is missing: an item_id or external_id a line, in the order of the vectors"
        ) from None
    except UnicodeDecodeError:
        raise BadInputError(f"{beside} is not UTF-8 text") from None


def _of_table(path: Path) -> tuple[str, list[str], Any]:
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path)
        else:
            text = {name: pa.string() for name in (*NAMES, *VECTORS)}
            table = pa_csv.read_csv(path, convert_options=pa_csv.ConvertOptions(column_types=text))
    except pa.ArrowException as error:
        raise BadInputError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    column = next((name for name in NAMES if name in table.column_names), None)
    if column is None:
        raise BadInputError(f"{path} has no column item_id or external_id")
    named = next((name for name in VECTORS if name in table.column_names), None)
    try:
        if named is not None and path.suffix == ".parquet":
            vectors = table[named].combine_chunks()
            lengths = set(np.diff(np.asarray(vectors.offsets))) if hasattr(vectors, "offsets") else {0}
            if len(lengths) > 1 or vectors.null_count:
                raise BadInputError(f"{path}: the vectors are not all of one length")
            rows = np.asarray(vectors.flatten()).reshape(len(table), -1)
        elif named is not None:
            rows = np.array([json.loads(text) for text in table[named].to_pylist()], dtype=np.float32)
        else:
            numbered = [name for name in table.column_names if _NUMBERED.fullmatch(name)]
            if not numbered:
                raise BadInputError(f"{path} has no column vector or embedding, and no v0, v1, ...")
            numbered.sort(key=lambda name: int(name[1:]))
            rows = np.column_stack([table[name].to_numpy() for name in numbered])
        return column, [str(name) for name in table[column].to_pylist()], rows.astype(np.float32, copy=False)
    except (ValueError, TypeError) as error:
        raise BadInputError(f"{path}: the vectors are no lists of numbers of one length: {error}") from None
