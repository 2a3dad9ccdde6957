"""The text of a file's rows, kept small until it is known which of them go into quarantine."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_CODEC = "lz4"


@dataclass(slots=True)
class _Packed:
    size: int
    schema: Any
    data: Any


class RowTexts:
    """Blocks of row texts, compressed; rows count from 0 in the order they came."""

    def __init__(self) -> None:
        self._blocks: list[_Packed] = []
        self._ends: list[int] = []

    def add(self, texts: Any) -> None:
        """Keep the texts of the next rows."""
        batch = pa.record_batch([texts], names=["row"])
        data = batch.serialize()
        self._blocks.append(_Packed(data.size, batch.schema, pa.compress(data, _CODEC)))
        self._ends.append((self._ends[-1] if self._ends else 0) + len(texts))

    def of(self, rows: Any) -> Any:
        """The texts of some rows (rising), with a visible form of NUL, which PostgreSQL cannot hold."""
        edges = np.searchsorted(rows, [0, *self._ends])
        found = []
        for block, end, start, stop in zip(
            self._blocks, self._ends, edges[:-1].tolist(), edges[1:].tolist(), strict=True
        ):
            if start == stop:
                continue
            data = pa.decompress(block.data, block.size, _CODEC)
            texts = pa.ipc.read_record_batch(data, block.schema).column(0)
            found.append(texts.take(pa.array(rows[start:stop] - (end - len(texts)))))
        return pc.replace_substring(pa.chunked_array(found, type=pa.string()), "\0", "\\0").combine_chunks()
