"""What rows of decisions must say: the label and confidence that they give, the votes that they take."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask, States, share
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE, NO_LABEL, Votes
from hiveguard_pipeline.rules.history import (
    ACCEPT,
    CONFIRM,
    DECISIONS,
    DISCARD,
    HOLD,
    NO_DECISION,
    RELABEL,
    RELEASE,
    UNDO,
    Differ,
    History,
    Limits,
)
from hiveguard_pipeline.rules.states import Kind, State


@dataclass(slots=True)
class Before:
    """Where the item of each row stood before it."""

    label: Codes
    state: States
    confidence: Integers


def check_reviews(
    votes: Votes,
    history: History,
    applied_after: Integers,
    limits: Limits,
    before: Before,
    opens_anew: Mask,
    differ: Differ,
) -> None:
    """Whether each decision's row gives the label, state and confidence that the decision must give.

    applied_after: the votes applied to the item up to and with the row. opens_anew: rows that restate a
    decision of an earlier generation. Both of shape (rows,).
    """
    review = history.kind == Kind.REVIEW
    known = (history.decision > NO_DECISION) & (history.decision < len(DECISIONS))
    differ(review & ~known, "is a review without a decision")
    accept = review & (history.decision == ACCEPT)
    kept = accept | (review & ((history.decision == CONFIRM) | (history.decision == RELABEL)))
    given = np.where(accept, State.GRADUATED, State.IN_REVALIDATION)
    differ(kept & (history.state_after != given), "leads to another state than a review gives")
    differ(kept & (history.label == NO_LABEL), "gives no label")
    confirm = review & (history.decision == CONFIRM) & ~opens_anew
    differ(confirm & (history.label != before.label), "confirms another label")

    discard = review & (history.decision == DISCARD)
    # A label that is discarded again is counted again; an item without one has nothing to count.
    kept = kept | (discard & opens_anew & (history.label != NO_LABEL))
    rows = np.flatnonzero(kept)
    applied = applied_after[rows]
    agreeing = _Span(votes, history.item[rows], applied, history.label[rows], history.era[rows]).agreeing
    reached = np.maximum(share(agreeing, np.maximum(applied, 1)), limits.floor[rows])
    wrong = np.zeros(len(history), dtype=bool)
    wrong[rows] = reached != history.confidence_after[rows]
    differ(wrong, "reaches another confidence than its votes give")
    miscounted = np.zeros(len(history), dtype=bool)
    miscounted[rows] = (agreeing != history.agree[rows]) | (applied - agreeing != history.disagree[rows])
    differ(miscounted, "miscounts the votes that agree")

    counts = (history.agree != 0) | (history.disagree != 0)
    differ(review & ~kept & counts, "counts votes that it does not judge")
    more = (history.label != before.label) | (history.confidence_after != before.confidence)
    differ(
        discard & ((history.state_after != State.DISCARDED) | (more & ~kept)), "is a discard that does more"
    )
    _check_holds(history, review, limits, before, opens_anew, differ)


def _check_holds(
    history: History, review: Mask, limits: Limits, before: Before, opens_anew: Mask, differ: Differ
) -> None:
    """Holds and releases: nobody has said anything of the label yet, so that it stays as it was."""
    hold, release = (review & (history.decision == decision) for decision in (HOLD, RELEASE))
    usable = (before.state == State.IN_REVALIDATION) | (before.state == State.GRADUATED)
    differ(hold & ~usable, "holds an item that has no label in use")
    differ(release & (before.state != State.NEEDS_REVIEW), "releases an item that was not in review")
    differ((hold | release) & (history.label != before.label), "changes the label, which only people may")
    state = np.where(hold, State.NEEDS_REVIEW, State.IN_REVALIDATION)
    differ((hold | release) & (history.state_after != state), "leads to another state than a workflow gives")
    least = np.where(release, limits.floor, NO_CONFIDENCE)
    differ(
        (hold | release) & (history.confidence_after != np.maximum(before.confidence, least)),
        "moves the confidence, which a workflow may not",
    )
    differ((hold | release) & opens_anew, "opens a generation, which only a decision on the label may")


def check_undos(
    votes: Votes, history: History, undo: Mask, replaced: Integers, batch: Mask, differ: Differ
) -> None:
    """Whether each undo brings back what stood before its decision. replaced: the decision's row, by row.

    A label of an earlier era comes back as it reads in the era of the undo.
    """
    rows = np.arange(len(history))
    decided = (history.kind == Kind.REVIEW) & (history.decision != UNDO)
    earlier = (replaced < rows) & (history.item[replaced] == history.item)
    differ(undo & ~(earlier & decided[replaced]), "undoes no decision")
    batches = np.cumsum(batch)
    differ(undo & earlier & (batches != batches[replaced]), "undoes a decision that a batch has followed")
    times = np.bincount(replaced[undo], minlength=len(history))
    differ(times > 1, "is undone twice")
    differ((times == 1) != history.undone, "is undone in one place only")

    blank = history.restores < 0
    to = np.maximum(history.restores, 0)
    label = history.label[to]
    if votes.judge is not None:
        label = votes.judge.carried(label, history.era)
    restored = (
        (np.where(blank, NO_LABEL, label) == history.label)
        & (np.where(blank, NO_CONFIDENCE, history.confidence_after[to]) == history.confidence_after)
        & (np.where(blank, State.UNLABELED, history.state_after[to]) == history.state_after)
    )
    differ(undo & ~restored, "does not bring back what the decision replaced")


@dataclass(slots=True)
class _Span:
    """The first `length` votes of some items, against a label each."""

    votes: Votes
    item: Integers
    length: Integers
    label: Codes
    era: Integers

    @property
    def agreeing(self) -> Integers:
        fits = np.clip(self.length, 0, np.diff(self.votes.offsets)[self.item])
        span = np.repeat(np.arange(len(self.item)), fits)
        offset = np.arange(len(span)) - np.repeat(np.cumsum(fits) - fits, fits)
        place = self.votes.offsets[self.item[span]] + offset
        same = self.votes.agree(place, self.label[span], self.era[span])
        return np.bincount(span[same], minlength=len(self.item)).astype(np.int64)


def known_votes(
    votes: Votes, vote_ids: Integers, item: Integers, through: Integers, wanted: Mask
) -> Integers:
    """How many votes each row's item has at or below a vote; 0 where that is not wanted."""
    counts = np.zeros(len(item), dtype=np.int64)
    rows = np.flatnonzero(wanted)
    own = votes.only(item[rows])
    row = np.repeat(rows, np.diff(own.offsets))
    sizes = np.diff(own.offsets)
    place = np.arange(len(row)) + np.repeat(votes.offsets[item[rows]] - own.offsets[:-1], sizes)
    counts += np.bincount(row[vote_ids[place] <= through[row]], minlength=len(item))
    return counts
