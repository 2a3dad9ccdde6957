"""The labels as rows of seven fields, in item_id order, streamed."""

from collections.abc import Generator
from contextlib import closing
from typing import BinaryIO

import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.exports.files import open_writer
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store.bulk import stream_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset

FIELDS = {
    "item_id": str,
    "data_ref": str,
    "modality": str,
    "label": str,
    "confidence": int,
    "solver_count": int,
    "created_at": str,
}
SCHEMA = pa.schema([(name, pa.string() if kind is str else pa.int64()) for name, kind in FIELDS.items()])


def label_batches(
    connection: sa.Connection,
    *,
    dataset_id: str | None = None,
    min_confidence: int = 0,
    graduated: bool = False,
) -> Generator[pa.RecordBatch]:
    """Finalized labels (confidence in millionths) in batches; all datasets, or one."""
    sqlite = connection.dialect.name == "sqlite"
    conditions = ["confidence >= :least"]
    parameters: dict[str, object] = {"least": min_confidence}
    if dataset_id is not None:
        conditions.append("dataset_id = :dataset")
        parameters["dataset"] = dataset_id
    if graduated:
        conditions.append(f"state = '{STATES[State.GRADUATED]}'")
    fields = "item_id, data_ref, modality, label, confidence, solver_count, created_at"
    if not sqlite:
        fields = fields.replace("item_id", "CAST(item_id AS text)", 1).replace(
            "created_at", "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        )
    query = (
        f"SELECT {fields} FROM finalized_labels WHERE {' AND '.join(conditions)}"
        " ORDER BY finalized_labels.item_id"
    )
    yield from stream_columns(connection, query, parameters, FIELDS)


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
