"""Whole-history replay: does every row of a ledger, and every label, follow from the votes?

The ledger is checked in one go over columns: where each row's votes begin follows from the rows before
it, and every row must be what the rules make of those votes under the policy that it names.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask, States, judge, share, step
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE, NO_LABEL, Votes
from hiveguard_pipeline.rules.majority import first_pass
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import Kind, State

DECISIONS = ("none", "confirm", "relabel", "discard", "undo")
Differ = Callable[[Mask, str], None]

NO_DECISION, CONFIRM, RELABEL, DISCARD, UNDO = range(len(DECISIONS))


@dataclass(slots=True)
class History:
    """Ledger rows by item, then in the order they were written; all columns of shape (rows,).

    item: position of the item in `Votes`. policy: position in the list of policies. first_vote_id and
    last_vote_id are -1 where the row took no votes. decision: a code of DECISIONS, 0 for batches.
    undone: the row is a decision that a later row undoes. restores: for an undo, the position of the row
    whose outcome it brings back, -1 for the outcome of an item without rows.
    """

    item: Integers
    policy: Integers
    kind: States
    first_vote_id: Integers
    last_vote_id: Integers
    agree: Integers
    disagree: Integers
    label: Codes
    confidence_before: Integers
    confidence_after: Integers
    state_after: States
    decision: States
    undone: Mask
    restores: Integers

    def __len__(self) -> int:
        return len(self.item)


@dataclass(slots=True)
class Outcome:
    """What a replay says the labels are; columns of shape (items,). last_row is -1 without rows.

    applied_through is 0 where no vote was applied.
    """

    label: Codes
    confidence: Integers
    state: States
    vote_count: Integers
    revalidation_vote_count: Integers
    revalidation_epochs: Integers
    applied_through: Integers
    last_row: Integers


@dataclass(slots=True)
class Difference:
    """Rows of the ledger (positions) that do not follow, and why."""

    rows: Integers
    reason: str


def replay(
    votes: Votes, vote_ids: Integers, history: History, policies: list[Policy]
) -> tuple[Outcome, list[Difference]]:
    """Re-derive every ledger row from the votes. vote_ids: shape of votes.answers, ascending in an item.

    Returns the labels that the ledger amounts to, and what in it does not follow from the votes.
    """
    if not len(history):
        none = np.zeros(0, dtype=np.int64)
        return _outcome(votes, vote_ids, history, none, none.astype(bool)), []
    limits = _Limits.of(policies, history.policy)
    found: list[Difference] = []

    def differ(wrong: Mask, reason: str) -> None:
        if wrong.any():
            found.append(Difference(np.flatnonzero(wrong), reason))

    rows = len(history)
    batch = history.kind != Kind.REVIEW
    opens = np.searchsorted(history.item, history.item, side="left")
    undo = (history.kind == Kind.REVIEW) & (history.decision == UNDO)
    replaced = np.where(history.restores >= 0, history.restores + 1, opens)
    takes = history.first_vote_id >= 0
    size = np.where(takes & ~undo, np.maximum(history.agree + history.disagree, 0), 0)
    # An undo gives back the votes that its decision took.
    moved = np.where(undo, -size[replaced], size)
    taken_after = np.cumsum(moved)
    taken_before = taken_after - moved
    taken_after = taken_after - taken_before[opens]
    taken_before = taken_before - taken_before[opens]
    start = votes.offsets[history.item] + taken_before
    fits = start + size <= votes.offsets[history.item + 1]
    differ(~fits, "takes more votes than the item has")
    differ((batch | takes) & (size == 0), "takes no votes")
    differ((history.agree < 0) | (history.disagree < 0), "counts less than no votes")
    differ(takes != (history.last_vote_id >= 0), "names one end of its votes only")
    differ(history.kind > Kind.REVIEW, "is of a kind that there is not")
    differ(history.state_after >= State.GOLD, "leads to a state that no row can")

    held = takes & fits & (size > 0)
    first = np.where(held, start, 0)
    last = np.where(held, start + size - 1, 0)
    padded_ids = vote_ids if len(vote_ids) else np.zeros(1, dtype=np.int64)
    differ(
        held & ((padded_ids[first] != history.first_vote_id) | (padded_ids[last] != history.last_vote_id)),
        "does not take the votes that come next",
    )

    first_of_item = np.arange(rows) == opens
    previous = np.maximum(np.arange(rows) - 1, 0)
    label_before = np.where(first_of_item, NO_LABEL, history.label[previous])
    state_before = np.where(first_of_item, State.UNLABELED, history.state_after[previous])
    confidence_before = np.where(first_of_item, NO_CONFIDENCE, history.confidence_after[previous])
    differ(history.confidence_before != confidence_before, "does not begin at the confidence before it")

    agree = _agreeing(votes, history, start, size, held)
    differ(held & (agree != history.agree), "miscounts the votes that agree")

    opening = history.kind == Kind.FIRST_PASS
    differ(opening & (state_before != State.UNLABELED), "is a first pass of an item that has a label")
    _check_first_passes(votes, history, opening & held & (taken_before == 0), limits, differ)
    differ(opening & (taken_before != 0), "is not the item's first pass")

    again = history.kind == Kind.REVALIDATION
    differ(
        again & (state_before != State.IN_REVALIDATION), "is a batch of an item that is not in re-validation"
    )
    differ(again & (history.label != label_before), "changes the label, which only a review may")
    differ(again & (size != limits.batch), "is not a batch of its policy's size")
    expected = step(confidence_before, history.agree, history.disagree, limits.delta)
    differ(again & (history.confidence_after != expected), "reaches another confidence than its votes give")

    judged = judge(history.confidence_after, taken_after, limits.exit, limits.floor, limits.min_total)
    differ(batch & (history.state_after != judged), "leads to another state than its policy gives")

    _check_reviews(
        votes, history, taken_after, limits, _Before(label_before, state_before, confidence_before), differ
    )
    differ(
        (history.kind == Kind.REVIEW) & takes & (undo | (history.decision == DISCARD) | (taken_before > 0)),
        "takes votes, which only a first label may",
    )
    _check_undos(history, undo, replaced, batch, differ)
    return _outcome(votes, vote_ids, history, moved, batch), found


@dataclass(slots=True)
class _Limits:
    """The policy of each row, as columns."""

    threshold: Integers
    min_total: Integers
    exit: Integers
    floor: Integers
    delta: Integers
    batch: Integers

    @classmethod
    def of(cls, policies: list[Policy], row_policy: Integers) -> "_Limits":
        def column(name: str) -> Integers:
            return np.array([getattr(policy, name) for policy in policies] or [0], dtype=np.int64)[row_policy]

        return cls(
            threshold=column("consensus_threshold"),
            min_total=column("revalidation_min_total_votes"),
            exit=column("revalidation_exit_confidence"),
            floor=column("revalidation_confidence_threshold"),
            delta=column("revalidation_delta"),
            batch=column("revalidation_min_votes"),
        )


def _agreeing(votes: Votes, history: History, start: Integers, size: Integers, held: Mask) -> Integers:
    """How many of each row's votes give the row's label."""
    rows = np.flatnonzero(held)
    counts = size[rows]
    row = np.repeat(rows, counts)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    same = votes.answers[start[row] + offset] == history.label[row]
    return np.bincount(row[same], minlength=len(history)).astype(np.int64)


def _check_first_passes(votes: Votes, history: History, rows: Mask, limits: _Limits, differ: Differ) -> None:
    wrong_prefix = np.zeros(len(history), dtype=bool)
    wrong_label = np.zeros(len(history), dtype=bool)
    for threshold in np.unique(limits.threshold[rows]):
        chosen = np.flatnonzero(rows & (limits.threshold == threshold))
        items = history.item[chosen]
        counts = np.diff(votes.offsets)[items]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        index = np.arange(offsets[-1]) + np.repeat(votes.offsets[items] - offsets[:-1], counts)
        prefix, label, _ = first_pass(Votes(offsets, votes.answers[index]), int(threshold))
        wrong_prefix[chosen] = prefix != history.agree[chosen] + history.disagree[chosen]
        wrong_label[chosen] = label != history.label[chosen]
    size = np.maximum(history.agree + history.disagree, 1)
    wrong_share = rows & (share(history.agree, size) != history.confidence_after)
    differ(wrong_prefix, "does not end at the earliest majority")
    differ(wrong_label, "gives a label that its votes do not")
    differ(wrong_share, "reaches another confidence than its votes give")


@dataclass(slots=True)
class _Before:
    """Where the item of each row stood before it."""

    label: Codes
    state: States
    confidence: Integers


def _check_reviews(
    votes: Votes, history: History, applied_after: Integers, limits: _Limits, before: _Before, differ: Differ
) -> None:
    review = history.kind == Kind.REVIEW
    known = (history.decision > NO_DECISION) & (history.decision <= UNDO)
    differ(review & ~known, "is a review without a decision")
    kept = review & ((history.decision == CONFIRM) | (history.decision == RELABEL))
    differ(
        kept & (history.state_after != State.IN_REVALIDATION), "leads to another state than a review gives"
    )
    differ(kept & (history.label == NO_LABEL), "gives no label")
    differ(review & (history.decision == CONFIRM) & (history.label != before.label), "confirms another label")

    rows = np.flatnonzero(kept)
    applied = applied_after[rows]
    agreeing = _Span(votes, history.item[rows], applied, history.label[rows]).agreeing
    reached = np.maximum(share(agreeing, np.maximum(applied, 1)), limits.floor[rows])
    wrong = np.zeros(len(history), dtype=bool)
    wrong[rows] = reached != history.confidence_after[rows]
    differ(wrong, "reaches another confidence than its votes give")
    miscounted = np.zeros(len(history), dtype=bool)
    miscounted[rows] = (agreeing != history.agree[rows]) | (applied - agreeing != history.disagree[rows])
    differ(miscounted, "miscounts the votes that agree")

    counts = (history.agree != 0) | (history.disagree != 0)
    differ(review & ~kept & counts, "counts votes that it does not judge")
    discard = review & (history.decision == DISCARD)
    differ(
        discard
        & (
            (history.state_after != State.DISCARDED)
            | (history.label != before.label)
            | (history.confidence_after != before.confidence)
        ),
        "is a discard that does more",
    )


def _check_undos(history: History, undo: Mask, replaced: Integers, batch: Mask, differ: Differ) -> None:
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
    restored = (
        (np.where(blank, NO_LABEL, history.label[to]) == history.label)
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

    @property
    def agreeing(self) -> Integers:
        fits = np.clip(self.length, 0, np.diff(self.votes.offsets)[self.item])
        span = np.repeat(np.arange(len(self.item)), fits)
        offset = np.arange(len(span)) - np.repeat(np.cumsum(fits) - fits, fits)
        same = self.votes.answers[self.votes.offsets[self.item[span]] + offset] == self.label[span]
        return np.bincount(span[same], minlength=len(self.item)).astype(np.int64)


def _outcome(votes: Votes, vote_ids: Integers, history: History, moved: Integers, batch: Mask) -> Outcome:
    items = len(votes.offsets) - 1
    last_row = np.full(items, -1, dtype=np.int64)
    last_row[history.item] = np.arange(len(history))
    has = last_row >= 0

    def last(column: Integers, blank: int) -> Integers:
        out = np.full(items, blank, dtype=np.int64)
        out[has] = column[last_row[has]]
        return out

    def summed(mask: Mask) -> Integers:
        return np.bincount(history.item, np.where(mask, moved, 0), items).astype(np.int64)

    again = history.kind == Kind.REVALIDATION
    applied = summed(np.ones(len(history), dtype=bool))
    end = np.minimum(votes.offsets[:-1] + applied, votes.offsets[1:]) - 1
    through = np.zeros(items, dtype=np.int64)
    some = (applied > 0) & (end >= votes.offsets[:-1])
    through[some] = vote_ids[end[some]]
    return Outcome(
        label=last(history.label, NO_LABEL).astype(np.int32),
        confidence=last(history.confidence_after, NO_CONFIDENCE),
        state=last(history.state_after, State.UNLABELED).astype(np.uint8),
        vote_count=summed(~again),
        revalidation_vote_count=summed(again),
        revalidation_epochs=np.bincount(
            history.item, (batch & (history.state_after == State.GRADUATED)).astype(np.int64), items
        ).astype(np.int64),
        applied_through=through,
        last_row=last_row,
    )
