"""Whole-history replay: does every row of a ledger, and every label, follow from the votes?

The ledger is checked in one go over columns: where each row's votes begin follows from the rows before
it, and every row must be what the rules make of those votes under the policy that it names.
"""

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Integers, Mask, judge, step
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE, NO_LABEL, Votes
from hiveguard_pipeline.rules.history import (
    DECISIONS,
    DISCARD,
    HOLD,
    RELEASE,
    UNDO,
    Differ,
    Difference,
    History,
    Limits,
    Outcome,
)
from hiveguard_pipeline.rules.majority import first_pass
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.replayed_probabilities import check_probable
from hiveguard_pipeline.rules.replayed_reviews import Before, check_reviews, check_undos, known_votes
from hiveguard_pipeline.rules.states import Kind, State

__all__ = ["DECISIONS", "Difference", "History", "Outcome", "replay"]


def replay(
    votes: Votes, vote_ids: Integers, history: History, policies: list[Policy]
) -> tuple[Outcome, list[Difference]]:
    """Re-derive every ledger row from the votes. vote_ids: shape of votes.answers, ascending in an item.

    Returns the labels that the ledger amounts to, and what in it does not follow from the votes.
    """
    if not len(history):
        none = np.zeros(0, dtype=np.int64)
        nothing = none.astype(bool)
        return _outcome(votes, vote_ids, history, none, nothing, nothing), []
    limits = Limits.of(policies, history.policy)
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
    settled = history.kind == Kind.SETTLED
    differ(((batch & ~settled) | takes) & (size == 0), "takes no votes")
    differ((history.agree < 0) | (history.disagree < 0), "counts less than no votes")
    differ(takes != (history.last_vote_id >= 0), "names one end of its votes only")
    differ(history.kind > Kind.SETTLED, "is of a kind that there is not")
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
    kept_label = history.label[previous]
    if votes.judge is not None:
        kept_label = votes.judge.carried(kept_label, history.era)
    label_before = np.where(first_of_item, NO_LABEL, kept_label)
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
    differ(
        (opening | again) & (history.state_after != judged), "leads to another state than its policy gives"
    )
    by_probability = settled | (history.kind == Kind.ADAPTIVE)
    check_probable(votes, history, by_probability, state_before, taken_before, taken_after, limits, differ)

    opens_anew = (history.restates_through >= 0) & (history.kind == Kind.REVIEW)
    check_reviews(
        votes,
        history,
        taken_after,
        limits,
        Before(label_before, state_before, confidence_before),
        opens_anew,
        differ,
    )
    takes_none = np.isin(history.decision, (UNDO, HOLD, RELEASE)) | (
        (history.decision == DISCARD) & ~opens_anew
    )
    differ(
        (history.kind == Kind.REVIEW) & takes & (takes_none | (taken_before > 0)),
        "takes votes, which only a first label may",
    )
    differ(opens_anew & ~first_of_item, "restates a decision after the item's first row")
    known_then = known_votes(votes, vote_ids, history.item, history.restates_through, opens_anew)
    differ(opens_anew & (size != known_then), "does not take the votes that its decision was taken on")
    check_undos(votes, history, undo, replaced, batch, differ)
    later = again | (by_probability & (taken_before > 0))
    return _outcome(votes, vote_ids, history, moved, batch, later), found


def _agreeing(votes: Votes, history: History, start: Integers, size: Integers, held: Mask) -> Integers:
    """How many of each row's votes give the row's label."""
    rows = np.flatnonzero(held)
    counts = size[rows]
    row = np.repeat(rows, counts)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    same = votes.agree(start[row] + offset, history.label[row], history.era[row])
    return np.bincount(row[same], minlength=len(history)).astype(np.int64)


def _check_first_passes(votes: Votes, history: History, rows: Mask, limits: Limits, differ: Differ) -> None:
    wrong_prefix, wrong_label, wrong_share = (np.zeros(len(history), dtype=bool) for _ in range(3))
    for threshold in np.unique(limits.threshold[rows]):
        chosen = np.flatnonzero(rows & (limits.threshold == threshold))
        found = first_pass(votes.only(history.item[chosen]), int(threshold), history.era[chosen])
        wrong_prefix[chosen] = found.prefix != history.agree[chosen] + history.disagree[chosen]
        wrong_label[chosen] = found.label != history.label[chosen]
        wrong_share[chosen] = found.confidence != history.confidence_after[chosen]
    differ(wrong_prefix, "does not end at the earliest majority")
    differ(wrong_label, "gives a label that its votes do not")
    differ(wrong_share, "reaches another confidence than its votes give")


def _outcome(
    votes: Votes, vote_ids: Integers, history: History, moved: Integers, batch: Mask, later: Mask
) -> Outcome:
    """later: rows whose votes are not those of the first label."""
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

    applied = summed(np.ones(len(history), dtype=bool))
    end = np.minimum(votes.offsets[:-1] + applied, votes.offsets[1:]) - 1
    through = np.zeros(items, dtype=np.int64)
    some = (applied > 0) & (end >= votes.offsets[:-1])
    through[some] = vote_ids[end[some]]
    return Outcome(
        label=last(history.label, NO_LABEL).astype(np.int32),
        confidence=last(history.confidence_after, NO_CONFIDENCE),
        state=last(history.state_after, State.UNLABELED).astype(np.uint8),
        vote_count=summed(~later),
        revalidation_vote_count=summed(later),
        revalidation_epochs=np.bincount(
            history.item, (batch & (history.state_after == State.GRADUATED)).astype(np.int64), items
        ).astype(np.int64),
        applied_through=through,
        last_row=last_row,
    )
