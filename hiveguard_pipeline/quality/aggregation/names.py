"""Names and codes: solvers, classes and items are known by name from one crowd to the next."""

from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.rules.arithmetic import Codes


def name_codes(names: list[str], known: dict[str, int]) -> Codes:
    """The code of each name, -1 where it is unknown: shape (names,), int32."""
    return np.fromiter(map(known.get, names, repeat(-1)), dtype=np.int32, count=len(names))


def fixed_width(texts: Any) -> np.ndarray[Any, Any]:
    """The UTF-8 of each text: shape (texts,), dtype S. Without a copy where all are of one length (ids)."""
    count = len(texts)
    if not count:
        return np.empty(0, dtype="S1")
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + count + 1]
    width = int(offsets[1] - offsets[0])
    if width and (np.diff(offsets) == width).all():
        return np.frombuffer(texts.buffers()[2], f"S{width}", count=count, offset=int(offsets[0]))
    return np.asarray(texts.cast(pa.binary()).to_numpy(zero_copy_only=False), dtype="S")
