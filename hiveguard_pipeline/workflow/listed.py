"""What waits in stages, and the ways that items went, as rows."""

from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.status import find_item


def waiting_items(
    connection: sa.Connection, dataset: Dataset, stage: str | None = None
) -> list[dict[str, Any]]:
    """The items that wait in a stage, longest first. answers: how many each has there, not what they say."""
    within = " AND w.stage = :stage" if stage is not None else ""
    rows = connection.execute(
        sa.text(
            "SELECT w.item_id, s.external_id, w.stage, s.state, s.label, s.confidence, (SELECT count(*)"
            " FROM stage_answers a WHERE a.item_id = w.item_id AND a.stage = w.stage"
            " AND a.entered_at = w.entered_at) AS answers, w.entered_at, w.due_at FROM item_stages w"
            f" JOIN item_status s ON s.item_id = w.item_id WHERE w.dataset_id = :dataset{within}"
            " ORDER BY w.entered_at, w.item_id"
        ).columns(item_id=t.Uuid, entered_at=t.UtcTime, due_at=t.UtcTime),
        {"dataset": dataset.dataset_id} | ({"stage": stage} if stage is not None else {}),
    )
    return [dict(row) for row in rows.mappings()]


def transitions_of(
    connection: sa.Connection, dataset: Dataset, item: str | None = None
) -> list[dict[str, Any]]:
    """The transitions of a dataset, or of one item of it, oldest first."""
    query = (
        sa.select(t.stage_transitions, t.items.c.external_id)
        .join(t.items, t.items.c.item_id == t.stage_transitions.c.item_id)
        .where(t.stage_transitions.c.dataset_id == dataset.dataset_id)
        .order_by(t.stage_transitions.c.transition_id)
    )
    if item is not None:
        query = query.where(
            t.stage_transitions.c.item_id == find_item(connection, item, dataset.name).item_id
        )
    return [dict(row) for row in connection.execute(query).mappings()]
