"""Labels from the store to a stream in a process that does nothing else: quick to start, quick to write."""

from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from hiveguard_pipeline.exports.files import open_writer
from hiveguard_pipeline.exports.query import FIELDS, SCHEMA, label_query
from hiveguard_pipeline.store.direct import DirectSqlite, open_direct


def export_directly(
    url: str,
    stream: BinaryIO,
    fmt: str,
    *,
    dataset_name: str | None = None,
    min_confidence: int = 0,
    graduated: bool = False,
) -> int | None:
    """Write finalized labels as `export_labels` does, byte for byte; returns the rows.

    None, and nothing written, where the ordinary way has to be taken: a database that is not set up, a
    dataset that is not there, a format that PostgreSQL does not write itself.
    """
    with open_direct(url) as store:
        if store is None:
            return None
        sqlite = isinstance(store, DirectSqlite)
        if not sqlite and fmt != "csv":
            return None
        ids = {name: str(key) for key, name in store.rows("SELECT dataset_id, name FROM datasets")}
        if dataset_name is not None and dataset_name not in ids:
            return None
        query = label_query(
            sqlite=sqlite,
            dataset_id=None if dataset_name is None else ids[dataset_name],
            min_confidence=min_confidence,
            graduated=graduated,
            as_text=True,
        )
        if not isinstance(store, DirectSqlite):
            stream.write((",".join(FIELDS) + "\n").encode())
            return store.copy_csv(query, stream)
        rows = 0
        with store.batches(query, SCHEMA) as batches, open_writer(fmt, SCHEMA, stream) as writer:
            for batch in batches:
                writer.write(_with_nulls(batch))
                rows += batch.num_rows
    return rows


def _with_nulls(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch in which an empty time is none."""
    place = batch.schema.get_field_index("created_at")
    time = batch.column(place)
    if pc.min(pc.binary_length(time)).as_py() != 0:
        return batch
    filled = pc.if_else(pc.equal(time, ""), pa.nulls(1, pa.string())[0], time)
    return batch.set_column(place, "created_at", filled)
