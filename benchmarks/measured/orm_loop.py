"""The peer: the same rules, vote by vote through SQLAlchemy's ORM. `... orm_loop VOTES`.

What one writes first: load a vote, load its item's label, see whether the item's waiting votes make a
majority or a batch, add the rows, flush; one commit at the end. Takes the first VOTES votes of whole
items, so that the mix of decisions is that of the whole table.
"""

import json
import sys
import time
from collections import Counter
from itertools import groupby

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Session

from benchmarks.stores import NAME
from hiveguard_pipeline.rules.policy import ONE, Policy
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import current_policy, get_dataset, now_text
from hiveguard_pipeline.store.schema import open_database


class Base(DeclarativeBase):
    """Classes over the store's tables."""

    metadata = t.metadata


class Vote(Base):
    """A vote."""

    __table__ = t.votes


class Label(Base):
    """Where an item stands."""

    __table__ = t.labels


class Batch(Base):
    """A row of the ledger."""

    __table__ = t.batches


class Loop:
    """Takes votes one at a time, in arrival order."""

    def __init__(self, session: Session, dataset_id: str, policy_id: int, policy: Policy) -> None:
        self._session = session
        self._dataset_id = dataset_id
        self._policy_id = policy_id
        self._policy = policy
        self.batches = 0

    def take(self, vote_id: int) -> None:
        """Apply a vote, and those of its item that waited for it, if they are enough."""
        vote = self._session.get_one(Vote, vote_id)
        label = self._session.get(Label, vote.item_id, populate_existing=True)
        if label is not None and label.state != "in_revalidation":
            return
        waiting = list(
            self._session.scalars(
                sa.select(Vote)
                .where(Vote.item_id == vote.item_id, Vote.vote_id <= vote.vote_id)
                .where(Vote.vote_id > (label.applied_through if label else 0))
                .order_by(Vote.vote_id)
            )
        )
        if label is None:
            self._first_pass(vote, waiting)
        elif len(waiting) == self._policy.revalidation_min_votes:
            self._revalidate(label, waiting)

    def _first_pass(self, vote: Vote, waiting: list[Vote]) -> None:
        if len(waiting) < self._policy.consensus_threshold:
            return
        answer, agree = Counter(entry.answer for entry in waiting).most_common(1)[0]
        if 2 * agree <= len(waiting):
            return
        confidence = round(ONE * agree / len(waiting))
        label = Label(
            item_id=vote.item_id,
            dataset_id=self._dataset_id,
            label=answer,
            confidence=confidence,
            needs_review=False,
            vote_count=len(waiting),
            revalidation_vote_count=0,
            revalidation_epochs=0,
            policy_id=self._policy_id,
            generation=1,
            created_at=vote.created_at,
        )
        self._session.add(label)
        self._write(label, waiting, "first_pass", agree, None)

    def _revalidate(self, label: Label, waiting: list[Vote]) -> None:
        agree = sum(entry.answer == label.label for entry in waiting)
        before = label.confidence
        change = (2 * agree - len(waiting)) * self._policy.revalidation_delta
        label.confidence = min(max(before + change, 0), ONE)
        label.revalidation_vote_count += len(waiting)
        self._write(label, waiting, "revalidation", agree, before)

    def _write(self, label: Label, waiting: list[Vote], kind: str, agree: int, before: int | None) -> None:
        policy = self._policy
        total = label.vote_count + label.revalidation_vote_count
        enough = total >= policy.revalidation_min_total_votes
        if label.confidence < policy.revalidation_confidence_threshold:
            label.state, label.needs_review = "needs_review", True
        elif label.confidence >= policy.revalidation_exit_confidence and enough:
            label.state, label.revalidation_epochs = "graduated", label.revalidation_epochs + 1
        else:
            label.state = "in_revalidation"
        label.applied_through = waiting[-1].vote_id
        label.updated_at = now_text()
        self._session.add(
            Batch(
                item_id=label.item_id,
                policy_id=self._policy_id,
                generation=1,
                kind=kind,
                first_vote_id=waiting[0].vote_id,
                last_vote_id=waiting[-1].vote_id,
                agree=agree,
                disagree=len(waiting) - agree,
                label=label.label,
                confidence_before=before,
                confidence_after=label.confidence,
                state_after=label.state,
                run_id="orm",
                applied_at=label.updated_at,
            )
        )
        self._session.flush()
        self.batches += 1


def votes_of_whole_items(connection: sa.Connection, count: int) -> list[int]:
    """At least `count` votes, all those of some items, in arrival order."""
    rows = connection.execution_options(yield_per=1000).execute(
        sa.select(t.votes.c.item_id, t.votes.c.vote_id).order_by(t.votes.c.item_id, t.votes.c.vote_id)
    )
    taken: list[int] = []
    for _, of_item in groupby(rows, key=lambda row: row.item_id):
        taken += [row.vote_id for row in of_item]
        if len(taken) >= count:
            break
    return sorted(taken)


if __name__ == "__main__":
    database = open_database(Settings.from_environment().database_url)
    with database.read() as connection:
        dataset = get_dataset(connection, NAME)
        recorded = current_policy(connection, dataset)
        votes = votes_of_whole_items(connection, int(sys.argv[1]))
    with database.write() as connection, Session(bind=connection) as session:
        loop = Loop(session, dataset.dataset_id, recorded.policy_id, recorded.policy)
        started = time.perf_counter()
        for vote_id in votes:
            loop.take(vote_id)
        session.commit()
        seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "votes": len(votes), "batches": loop.batches}))
