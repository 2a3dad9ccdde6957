"""A dataset in memory: votes, labels and ledger, kept as the store keeps them and moved on by the library."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Integers, reviewed_confidence
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE, NO_LABEL, Items, Votes
from hiveguard_pipeline.rules.fold import fold
from hiveguard_pipeline.rules.policy import ONE, Policy
from hiveguard_pipeline.rules.replay import DECISIONS, History, Outcome
from hiveguard_pipeline.rules.states import KINDS, STATES, Kind, State

from . import oracle
from .crowds import columns

NO_VOTE = -1


@dataclass
class Entry:
    """A row of one item's ledger, as codes; `restores` counts in the item's own rows."""

    policy: int
    kind: int
    first_vote_id: int
    last_vote_id: int
    agree: int
    disagree: int
    label: int
    confidence_before: int
    confidence_after: int
    state_after: int
    decision: int = 0
    undone: bool = False
    restores: int = -1
    restates_through: int = -1


@dataclass
class Table:
    policies: list[Policy]
    items: Items
    vote_ids: list[list[int]]
    answers: list[list[int]]
    entries: list[list[Entry]]
    decided: list[list[tuple[int, int, int]]]
    """Of each item, the decisions that can be undone: the row, and the two counts before it."""
    epochs: list[int]
    policy: int = 0
    newest_vote: int = 0

    @classmethod
    def of(cls, items: int, policies: list[Policy]) -> "Table":
        return cls(
            policies=policies,
            items=Items.unlabeled(items),
            vote_ids=[[] for _ in range(items)],
            answers=[[] for _ in range(items)],
            entries=[[] for _ in range(items)],
            decided=[[] for _ in range(items)],
            epochs=[0] * items,
        )

    @property
    def applied(self) -> Integers:
        return self.items.vote_count + self.items.revalidation_vote_count

    def vote(self, item: int, vote_id: int, answer: int) -> None:
        self.vote_ids[item].append(vote_id)
        self.answers[item].append(answer)

    def run(self) -> None:
        """One run: fold what was not processed, and write what the fold says."""
        applied = self.applied.tolist()
        waiting = [answers[n:] for answers, n in zip(self.answers, applied, strict=True)]
        ids = [vote_id for ids, n in zip(self.vote_ids, applied, strict=True) for vote_id in ids[n:]]
        folded = fold(columns(waiting), self.items, self.policies[self.policy])
        assert (folded.items.vote_count + folded.items.revalidation_vote_count).tolist() == [
            n + more for n, more in zip(applied, folded.applied.tolist(), strict=True)
        ]
        self.items = folded.items
        rows = folded.ledger
        for at in range(len(rows)):
            item = int(rows.item[at])
            self.entries[item].append(
                Entry(
                    policy=self.policy,
                    kind=int(rows.kind[at]),
                    first_vote_id=ids[rows.first[at]],
                    last_vote_id=ids[rows.last[at]],
                    agree=int(rows.agree[at]),
                    disagree=int(rows.disagree[at]),
                    label=int(rows.label[at]),
                    confidence_before=int(rows.confidence_before[at]),
                    confidence_after=int(rows.confidence_after[at]),
                    state_after=int(rows.state_after[at]),
                )
            )
            self.decided[item].clear()
            self.epochs[item] += int(rows.state_after[at]) == State.GRADUATED

    def review(self, item: int, decision: str, label: int = NO_LABEL) -> None:
        """Carry out confirm, relabel or discard."""
        held, first = int(self.items.label[item]), NO_VOTE
        counts = int(self.items.vote_count[item]), int(self.items.revalidation_vote_count[item])
        self.decided[item].append((len(self.entries[item]), *counts))
        if decision == "discard":
            self._review_row(item, "discard", held, int(self.items.confidence[item]), State.DISCARDED)
            return
        label = held if decision == "confirm" else label
        if held == NO_LABEL:
            self.items.vote_count[item] = len(self.answers[item])
            first = self.vote_ids[item][0] if self.vote_ids[item] else NO_VOTE
        applied = int(self.applied[item])
        agree = sum(answer == label for answer in self.answers[item][:applied])
        confidence = reviewed_confidence(agree, applied, self.policies[self.policy])
        self._review_row(item, decision, label, confidence, State.IN_REVALIDATION)
        row = self.entries[item][-1]
        row.agree, row.disagree, row.first_vote_id = agree, applied - agree, first
        row.last_vote_id = NO_VOTE if first == NO_VOTE else self.vote_ids[item][applied - 1]

    def undo(self, item: int) -> None:
        at, vote_count, again = self.decided[item].pop()
        self.entries[item][at].undone = True
        before = self.entries[item][at - 1] if at else None
        self._review_row(
            item,
            "undo",
            before.label if before else NO_LABEL,
            before.confidence_after if before else NO_CONFIDENCE,
            before.state_after if before else State.UNLABELED,
        )
        self.entries[item][-1].restores = at - 1
        self.items.vote_count[item], self.items.revalidation_vote_count[item] = vote_count, again

    def _review_row(self, item: int, decision: str, label: int, confidence: int, state: int) -> None:
        before = int(self.items.confidence[item])
        self.entries[item].append(
            Entry(
                policy=self.policy,
                kind=Kind.REVIEW,
                first_vote_id=NO_VOTE,
                last_vote_id=NO_VOTE,
                agree=0,
                disagree=0,
                label=label,
                confidence_before=before,
                confidence_after=confidence,
                state_after=int(state),
                decision=DECISIONS.index(decision),
            )
        )
        self.items.label[item], self.items.confidence[item] = label, confidence
        self.items.state[item] = state

    def votes(self) -> tuple[Votes, Integers]:
        ids = [vote_id for of_item in self.vote_ids for vote_id in of_item]
        return columns(self.answers), np.array(ids, dtype=np.int64)

    def outcome(self) -> Outcome:
        """The labels as they stand, in the shape that a replay answers in."""
        applied = self.applied.tolist()
        rows = np.array([len(entries) for entries in self.entries], dtype=np.int64)
        through = [ids[n - 1] if n else 0 for ids, n in zip(self.vote_ids, applied, strict=True)]
        return Outcome(
            label=self.items.label,
            confidence=self.items.confidence,
            state=self.items.state,
            vote_count=self.items.vote_count,
            revalidation_vote_count=self.items.revalidation_vote_count,
            revalidation_epochs=np.array(self.epochs, dtype=np.int64),
            applied_through=np.array(through, dtype=np.int64),
            last_row=np.where(rows > 0, np.cumsum(rows) - 1, -1),
        )


def history(entries: list[list[Entry]]) -> History:
    """Ledger rows as the replay takes them."""
    numbered = [(item, row) for item, rows in enumerate(entries) for row in rows]
    opens = np.concatenate(([0], np.cumsum([len(rows) for rows in entries], dtype=np.int64)))
    restores = [-1 if row.restores < 0 else int(opens[item]) + row.restores for item, row in numbered]
    kinds = {
        "kind": np.uint8,
        "label": np.int32,
        "state_after": np.uint8,
        "decision": np.uint8,
        "undone": bool,
    }
    values = {
        name: np.array([getattr(row, name) for _, row in numbered], dtype=kinds.get(name, np.int64))
        for name in Entry.__dataclass_fields__
    }
    values["restores"] = np.array(restores, dtype=np.int64)
    item = np.array([item for item, _ in numbered], dtype=np.int64)
    return History(item=item, era=np.zeros_like(item), **values)


def plain(row: Entry, policies: list[Policy]) -> oracle.Row:
    """A row in the oracle's words."""
    return oracle.Row(
        kind=KINDS[row.kind],
        policy=policies[row.policy],
        first_vote_id=None if row.first_vote_id == NO_VOTE else row.first_vote_id,
        last_vote_id=None if row.last_vote_id == NO_VOTE else row.last_vote_id,
        agree=row.agree,
        disagree=row.disagree,
        label=None if row.label == NO_LABEL else row.label,
        confidence_before=fraction(row.confidence_before),
        confidence_after=fraction(row.confidence_after),
        state_after=STATES[row.state_after],
        decision=DECISIONS[row.decision],
    )


def fraction(confidence: int) -> Fraction | None:
    return None if confidence == NO_CONFIDENCE else Fraction(confidence, ONE)


def standings(items: Items) -> list[oracle.Standing]:
    """Where items stand, in the oracle's words."""
    return [
        oracle.Standing(
            None if label == NO_LABEL else label, fraction(confidence), STATES[state], first, again
        )
        for label, confidence, state, first, again in zip(
            items.label.tolist(),
            items.confidence.tolist(),
            items.state.tolist(),
            items.vote_count.tolist(),
            items.revalidation_vote_count.tolist(),
            strict=True,
        )
    ]
