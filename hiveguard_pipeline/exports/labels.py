"""The labels as rows of seven fields, in item_id order, streamed."""

from collections.abc import Generator
from contextlib import closing
from typing import BinaryIO

import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.exports.files import open_writer
from hiveguard_pipeline.exports.query import FIELDS, SCHEMA, label_query
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset
from hiveguard_pipeline.store.stream import stream_columns


def label_batches(
    connection: sa.Connection,
    *,
    dataset_id: str | None = None,
    min_confidence: int = 0,
    graduated: bool = False,
) -> Generator[pa.RecordBatch]:
    """Finalized labels (confidence in millionths) in batches; all datasets, or one."""
    query = label_query(
        sqlite=connection.dialect.name == "sqlite",
        dataset_id=dataset_id,
        min_confidence=min_confidence,
        graduated=graduated,
    )
    yield from stream_columns(connection, query, {}, FIELDS)


def export_labels(
    database: Database,
    stream: BinaryIO,
    fmt: str,
    *,
    dataset_name: str | None = None,
    min_confidence: int = 0,
    graduated: bool = False,
) -> int:
    """Write finalized labels to a stream in one of FORMATS, in constant memory; returns the rows."""
    rows = 0
    with database.read() as connection:
        dataset_id = get_dataset(connection, dataset_name).dataset_id if dataset_name else None
        labels = label_batches(
            connection, dataset_id=dataset_id, min_confidence=min_confidence, graduated=graduated
        )
        with closing(labels) as batches, open_writer(fmt, SCHEMA, stream) as writer:
            for batch in batches:
                writer.write(batch)
                rows += batch.num_rows
    return rows
