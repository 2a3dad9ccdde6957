"""What a decision makes of an item, and how it is written: review, ledger row, label, votes released."""

from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.rules.states import KINDS, STATES, Kind, State
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.contested import note_one
from hiveguard_pipeline.store.datasets import Dataset, now_text
from hiveguard_pipeline.store.events import Act, record_event
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.stages import leave_stage
from hiveguard_pipeline.store.status import ItemStatus


@dataclass(frozen=True, slots=True)
class Decision:
    """What a decision made of an item; confidence in millionths, None without a label."""

    review_id: int
    item_id: str
    external_id: str
    decision: str
    label: str | None
    confidence: int | None
    state: str
    waiting_votes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where an item stands after a decision, and the ledger row that says so."""

    policy_id: int
    label: str | None
    confidence: int | None
    state: str
    vote_count: int
    revalidation_vote_count: int
    applied_through: int
    created_at: str | None
    agree: int = 0
    disagree: int = 0
    first_vote_id: int | None = None


def write_decision(
    connection: sa.Connection,
    dataset: Dataset,
    found: ItemStatus,
    decision: str,
    outcome: Outcome,
    reviewer: str,
    reason: str,
    undoes: int | None = None,
) -> Decision:
    """Write a decision in the caller's transaction."""
    moment = now_text()
    key = connection.execute(
        t.reviews.insert().values(
            item_id=found.item_id,
            decision=decision,
            label=outcome.label,
            reviewer=reviewer,
            reason=reason,
            undoes=undoes,
            created_at=moment,
        )
    ).inserted_primary_key
    assert key is not None
    review_id = int(key[0])
    row = connection.execute(
        t.batches.insert().values(
            item_id=found.item_id,
            policy_id=outcome.policy_id,
            generation=found.generation,
            kind=KINDS[Kind.REVIEW],
            first_vote_id=outcome.first_vote_id,
            last_vote_id=outcome.applied_through if outcome.first_vote_id is not None else None,
            agree=outcome.agree,
            disagree=outcome.disagree,
            label=outcome.label,
            confidence_before=found.confidence,
            confidence_after=outcome.confidence,
            state_after=outcome.state,
            review_id=review_id,
            run_id=None,
            applied_at=moment,
        )
    ).inserted_primary_key
    assert row is not None
    _set_label(connection, dataset, found, outcome, moment)
    connection.execute(
        t.dataset_progress.update()
        .where(t.dataset_progress.c.dataset_id == dataset.dataset_id)
        .values(ledger_position=int(row[0]))
    )
    leave_stage(connection, found.item_id, outcome.state, review_id, decision)
    waiting = _release(connection, dataset, found, outcome)
    record_event(
        connection,
        dataset.dataset_id,
        Act(
            reviewer,
            f"review.{decision}",
            f"item {found.item_id}",
            reason,
            before={"label": found.label, "confidence": found.confidence, "state": found.state},
            after={
                "review_id": review_id,
                "label": outcome.label,
                "confidence": outcome.confidence,
                "state": outcome.state,
            }
            | ({} if undoes is None else {"undoes": undoes}),
        ),
    )
    return Decision(
        review_id,
        found.item_id,
        found.external_id,
        decision,
        outcome.label,
        outcome.confidence,
        outcome.state,
        waiting,
    )


def _set_label(
    connection: sa.Connection, dataset: Dataset, found: ItemStatus, outcome: Outcome, moment: str
) -> None:
    values = {
        "label": outcome.label,
        "confidence": outcome.confidence,
        "state": outcome.state,
        "needs_review": outcome.state == STATES[State.NEEDS_REVIEW],
        "vote_count": outcome.vote_count,
        "revalidation_vote_count": outcome.revalidation_vote_count,
        "policy_id": outcome.policy_id,
        "applied_through": outcome.applied_through,
        "created_at": outcome.created_at,
        "updated_at": moment,
    }
    changed = connection.execute(
        t.labels.update().where(t.labels.c.item_id == found.item_id).values(**values)
    ).rowcount
    if not changed:
        connection.execute(
            t.labels.insert().values(
                item_id=found.item_id,
                dataset_id=dataset.dataset_id,
                revalidation_epochs=0,
                generation=found.generation,
                **values,
            )
        )


def waiting_votes(connection: sa.Connection, dataset: Dataset, item_id: str, through: int) -> int:
    """Votes of an item after one of them, but those of excluded solvers."""
    only = counted(connection, dataset)
    return int(
        connection.execute(
            sa.text(f"SELECT count(*) FROM votes v WHERE v.item_id = :item AND v.vote_id > :through{only}"),
            {"item": item_id, "through": through} | ({"dataset": dataset.dataset_id} if only else {}),
        ).scalar_one()
    )


def _release(connection: sa.Connection, dataset: Dataset, found: ItemStatus, outcome: Outcome) -> int:
    """Put the item on the next run's list if it has waiting votes to look at; returns how many wait."""
    waiting = waiting_votes(connection, dataset, found.item_id, outcome.applied_through)
    connection.execute(t.recheck_items.delete().where(t.recheck_items.c.item_id == found.item_id))
    if outcome.label is None:
        note_one(connection, dataset.dataset_id, found.item_id)
    if waiting and outcome.state in (STATES[State.UNLABELED], STATES[State.IN_REVALIDATION]):
        connection.execute(
            t.recheck_items.insert().values(item_id=found.item_id, dataset_id=dataset.dataset_id)
        )
    return waiting
