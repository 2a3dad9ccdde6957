"""The three tables of a recount as one stream of rows, as one pass of Spark over the votes gives them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from hiveguard_pipeline.recount.fold import TABLES, VOTES, Stamp, recount

PART = "part"
"""The column that says which table a row belongs to."""

ROWS = pa.schema(
    [
        (PART, pa.string()),
        *{field.name: field.type for table in TABLES.values() for field in table}.items(),
    ]
)
"""The columns of all tables; those that a row's table does not have are null."""


@dataclass(frozen=True, slots=True)
class VotesToRows:
    """Turns the votes of a partition, ordered by item_id and vote_id, into rows; runs on executors."""

    stamp: Stamp

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some whole items at a time."""
        for part in recount((_as_votes(batch) for batch in batches), self.stamp):
            for name in TABLES:
                yield _rows(name, getattr(part, name))


def _as_votes(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.record_batch([batch.column(field.name).cast(field.type) for field in VOTES], schema=VOTES)


def _rows(table: str, rows: pa.RecordBatch) -> pa.RecordBatch:
    count = rows.num_rows
    arrays = [pa.repeat(pa.scalar(table), count)]
    for field in list(ROWS)[1:]:
        own = rows.schema.get_field_index(field.name)
        arrays.append(rows.column(own) if own >= 0 else pa.nulls(count, field.type))
    return pa.record_batch(arrays, schema=ROWS)
