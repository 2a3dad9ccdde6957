"""The review queue: labels under the floor, and items on which no answer gets a majority."""

from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.rules.states import STATES, State
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


def list_flagged(connection: sa.Connection, dataset: Dataset, limit: int | None = None) -> list[Flagged]:
    """The queue of a dataset, least confident first, then by item_id. Votes of excluded solvers are none."""
    only = counted(connection, dataset)
    least = current_policy(connection, dataset).policy.revalidation_min_total_votes
    rows = connection.execute(
        sa.text(
            "SELECT flagged.item_id, external_id, data_ref, modality, state, label, confidence, votes,"
            " all_votes - votes AS waiting, held, p.answer AS proposal, p.probability,"
            " (SELECT w.stage FROM item_stages w WHERE w.item_id = flagged.item_id) AS stage FROM ("
            " SELECT s.item_id, s.external_id, s.data_ref, s.modality, s.state, s.label, s.confidence,"
            " s.vote_count + s.revalidation_vote_count AS votes,"
            f" (SELECT count(*) FROM votes v WHERE v.item_id = s.item_id{only}) AS all_votes,"
            f" {_HELD} AS held FROM item_status s"
            f" WHERE s.dataset_id = :dataset AND s.state = '{STATES[State.NEEDS_REVIEW]}'"
            " UNION ALL"
            " SELECT u.item_id, u.external_id, u.data_ref, u.modality, u.state, u.label, u.confidence, 0,"
            " n.votes, 0"
            # Grouped by item_id alone, in whose order items and labels lie.
            f" FROM (SELECT s.item_id, count(v.vote_id) AS votes FROM item_status s {NO_MAJORITY_VOTES}{only}"
            f" WHERE s.dataset_id = :dataset AND s.state = '{STATES[State.UNLABELED]}'"
            " GROUP BY s.item_id HAVING count(v.vote_id) >= :least) n"
            " JOIN item_status u ON u.item_id = n.item_id"
            ") flagged LEFT JOIN (prelabels p JOIN models m ON m.model_id = p.model_id"
            " AND m.schema_version = :schema) ON p.item_id = flagged.item_id AND NOT p.blind"
            " ORDER BY coalesce(confidence, 0), flagged.item_id" + (" LIMIT :limit" if limit else "")
        ),
        {"dataset": dataset.dataset_id, "least": least, "schema": dataset.schema_version}
        | ({"limit": limit} if limit else {}),
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
            waiting_votes=row.waiting,
            proposal=row.proposal,
            proposal_probability=row.probability,
            stage=row.stage,
        )
        for row in rows
    ]


_HELD = (
    "CASE WHEN EXISTS (SELECT 1 FROM batches b JOIN reviews r ON r.review_id = b.review_id"
    " WHERE r.decision = 'hold' AND b.batch_id = (SELECT max(m.batch_id) FROM batches m"
    " WHERE m.item_id = s.item_id)) THEN 1 ELSE 0 END"
)
"""SQL: the newest row of the ledger of item s holds it."""

NO_MAJORITY_VOTES = (
    "JOIN dataset_progress p ON p.dataset_id = s.dataset_id"
    " JOIN votes v ON v.item_id = s.item_id AND v.vote_id <= p.folded_through"
)
"""The votes of an unlabeled item that a run has looked at: if they are many and it has no label, no answer
has a majority."""
