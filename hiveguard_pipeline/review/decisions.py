"""Decisions on items: confirm, relabel, discard, correct, and undo.

Each writes a review row, a ledger row of kind review and the label, in one transaction. The votes that
waited are applied by the next run. A decision may say how the item stood when it was shown (`expected`, a
token of `standing_token`): if it has changed since, the decision is refused and nothing is written.
"""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.review.outcome import Decision, Outcome, waiting_votes, write_decision
from hiveguard_pipeline.review.queue import NO_MAJORITY_VOTES
from hiveguard_pipeline.review.token import refuse_changed
from hiveguard_pipeline.rules.arithmetic import reviewed_confidence
from hiveguard_pipeline.rules.states import KINDS, STATES, Kind
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import (
    Dataset,
    RecordedPolicy,
    current_policy,
    lock_dataset,
    now_text,
    progress_of,
)
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.generations import gather_touched, recount_touched
from hiveguard_pipeline.store.horizon import safe_horizon
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.status import ItemStatus, find_item
from hiveguard_pipeline.store.structured import agreeing, checked_text

LONGEST_LABEL = 10_000

_UNLABELED, _IN_REVALIDATION, _NEEDS_REVIEW, _, _DISCARDED, _GOLD = STATES


def decide(
    database: Database,
    item: str,
    decision: str,
    *,
    reviewer: str,
    reason: str,
    label: str | None = None,
    dataset_name: str | None = None,
    expected: str | None = None,
) -> Decision:
    """Confirm, relabel or discard an item of the review queue. Raises BadInputError if it is not in it,
    ConflictError if it stands otherwise than expected.
    """
    with database.write() as connection:
        dataset, found = _locked(connection, item, dataset_name, expected)
        return decide_on(connection, dataset, found, decision, reviewer=reviewer, reason=reason, label=label)


def decide_on(
    connection: sa.Connection,
    dataset: Dataset,
    found: ItemStatus,
    decision: str,
    *,
    reviewer: str,
    reason: str,
    label: str | None = None,
) -> Decision:
    """`decide` as a part of a caller's transaction, which holds the dataset's lock."""
    no_majority = found.state == _UNLABELED and decision != "confirm"
    if not (no_majority and _has_no_majority(connection, dataset, found)) and found.state != _NEEDS_REVIEW:
        raise BadInputError(
            f"item {found.external_id} is {found.state}, not in review;"
            " `hiveguard labels correct` changes the label of an item in any state"
        )
    return _decided(connection, dataset, found, decision, label, reviewer, reason)


def correct(
    database: Database,
    item: str,
    label: str,
    *,
    reviewer: str,
    reason: str,
    dataset_name: str | None = None,
    expected: str | None = None,
) -> Decision:
    """Relabel an item in any state; a gold item's label is not the crowd's to correct."""
    with database.write() as connection:
        dataset, found = _locked(connection, item, dataset_name, expected)
        return _decided(connection, dataset, found, "relabel", label, reviewer, reason)


def undo(
    database: Database,
    item: str,
    *,
    reviewer: str,
    reason: str,
    dataset_name: str | None = None,
    expected: str | None = None,
) -> Decision:
    """Bring back what the newest decision on an item replaced, unless a batch has followed it.

    A decision that opened the generation of a recount replaced what was counted before it: without it the
    item is counted again, from the decision before it or from its first vote.
    """
    with database.write() as connection:
        dataset, found = _locked(connection, item, dataset_name, expected)
        undone = _newest_decision(connection, found)
        before = connection.execute(
            sa.select(t.batches)
            .where(
                t.batches.c.item_id == found.item_id,
                t.batches.c.generation == found.generation,
                t.batches.c.batch_id < undone.batch_id,
            )
            .order_by(t.batches.c.batch_id.desc())
            .limit(1)
        ).first()
        took_votes = undone.first_vote_id is not None
        outcome = Outcome(
            policy_id=before.policy_id if before else undone.policy_id,
            label=class_map_of(connection, dataset).of_one(before.label) if before else None,
            confidence=before.confidence_after if before else None,
            state=before.state_after if before else _UNLABELED,
            vote_count=0 if took_votes else found.vote_count,
            revalidation_vote_count=found.revalidation_vote_count,
            applied_through=0 if took_votes else found.applied_through,
            created_at=None if before is None or before.label is None else _labelled_at(connection, found),
        )
        made = write_decision(
            connection, dataset, found, "undo", outcome, reviewer, reason, undoes=undone.review_id
        )
        return _counted_again(connection, dataset, made) if _is_restated(connection, undone) else made


def _is_restated(connection: sa.Connection, row: Any) -> bool:
    """Whether a decision's ledger row restates one that was taken in an earlier generation."""
    earlier = sa.select(t.batches.c.batch_id).where(
        t.batches.c.item_id == row.item_id,
        t.batches.c.review_id == row.review_id,
        t.batches.c.generation < row.generation,
    )
    return connection.execute(earlier.limit(1)).first() is not None


def _counted_again(connection: sa.Connection, dataset: Dataset, made: Decision) -> Decision:
    """The item in a new generation without the decision that was undone."""
    horizon = safe_horizon(connection, progress_of(connection, dataset).folded_through)
    chosen = "SELECT item_id, 0 AS vote_id FROM items WHERE item_id = :item"
    gather_touched(connection, dataset, chosen, {"item": made.item_id}, horizon)
    recount_touched(connection, dataset, f"review-{made.review_id}")
    now = find_item(connection, made.item_id)
    waiting = waiting_votes(connection, dataset, made.item_id, now.applied_through)
    return replace(made, label=now.label, confidence=now.confidence, state=now.state, waiting_votes=waiting)


def _locked(
    connection: sa.Connection, item: str, dataset_name: str | None, expected: str | None
) -> tuple[Dataset, ItemStatus]:
    dataset = lock_dataset(connection, find_item(connection, item, dataset_name).dataset)
    found = find_item(connection, item, dataset_name)
    refuse_changed(connection, found, expected)
    if found.state == _GOLD:
        raise BadInputError(f"item {found.external_id} is gold: its label is the truth that it was given")
    return dataset, found


def _has_no_majority(connection: sa.Connection, dataset: Dataset, found: ItemStatus) -> bool:
    only = counted(connection, dataset)
    looked_at = connection.execute(
        sa.text(f"SELECT count(*) FROM item_status s {NO_MAJORITY_VOTES} WHERE s.item_id = :item{only}"),
        {"item": found.item_id} | ({"dataset": dataset.dataset_id} if only else {}),
    ).scalar_one()
    return bool(looked_at >= current_policy(connection, dataset).policy.revalidation_min_total_votes)


def _decided(
    connection: sa.Connection,
    dataset: Dataset,
    found: ItemStatus,
    decision: str,
    label: str | None,
    reviewer: str,
    reason: str,
) -> Decision:
    recorded = current_policy(connection, dataset)
    if decision == "discard":
        outcome = Outcome(
            policy_id=recorded.policy_id,
            label=found.label,
            confidence=found.confidence,
            state=_DISCARDED,
            vote_count=found.vote_count,
            revalidation_vote_count=found.revalidation_vote_count,
            applied_through=found.applied_through,
            created_at=_labelled_at(connection, found) if found.label is not None else None,
        )
    else:
        chosen = (
            found.label if decision == "confirm" else checked_label(connection, dataset, found.item_id, label)
        )
        outcome = _kept(connection, dataset, found, str(chosen), recorded)
    return write_decision(connection, dataset, found, decision, outcome, reviewer, reason)


def checked_label(connection: sa.Connection, dataset: Dataset, item_id: str, label: str | None) -> str:
    """A label that a person may give to an item, in its one form; raises BadInputError for any other."""
    if label is None or not label.strip():
        raise BadInputError("a label that is not empty is wanted")
    if is_structured(dataset.task_type):
        label = checked_text(dataset, label, "the label", *_known_of(connection, item_id))
    now = class_map_of(connection, dataset).of_one(label)
    if now != label:
        raise BadInputError(f"{label!r} names a class that {dataset.name} had; what it means now is {now!r}")
    if is_structured(dataset.task_type):
        return label
    if dataset.classes is not None and label not in dataset.classes:
        raise BadInputError(
            f"{label!r} is no class of {dataset.name}; the classes are {', '.join(dataset.classes)}"
        )
    if len(label) > LONGEST_LABEL or "\0" in label:
        raise BadInputError(f"a label has at most {LONGEST_LABEL} characters, none of them NUL")
    return label


def _known_of(connection: sa.Connection, item_id: str) -> tuple[tuple[int, int] | None, int | None]:
    """Width and height of an item's image, and the characters of its text, where they are known."""
    known = connection.execute(
        sa.select(
            t.item_details.c.width,
            t.item_details.c.height,
            sa.func.length(t.item_details.c.content).label("characters"),
        ).where(t.item_details.c.item_id == item_id)
    ).first()
    if known is None:
        return None, None
    sized = known.width is not None and known.height is not None
    return (known.width, known.height) if sized else None, known.characters


def _kept(
    connection: sa.Connection, dataset: Dataset, found: ItemStatus, label: str, recorded: RecordedPolicy
) -> Outcome:
    """Confirm or relabel: the share of all applied votes that agree, at least the floor.

    An item that is still unlabeled takes all its votes under the horizon as those of its first label.
    """
    first_label = found.label is None
    through = found.applied_through
    if first_label:
        through = safe_horizon(connection, progress_of(connection, dataset).folded_through)
    only = counted(connection, dataset)
    votes = read_columns(
        connection,
        "SELECT v.vote_id, v.answer FROM votes v WHERE v.item_id = :item AND v.vote_id <= :through"
        f"{only} ORDER BY v.vote_id",
        {"item": found.item_id, "through": through} | ({"dataset": dataset.dataset_id} if only else {}),
        {"vote_id": int, "answer": str},
    )
    applied = len(votes["vote_id"])
    answers = class_map_of(connection, dataset).of(votes["answer"])
    agree = int(agreeing(dataset, answers, pa.repeat(pa.scalar(label), applied)).sum())
    first, last = (int(votes["vote_id"][place]) if applied else None for place in (0, -1))
    takes = first_label and applied > 0
    return Outcome(
        policy_id=recorded.policy_id,
        label=label,
        confidence=reviewed_confidence(agree, applied, recorded.policy),
        state=_IN_REVALIDATION,
        vote_count=applied if first_label else found.vote_count,
        revalidation_vote_count=found.revalidation_vote_count,
        applied_through=last if takes and last is not None else found.applied_through,
        created_at=_completed_at(connection, last) if first_label else _labelled_at(connection, found),
        agree=agree,
        disagree=applied - agree,
        first_vote_id=first if takes else None,
    )


def _completed_at(connection: sa.Connection, vote_id: int | None) -> str:
    """The time of the vote that completed a first label; now, where there was none."""
    if vote_id is None:
        return now_text()
    when: str = connection.execute(
        sa.text(f"SELECT {t.full_time(connection, 'created_at')} AS moment FROM votes WHERE vote_id = :vote")
        .columns(moment=t.UtcTime)
        .bindparams(vote=vote_id)
    ).scalar_one()
    return when


def _labelled_at(connection: sa.Connection, found: ItemStatus) -> str | None:
    return connection.execute(
        sa.select(t.labels.c.created_at).where(t.labels.c.item_id == found.item_id)
    ).scalar()


def _newest_decision(connection: sa.Connection, found: ItemStatus) -> Any:
    """The ledger row of the newest decision that is not undone and that no batch has followed."""
    undone = sa.select(t.reviews.c.undoes).where(
        t.reviews.c.item_id == found.item_id, t.reviews.c.undoes.is_not(None)
    )
    newest = connection.execute(
        sa.select(t.batches)
        .join(t.reviews, t.reviews.c.review_id == t.batches.c.review_id)
        .where(
            t.batches.c.item_id == found.item_id,
            t.batches.c.generation == found.generation,
            t.reviews.c.decision != "undo",
            t.reviews.c.review_id.not_in(undone),
        )
        .order_by(t.batches.c.batch_id.desc())
        .limit(1)
    ).first()
    if newest is None:
        raise BadInputError(f"there is no decision on item {found.external_id} to undo")
    followed = connection.execute(
        sa.select(t.batches.c.batch_id)
        .where(
            t.batches.c.item_id == found.item_id,
            t.batches.c.batch_id > newest.batch_id,
            t.batches.c.kind != KINDS[Kind.REVIEW],
        )
        .limit(1)
    ).first()
    if followed:
        raise BadInputError(
            f"the decision on item {found.external_id} stands: votes were applied after it;"
            " `hiveguard labels correct` sets another label"
        )
    return newest
