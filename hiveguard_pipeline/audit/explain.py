"""Everything that made a label: votes, batches with confidence before and after, decisions, Dagster runs."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import get_dataset
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.status import ItemStatus, find_item


@dataclass(frozen=True, slots=True)
class Explanation:
    """An item, its votes in arrival order, its ledger, the decisions on it, its way through stages.

    A vote has the answer as it was given, and as `means` what it means under the classes of now; rows of
    the ledger and decisions have the label under the classes of their time. classes_changed: whether answers
    may mean others now.
    Confidences in millionths, and so probability: that the label is right, None where none was made.
    """

    item: ItemStatus
    probability: int | None
    votes: list[dict[str, Any]]
    classes_changed: bool
    batches: list[dict[str, Any]]
    reviews: list[dict[str, Any]]
    transitions: list[dict[str, Any]]


def explain(connection: sa.Connection, item: str, dataset_name: str | None = None) -> Explanation:
    """Gather an item's history; raises BadInputError if there is no such item."""
    found = find_item(connection, item, dataset_name)
    by_item = {"item": found.item_id}
    votes = connection.execute(
        sa.text(
            "SELECT vote_id, solver_id, answer, duration_ms, created_at, processed, batch_id, excluded"
            " FROM vote_status WHERE item_id = :item ORDER BY vote_id"
        ).columns(created_at=t.UtcTime, processed=sa.Boolean, excluded=sa.Boolean),
        by_item,
    )
    columns = [column for column in t.batches.c if column.name != "item_id"]
    batches = connection.execute(
        sa.select(*columns).where(t.batches.c.item_id == found.item_id).order_by(t.batches.c.batch_id)
    )
    reviews = connection.execute(
        sa.select(*(column for column in t.reviews.c if column.name != "item_id"))
        .where(t.reviews.c.item_id == found.item_id)
        .order_by(t.reviews.c.review_id)
    )
    transitions = connection.execute(
        sa.select(
            *(column for column in t.stage_transitions.c if column.name not in ("item_id", "dataset_id"))
        )
        .where(t.stage_transitions.c.item_id == found.item_id)
        .order_by(t.stage_transitions.c.transition_id)
    )
    probability = connection.execute(
        sa.select(t.labels.c.probability).where(t.labels.c.item_id == found.item_id)
    ).scalar()
    class_map = class_map_of(connection, get_dataset(connection, found.dataset))
    return Explanation(
        item=found,
        probability=probability,
        votes=[dict(row) | {"means": class_map.of_one(row["answer"])} for row in votes.mappings()],
        classes_changed=bool(class_map),
        batches=[dict(row) for row in batches.mappings()],
        reviews=[dict(row) for row in reviews.mappings()],
        transitions=[dict(row) for row in transitions.mappings()],
    )
