"""What the rules take and give, as columns: votes, items, rows of the ledger."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask, States
from hiveguard_pipeline.rules.states import Kind, State

NO_LABEL = -1
NO_CONFIDENCE = -1


@dataclass(slots=True)
class FirstPasses:
    """What first passes give; columns of shape (items,).

    prefix: votes that each took, 0 where there is none yet. label: the answer, -1 without one. agree: how
    many of the prefix agree with it. confidence: in millionths; that of an item without a label says nothing.
    """

    prefix: Integers
    label: Codes
    agree: Integers
    confidence: Integers


class Judge(Protocol):
    """Says which answers agree with a label, where that is not being the same answer.

    era: which version of the classes holds, 0, 1, ...; None where the newest does.
    """

    def agree(self, answers: Codes, labels: Codes, era: Integers | None) -> Mask:
        """Whether each answer agrees with the label beside it."""

    def carried(self, labels: Codes, era: Integers) -> Codes:
        """Labels that were given in an earlier era or in this one, as they read in this one."""

    def first_passes(self, votes: "Votes", threshold: int, era: Integers | None) -> FirstPasses:
        """The first label of each item, under the era beside it."""


@dataclass(slots=True)
class Votes:
    """Votes of n items: those of item i are answers[offsets[i]:offsets[i + 1]], in arrival order.

    offsets: shape (n + 1,), int64. answers: codes of the answers, int32, >= 0. judge: what agreeing
    means; None: being the same answer.
    """

    offsets: Integers
    answers: Codes
    judge: Judge | None = None

    def agree(self, places: Integers, labels: Codes, era: Integers | None = None) -> Mask:
        """Whether the answers at some places agree with the labels beside them."""
        answers = self.answers.take(places)
        return np.asarray(answers == labels if self.judge is None else self.judge.agree(answers, labels, era))

    def only(self, items: Integers) -> "Votes":
        """The votes of some of the items."""
        counts = self.offsets[items + 1] - self.offsets[items]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        index = np.arange(offsets[-1]) + np.repeat(self.offsets[items] - offsets[:-1], counts)
        return Votes(offsets, self.answers[index], self.judge)


@dataclass(slots=True)
class Items:
    """Where n items stand: label code (-1: none), confidence in millionths, counts of applied votes."""

    label: Codes
    confidence: Integers
    vote_count: Integers
    revalidation_vote_count: Integers
    state: States

    @classmethod
    def unlabeled(cls, count: int) -> "Items":
        """Items that no vote was applied to."""
        return cls(
            label=np.full(count, NO_LABEL, dtype=np.int32),
            confidence=np.full(count, NO_CONFIDENCE, dtype=np.int64),
            vote_count=np.zeros(count, dtype=np.int64),
            revalidation_vote_count=np.zeros(count, dtype=np.int64),
            state=np.full(count, State.UNLABELED, dtype=np.uint8),
        )


@dataclass(slots=True)
class Ledger:
    """Rows that the fold adds to the ledger, by item, then in the order they were applied.

    first is a position in Votes.answers; the rows are in columns as narrow as what they hold. What
    follows from these columns is a property, made when it is asked for.
    """

    item: Integers
    kind: States
    first: Integers
    agree: Integers
    confidence_after: Integers
    state_after: States
    of_items: "Items"
    """The items after the fold."""
    confidence_of_items: Integers
    """The items' confidence before the fold."""
    batch_size: int

    def __len__(self) -> int:
        return len(self.item)

    @property
    def opens(self) -> Mask:
        """Rows that gave an item its first label."""
        return np.asarray(self.kind == Kind.FIRST_PASS)

    @property
    def label(self) -> Codes:
        """The label that a row gave or kept: a fold never changes one, so it is the item's own."""
        return np.asarray(self.of_items.label[self.item])

    @property
    def votes(self) -> Integers:
        """How many votes a row took."""
        taken = np.full(len(self), self.batch_size, dtype=np.int64)
        opening = np.flatnonzero(self.kind == Kind.FIRST_PASS)
        taken[opening] = self.of_items.vote_count[self.item[opening]]
        return taken

    @property
    def last(self) -> Integers:
        """Position in Votes.answers of a row's last vote."""
        return np.asarray(self.first + self.votes - 1)

    @property
    def disagree(self) -> Integers:
        """Votes of a row that do not agree."""
        return np.asarray(self.votes - self.agree)

    @property
    def confidence_before(self) -> Integers:
        """Confidence that a row found; -1 where there was none."""
        before = np.empty(len(self), dtype=np.int32)
        before[1:] = self.confidence_after[:-1]
        opens = np.flatnonzero(np.concatenate(([True], self.item[1:] != self.item[:-1])))[: len(self)]
        before[opens] = self.confidence_of_items[self.item[opens]]
        return before


@dataclass(slots=True)
class Folded:
    """What a fold did: the items after it, the ledger rows, and how many votes of each item it applied."""

    items: Items
    ledger: Ledger
    applied: Integers
