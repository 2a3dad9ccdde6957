"""Between Python, numpy and Arrow by way of buffers.

pyarrow's own conversions (pa.array, pa.scalar, to_numpy) import pandas the first time, a quarter of a second
of processor time: more than a batch run spends on its votes. They are used where there are so many values
that their speed is worth it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.rules.arithmetic import Integers, Mask

WORTH_PANDAS = 50_000
"""Texts from which on pyarrow's own conversion is faster, its import counted."""

_LONGEST = (1 << 31) - 1
"""Bytes that the offsets of Arrow strings can count."""


def from_numbers(values: Integers, null: Mask | None = None) -> Any:
    """Integers as an Arrow array of their width; null: which of them are null, shape of values."""
    valid = None if null is None else pa.py_buffer(np.packbits(~null, bitorder="little"))
    buffers = [valid, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), buffers)


def from_texts(values: Sequence[str | None]) -> Any:
    """Texts as Arrow strings, null where there is none."""
    data = (
        [] if len(values) >= WORTH_PANDAS else [b"" if value is None else value.encode() for value in values]
    )
    ends = np.cumsum([len(text) for text in data], dtype=np.int64)
    if len(data) < len(values) or ends[-1:].sum() > _LONGEST:
        return pa.array(values, type=pa.string())
    offsets = np.concatenate(([0], ends)).astype(np.int32)
    valid = np.packbits(np.array([value is not None for value in values], dtype=bool), bitorder="little")
    buffers = [pa.py_buffer(valid), pa.py_buffer(offsets), pa.py_buffer(b"".join(data))]
    return pa.Array.from_buffers(pa.string(), len(data), buffers)


def repeated(text: str, rows: int) -> Any:
    """One text as a column."""
    return from_texts([text]).take(from_numbers(np.zeros(rows, dtype=np.int8)))


def to_numbers(column: Any) -> Integers:
    """An Arrow column of integers without nulls as a numpy array of its own."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.array(np.from_dlpack(array))


def to_codes(indices: Any, missing: int) -> Integers:
    """The indices of a dictionary-encoded array as int32; `missing` where they are null."""
    if not len(indices):
        return np.empty(0, dtype=np.int32)
    valid, data = indices.buffers()
    place = slice(indices.offset, indices.offset + len(indices))
    codes = np.frombuffer(data, dtype=np.int32)[place]
    if valid is None:
        return codes.copy()
    there = np.unpackbits(np.frombuffer(valid, dtype=np.uint8), bitorder="little")[place]
    return np.where(there, codes, np.int32(missing))


def to_values(column: Any, rows: int) -> list[Any]:
    """A column as Python's own values. rows: of all that is converted together."""
    if column.null_count or rows < WORTH_PANDAS:
        return list(column.to_pylist())
    return list(column.to_numpy().tolist())
