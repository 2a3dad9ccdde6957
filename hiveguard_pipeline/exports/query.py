"""What a label export reads: seven fields of the finalized labels, in item_id order."""

import uuid

import pyarrow as pa

from hiveguard_pipeline.rules.states import STATES, State

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

_POSTGRES = {
    "item_id": "CAST(item_id AS text)",
    "created_at": "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
}
_SQLITE_TEXT = {"created_at": "coalesce(created_at, '') AS created_at"}
_POSTGRES_TEXT = {
    # An empty text would be quoted, to tell it from NULL.
    "data_ref": "nullif(data_ref, '')",
    "confidence": (
        "CASE confidence WHEN 1000000 THEN '1.0' WHEN 0 THEN '0.0'"
        " ELSE '0.' || rtrim(lpad(CAST(confidence AS text), 6, '0'), '0') END"
    ),
}


def label_query(
    *, sqlite: bool, dataset_id: str | None, min_confidence: int, graduated: bool, as_text: bool = False
) -> str:
    """SQL for finalized labels of all datasets or one, confidence in millionths.

    as_text: as a CSV file has them, an empty text for NULL (on PostgreSQL with confidence as written).
    """
    written = {} if sqlite else dict(_POSTGRES)
    if as_text:
        written |= _SQLITE_TEXT if sqlite else _POSTGRES_TEXT
    conditions = [f"confidence >= {min_confidence:d}"]
    if dataset_id is not None:
        conditions.append(f"dataset_id = '{uuid.UUID(dataset_id)}'")
    if graduated:
        conditions.append(f"state = '{STATES[State.GRADUATED]}'")
    fields = ", ".join(written.get(name, name) for name in FIELDS)
    order = "finalized_labels.item_id"
    if as_text and not sqlite:
        # The same order; PostgreSQL joins and sorts in parallel for it instead of going through an index.
        order = f'CAST({order} AS text) COLLATE "C"'
    return f"SELECT {fields} FROM finalized_labels WHERE {' AND '.join(conditions)} ORDER BY {order}"
