"""Where items stand: the funnel, counts, and single items by id or name."""

import uuid
from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.errors import NotFoundError
from hiveguard_pipeline.rules.states import STATES
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import Dataset, get_dataset


@dataclass(frozen=True, slots=True)
class ItemStatus:
    """One item as it stands; confidence in millionths, None without a label."""

    item_id: str
    dataset_id: str
    dataset: str
    external_id: str
    data_ref: str
    modality: str
    gold_label: str | None
    state: str
    label: str | None
    confidence: int | None
    vote_count: int
    revalidation_vote_count: int
    revalidation_epochs: int
    policy_id: int | None
    generation: int
    applied_through: int


def funnel(connection: sa.Connection, dataset: Dataset) -> dict[str, int]:
    """Items by state, every state named."""
    rows = connection.execute(
        sa.text("SELECT state, count(*) FROM item_status WHERE dataset_id = :dataset GROUP BY state"),
        {"dataset": dataset.dataset_id},
    )
    counted = {str(state): int(count) for state, count in rows}
    return {state: counted.get(state, 0) for state in STATES}


def labels_by_policy(connection: sa.Connection, dataset: Dataset) -> dict[int, int]:
    """policy_id -> labels whose newest change was made under it."""
    rows = connection.execute(
        sa.text("SELECT policy_id, count(*) FROM labels WHERE dataset_id = :dataset GROUP BY policy_id"),
        {"dataset": dataset.dataset_id},
    )
    return {int(policy_id): int(count) for policy_id, count in rows}


def vote_counts(connection: sa.Connection, dataset: Dataset) -> dict[str, int]:
    """Votes of a dataset: received = applied + unprocessed + quarantined + excluded."""
    row = connection.execute(
        sa.text(
            "SELECT received, applied, unprocessed, quarantined, excluded FROM vote_counts"
            " WHERE dataset_id = :dataset"
        ),
        {"dataset": dataset.dataset_id},
    ).one()
    return {str(kind): int(count) for kind, count in row._mapping.items()}


def confidence_histogram(connection: sa.Connection, dataset: Dataset, bins: int = 20) -> list[int]:
    """Labels by confidence, in bins of equal width over [0, 1]; 1.0 is in the last one."""
    width = 1_000_000 // bins
    rows = connection.execute(
        sa.text(
            f"SELECT CASE WHEN confidence >= 1000000 THEN {bins - 1} ELSE confidence / {width} END AS bin,"
            " count(*) FROM labels WHERE dataset_id = :dataset AND confidence IS NOT NULL"
            " AND state <> 'gold' GROUP BY 1"
        ),
        {"dataset": dataset.dataset_id},
    )
    counts = [0] * bins
    for position, count in rows:
        counts[int(position)] = int(count)
    return counts


def find_item(connection: sa.Connection, item: str, dataset_name: str | None = None) -> ItemStatus:
    """An item by item_id, or by external_id with its dataset; raises NotFoundError if there is none."""
    if dataset_name is not None:
        dataset = get_dataset(connection, dataset_name)
        named = (t.items.c.external_id == item) | (t.items.c.item_id == _id_or_none(item))
        by: sa.ColumnElement[bool] = (t.items.c.dataset_id == dataset.dataset_id) & named
        where = f"in dataset {dataset_name}"
    else:
        by = t.items.c.item_id == _id_or_none(item)
        where = "(an external_id wants --dataset)"
    row = connection.execute(
        sa.select(t.items.c.item_id).where(by).order_by(t.items.c.external_id != item).limit(1)
    ).first()
    if row is None:
        raise NotFoundError(f"there is no item {item!r} {where}")
    found = connection.execute(
        sa.text(
            "SELECT s.*, d.name AS dataset FROM item_status s JOIN datasets d ON d.dataset_id = s.dataset_id"
            " WHERE s.item_id = :item"
        ),
        {"item": row.item_id},
    ).one()
    return ItemStatus(
        item_id=str(found.item_id),
        dataset_id=str(found.dataset_id),
        dataset=found.dataset,
        external_id=found.external_id,
        data_ref=found.data_ref,
        modality=found.modality,
        gold_label=found.gold_label,
        state=found.state,
        label=found.label,
        confidence=found.confidence,
        vote_count=found.vote_count,
        revalidation_vote_count=found.revalidation_vote_count,
        revalidation_epochs=found.revalidation_epochs,
        policy_id=found.policy_id,
        generation=found.generation,
        applied_through=found.applied_through,
    )


def _id_or_none(text: str) -> str | None:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None
