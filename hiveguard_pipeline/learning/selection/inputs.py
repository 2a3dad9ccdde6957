"""What selectors take: arrays that are checked as they come in, and errors that say what is wrong with them.

Arrays with a row for each item of the pool may be large: they are checked chunk by chunk as they are scored,
and never copied whole. Nothing here knows how a strategy ranks.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hiveguard_pipeline.errors import BadInputError

Reals = NDArray[np.float64]
Embedding = NDArray[np.floating[Any]]
Positions = NDArray[np.int64]
TieKeys = NDArray[Any]

CHUNK_VALUES = 1 << 17
"""Numbers that are scored at once (1 MB): large enough for numpy, small enough for a processor's cache."""

SUM_TOLERANCE = 1e-3
"""How far a row of probabilities may be from 1: float16 and float32 of other frameworks are not exact."""


def matrix(values: ArrayLike, name: str) -> NDArray[Any]:
    """The values as a numeric array of two dimensions, as they are (no copy of an array)."""
    if hasattr(values, "toarray"):
        raise BadInputError(
            f"{name}: a sparse matrix; selection works on dense arrays: reduce it first"
            " (e.g. sklearn.decomposition.TruncatedSVD)"
        )
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise BadInputError(f"{name}: rows of different lengths") from error
    if array.ndim != 2:
        raise BadInputError(f"{name}: shape {array.shape}; expected (items, columns)")
    return _numeric(array, name)


def column(values: ArrayLike, name: str) -> NDArray[Any]:
    """The values as a numeric array of one dimension."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise BadInputError(f"{name}: shape {array.shape}; expected (items,)")
    return _numeric(array, name)


def classes_wanted(probabilities: NDArray[Any], name: str = "probabilities") -> None:
    """Refuse probabilities that cannot tell items apart. The rows are checked by `probability_chunks`."""
    if probabilities.shape[1] < 2:
        raise BadInputError(
            f"{name}: {probabilities.shape[1]} column(s); a model that knows fewer than two classes cannot"
            " choose: label items of another class first, or use the strategy diversity or random"
        )


def probability_chunks(
    probabilities: NDArray[Any], name: str = "probabilities"
) -> Iterator[tuple[int, Reals]]:
    """Chunks of rows as float64, each with the position of its first row, checked.

    probabilities: shape (items, classes). Raises BadInputError for the first row that has NaN, a negative
    number, or does not sum to 1 within SUM_TOLERANCE.
    """
    size, width = probabilities.shape
    rows = rows_of_chunk(width)
    for start in range(0, size, rows):
        chunk = probabilities[start : start + rows].astype(np.float64)
        total = chunk.sum(axis=1)
        right = np.abs(total - 1.0) <= SUM_TOLERANCE  # False for NaN and infinity
        if not right.all() or chunk.min() < 0.0:
            _refuse_probabilities(chunk, start, name)
        yield start, chunk


def rows_of_chunk(width: int) -> int:
    """Rows of a chunk of an array of this width."""
    return max(1, CHUNK_VALUES // max(1, width))


def embedding_of(values: ArrayLike, name: str) -> Embedding:
    """The values as float32 or float64 of shape (items, dimensions), all finite; float32 stays as it is."""
    array = matrix(values, name)
    if array.shape[1] == 0:
        raise BadInputError(f"{name}: no columns")
    floats = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    rows = rows_of_chunk(array.shape[1])
    for start in range(0, len(floats), rows):
        finite = np.isfinite(floats[start : start + rows]).all(axis=1)
        if not finite.all():
            raise BadInputError(f"{name}: row {start + int(np.argmin(finite))} has a NaN or infinite number")
    return floats


def scores_of(values: ArrayLike, name: str = "scores") -> Reals:
    """Scores of items, higher = ask first, as float64 of shape (items,), all finite and at least 0."""
    scores = column(values, name).astype(np.float64, copy=False)
    right = np.isfinite(scores) & (scores >= 0.0)
    if not right.all():
        first = int(np.argmin(right))
        raise BadInputError(
            f"{name}: item {first} has {scores[first]}; expected a finite number of at least 0"
        )
    return scores


def offsets_of(values: ArrayLike, length: int, name: str) -> Positions:
    """Where each item's rows begin, and the end: shape (items + 1,), from 0 to length, never falling."""
    offsets = column(values, name)
    if not np.issubdtype(offsets.dtype, np.integer):
        raise BadInputError(f"{name}: {offsets.dtype}; expected whole numbers")
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != length or (np.diff(offsets) < 0).any():
        raise BadInputError(f"{name}: expected rising positions from 0 to {length}, one more than items")
    return offsets.astype(np.int64)


def wanted(n: int, size: int) -> int:
    """How many items to pick from a pool of this size; refused where there are not as many."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise BadInputError(f"n is {n!r}; expected a whole number of at least 1")
    if n > size:
        raise BadInputError(f"{n} items wanted, and the pool has {size}: ask for {size} or fewer")
    return int(n)


def tie_keys(ties: Sequence[Any] | NDArray[Any] | None, size: int) -> TieKeys | None:
    """What breaks ties, smallest first: a key for each item (e.g. its id); None means the position."""
    if ties is None:
        return None
    keys = np.asarray(ties)
    if keys.shape != (size,):
        raise BadInputError(f"ties: shape {keys.shape}; expected a key for each of {size} items")
    return keys


def _numeric(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.dtype.kind not in "fiu":
        raise BadInputError(f"{name}: {array.dtype} values; expected numbers")
    return array


def _refuse_probabilities(chunk: Reals, start: int, name: str) -> None:
    faults = (
        (~np.isfinite(chunk).all(axis=1), "has a NaN or infinite number"),
        ((chunk < 0.0).any(axis=1), "has a negative number"),
        (np.abs(chunk.sum(axis=1) - 1.0) > SUM_TOLERANCE, "sums to {total:.6g}, not to 1"),
    )
    first, fault = min((int(np.argmax(found)), text) for found, text in faults if found.any())
    raise BadInputError(f"{name}: row {start + first} " + fault.format(total=chunk[first].sum()))
