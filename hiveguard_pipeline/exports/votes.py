"""The votes of a dataset as rows, in vote_id order, streamed.

They serve a recount elsewhere (Parquet), and an import into another store (the others): importing a file
of them gives the same votes in the same order. Votes of excluded solvers are there and marked: a recount
leaves them out.
"""

from collections.abc import Generator
from contextlib import closing
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.exports.files import open_writer
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset, progress_of
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.horizon import WAIT_SECONDS, safe_horizon
from hiveguard_pipeline.store.stream import stream_columns
from hiveguard_pipeline.store.tables import written_time

_TEXT = {int: pa.int64(), str: pa.string()}
_PARQUET = {"duration_ms": pa.int64(), "created_at": pa.timestamp("us", tz="UTC")}
"""What is text in the other formats: a number that may be missing, and a time."""
_KINDS = {"excluded": pa.bool_()}

FIELDS = {
    "vote_id": int,
    "item_id": str,
    "external_id": str,
    "solver_id": str,
    "answer": str,
    "duration_ms": str,
    "created_at": str,
    "gold_label": str,
    "excluded": int,
}


def vote_batches(connection: sa.Connection, dataset: Dataset, horizon: int) -> Generator[pa.RecordBatch]:
    """A dataset's votes up to a horizon in batches of text columns; vote_id and excluded (0, 1) as int64."""
    is_excluded = "CASE WHEN true" + counted(connection, dataset) + " THEN 0 ELSE 1 END"
    item_id, duration_ms = (f"CAST({name} AS text)" for name in ("v.item_id", "v.duration_ms"))
    created_at = written_time(connection, "v.created_at")
    query = (
        f"SELECT v.vote_id, {item_id}, i.external_id, v.solver_id, v.answer, {duration_ms}, {created_at},"
        f" i.gold_label, {is_excluded} FROM votes v JOIN items i ON i.item_id = v.item_id"
        " WHERE i.dataset_id = :dataset AND v.vote_id <= :horizon ORDER BY v.vote_id"
    )
    yield from stream_columns(connection, query, {"dataset": dataset.dataset_id, "horizon": horizon}, FIELDS)


def export_votes(
    database: Database,
    stream: BinaryIO,
    fmt: str,
    dataset_name: str,
    wait_seconds: float = WAIT_SECONDS,
) -> int:
    """Write a dataset's votes to a stream in one of FORMATS, in constant memory; returns the rows.

    Votes that other writers have not committed yet, and those after them, are left to the next export.
    """
    with database.look() as connection:
        dataset = get_dataset(connection, dataset_name)
        horizon = safe_horizon(connection, progress_of(connection, dataset).folded_through, wait_seconds)
    kinds = _KINDS | (_PARQUET if fmt == "parquet" else {})
    schema = pa.schema([(name, kinds.get(name, _TEXT[kind])) for name, kind in FIELDS.items()])
    rows = 0
    with database.read() as connection:
        votes = vote_batches(connection, dataset, horizon)
        with closing(votes) as batches, open_writer(fmt, schema, stream) as writer:
            for batch in batches:
                writer.write(_cast(batch, schema))
                rows += batch.num_rows
    return rows


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns: list[Any] = [pc.cast(batch.column(field.name), field.type) for field in schema]
    return pa.record_batch(columns, schema=schema)
