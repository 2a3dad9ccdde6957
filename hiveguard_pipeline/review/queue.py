"""The review queue: labels under the floor, and items on which no answer gets a majority."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import Dataset, current_policy
from hiveguard_pipeline.store.exclusions import counted

LOW_CONFIDENCE = "low_confidence"
NO_MAJORITY = "no_majority"
HELD = "held"
"""A stage of the dataset's workflow took the item out of use until its people have looked at it."""


@dataclass(frozen=True, slots=True)
class Flagged:
    """An item to review. reason is low_confidence, no_majority or held; confidence in millionths.

    proposal: what the model says it is, and its probability in millionths; None where it says nothing, where
    the item is blind, and where the classes are others than the model's. stage: in which it waits for people,
    None where the dataset has no workflow, or none has taken it up.
    """

    dataset: str
    item_id: str
    external_id: str
    data_ref: str
    modality: str
    reason: str
    label: str | None
    confidence: int | None
    votes: int
    waiting_votes: int
    proposal: str | None
    proposal_probability: int | None
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class QueueHead:
    """Where items stand in the queue: (confidence in millionths, 0 without a label; item_id), the first ones.

    total: how many are flagged in all.
    """

    keys: list[tuple[int, str]]
    total: int


def queue_head(connection: sa.Connection, dataset: Dataset, limit: int) -> QueueHead:
    """The beginning of a dataset's queue, without what there is to know of its items."""
    query, values = _flagged(connection, dataset)
    rows = connection.execute(
        sa.text(
            f"SELECT item_id, confidence, count(*) OVER () AS total FROM ({query}) f {_ORDER} LIMIT :limit"
        ).columns(item_id=t.Uuid),
        values | {"limit": limit},
    ).all()
    return QueueHead([(row.confidence, str(row.item_id)) for row in rows], rows[0].total if rows else 0)


@dataclass(frozen=True, slots=True)
class QueueLength:
    """How many items are flagged, and how many votes wait for their decisions."""

    items: int
    waiting_votes: int


def queue_length(connection: sa.Connection, dataset: Dataset) -> QueueLength:
    """Counted in the database."""
    query, values = _flagged(connection, dataset)
    row = connection.execute(
        sa.text(
            f"SELECT count(*) AS items, coalesce(sum({_votes(connection, dataset)}"
            " - s.vote_count - s.revalidation_vote_count), 0) AS waiting"
            f" FROM ({query}) f JOIN item_status s ON s.item_id = f.item_id"
        ),
        values,
    ).one()
    return QueueLength(int(row.items), int(row.waiting))


def list_flagged(connection: sa.Connection, dataset: Dataset, limit: int | None = None) -> list[Flagged]:
    """The queue of a dataset, least confident first, then by item_id. Votes of excluded solvers are none."""
    query, values = _flagged(connection, dataset)
    first = f"SELECT item_id, confidence FROM ({query}) f" + (f" {_ORDER} LIMIT :limit" if limit else "")
    rows = connection.execute(
        sa.text(
            "SELECT s.item_id, s.external_id, s.data_ref, s.modality, s.label, s.confidence,"
            f" s.vote_count + s.revalidation_vote_count AS votes, {_votes(connection, dataset)} AS all_votes,"
            f" {_HELD} AS held, p.answer AS proposal, p.probability,"
            " (SELECT w.stage FROM item_stages w WHERE w.item_id = s.item_id) AS stage"
            f" FROM ({first}) f JOIN item_status s ON s.item_id = f.item_id"
            " LEFT JOIN (prelabels p JOIN models m ON m.model_id = p.model_id"
            " AND m.schema_version = :schema) ON p.item_id = s.item_id AND NOT p.blind"
            " ORDER BY f.confidence, s.item_id"
        ).columns(item_id=t.Uuid),
        values | {"schema": dataset.schema_version} | ({"limit": limit} if limit else {}),
    )
    return [
        Flagged(
            dataset=dataset.name,
            item_id=str(row.item_id),
            external_id=row.external_id,
            data_ref=row.data_ref,
            modality=row.modality,
            reason=HELD if row.held else NO_MAJORITY if row.label is None else LOW_CONFIDENCE,
            label=row.label,
            confidence=row.confidence,
            votes=row.votes,
            waiting_votes=row.all_votes - row.votes,
            proposal=row.proposal,
            proposal_probability=row.probability,
            stage=row.stage,
        )
        for row in rows
    ]


_ORDER = "ORDER BY confidence, item_id"

_HELD = (
    "CASE WHEN s.label IS NOT NULL AND EXISTS (SELECT 1 FROM batches b"
    " JOIN reviews r ON r.review_id = b.review_id WHERE r.decision = 'hold'"
    " AND b.batch_id = (SELECT max(m.batch_id) FROM batches m WHERE m.item_id = s.item_id)) THEN 1 ELSE 0 END"
)
"""SQL: the newest row of the ledger of item s holds it."""


def _flagged(connection: sa.Connection, dataset: Dataset) -> tuple[str, dict[str, Any]]:
    """SQL of item_id and confidence (0 without a label) of every item in the queue, and its parameters."""
    least = current_policy(connection, dataset).policy.revalidation_min_total_votes
    return (
        "SELECT l.item_id, l.confidence FROM labels l JOIN items i ON i.item_id = l.item_id"
        f" WHERE l.dataset_id = :dataset AND l.state = '{STATES[State.NEEDS_REVIEW]}'"
        " AND i.gold_label IS NULL"
        " UNION ALL"
        " SELECT s.item_id, 0 FROM contested_items c JOIN item_status s ON s.item_id = c.item_id"
        f" {NO_MAJORITY_VOTES}{counted(connection, dataset)}"
        f" WHERE c.dataset_id = :dataset AND s.state = '{STATES[State.UNLABELED]}'"
        " GROUP BY s.item_id HAVING count(v.vote_id) >= :least"
    ), {"dataset": dataset.dataset_id, "least": least}


def _votes(connection: sa.Connection, dataset: Dataset) -> str:
    """SQL: how many votes on item s count."""
    return f"(SELECT count(*) FROM votes v WHERE v.item_id = s.item_id{counted(connection, dataset)})"


NO_MAJORITY_VOTES = (
    "JOIN dataset_progress p ON p.dataset_id = s.dataset_id"
    " JOIN votes v ON v.item_id = s.item_id AND v.vote_id <= p.folded_through"
)
"""The votes of an unlabeled item that a run has looked at: if they are many and it has no label, no answer
has a majority."""
