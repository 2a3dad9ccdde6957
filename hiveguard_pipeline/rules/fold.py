"""The state machine: what a stream of votes does to items, all items at once.

Votes are columns in which each item's votes stand together in arrival order. The fold takes all
items through their first pass, then all of them through batch 1, batch 2, ...: numpy works over
items, and the number of rounds is the number of batches of the item that has the most.
"""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers, States, judge_under, share, step
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import Kind, State

NO_LABEL = -1
NO_CONFIDENCE = -1


@dataclass(slots=True)
class Votes:
    """Votes of n items: those of item i are answers[offsets[i]:offsets[i + 1]], in arrival order.

    offsets: shape (n + 1,), int64. answers: codes of the answers, int32, >= 0.
    """

    offsets: Integers
    answers: Codes


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

    first and last are positions in Votes.answers; confidence_before is -1 where there was none.
    """

    item: Integers
    kind: States
    first: Integers
    last: Integers
    agree: Integers
    disagree: Integers
    label: Codes
    confidence_before: Integers
    confidence_after: Integers
    state_after: States

    def __len__(self) -> int:
        return len(self.item)


@dataclass(slots=True)
class Folded:
    """What a fold did: the items after it, the ledger rows, and how many votes of each item it applied."""

    items: Items
    ledger: Ledger
    applied: Integers


def first_pass(votes: Votes, threshold: int) -> tuple[Integers, Codes, Integers]:
    """The earliest prefix of n >= threshold votes in which one answer holds more than half.

    Returns, for each item, n (0 where there is none yet), the answer (-1) and its number of votes in
    the prefix (0); shapes (items,).
    """
    starts, counts = votes.offsets[:-1], np.diff(votes.offsets)
    prefix = np.zeros(len(counts), dtype=np.int64)
    label = np.full(len(counts), NO_LABEL, dtype=np.int32)
    agree = np.zeros(len(counts), dtype=np.int64)

    ready = np.flatnonzero(counts >= threshold)
    candidate, held = _majority_candidate(votes.answers, starts[ready], threshold)
    won = 2 * held > threshold
    decided = ready[won]
    prefix[decided], label[decided], agree[decided] = threshold, candidate[won], held[won]

    waiting = ready[~won & (counts[ready] > threshold)]
    if len(waiting):
        _later_majority(votes, waiting, threshold, prefix, label, agree)
    return prefix, label, agree


def _majority_candidate(answers: Codes, starts: Integers, length: int) -> tuple[Codes, Integers]:
    """The one answer that can hold more than half of `length` votes, and how many it holds.

    Boyer and Moore, "MJRTY: a fast majority vote algorithm" (1981), over all items a vote at a time.
    """
    candidate = answers[starts] if length else np.empty(0, dtype=np.int32)
    lead = np.ones(len(starts), dtype=np.int32)
    for position in range(1, length):
        answer = answers[starts + position]
        candidate = np.where(lead == 0, answer, candidate)
        lead += np.where(answer == candidate, np.int32(1), np.int32(-1))
    held = np.zeros(len(starts), dtype=np.int64)
    for position in range(length):
        held += answers[starts + position] == candidate
    return candidate, held


def _later_majority(
    votes: Votes, items: Integers, threshold: int, prefix: Integers, label: Codes, agree: Integers
) -> None:
    """First passes that end beyond the threshold; fills prefix, label and agree at `items`.

    Where a prefix of n - 1 votes has no majority, only the n-th vote's answer can hold one at n: it is
    reached at the first vote whose running count of its own answer is more than half its position.
    """
    counts = votes.offsets[items + 1] - votes.offsets[items]
    item = np.repeat(np.arange(len(items)), counts)
    begin = np.repeat(np.cumsum(counts) - counts, counts)
    position = np.arange(len(item)) - begin
    answer = votes.answers[np.repeat(votes.offsets[items], counts) + position]

    group = item * (int(answer.max()) + 1) + answer
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    opens = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    sizes = np.diff(np.append(opens, len(ordered)))
    running = np.empty(len(order), dtype=np.int64)
    running[order] = np.arange(len(order)) - np.repeat(opens, sizes) + 1

    hits = np.flatnonzero((position >= threshold) & (2 * running > position + 1))
    reached, first = np.unique(item[hits], return_index=True)
    hit = hits[first]
    prefix[items[reached]] = position[hit] + 1
    label[items[reached]] = answer[hit]
    agree[items[reached]] = running[hit]


def fold(votes: Votes, items: Items, policy: Policy) -> Folded:
    """Apply to each item of the pool all the votes that its rules take; the rest stays unprocessed.

    `votes` holds each item's unprocessed votes. Items out of the pool are left alone. Under one policy
    the result depends on the votes and their order alone: folding a stream in parts gives the same
    items and ledger as folding it whole.
    """
    opened = _first_passes(votes, items, policy)
    rounds = _batches(votes, opened, policy)
    return _assembled(votes, items, opened, rounds, policy.revalidation_min_votes)


@dataclass(slots=True)
class _Opened:
    """All items after their first pass; prefix is 0 where none was made now. Columns of shape (items,)."""

    prefix: Integers
    agree: Integers
    label: Codes
    confidence: Integers
    total: Integers
    state: States


@dataclass(slots=True)
class _Round:
    """Batch number k of the items that have one: what only the votes can say. Shape (items in it,)."""

    item: Integers
    agree: Integers
    confidence: Integers
    state: States


def _first_passes(votes: Votes, items: Items, policy: Policy) -> _Opened:
    count = len(items.state)
    unlabeled = np.flatnonzero(items.state == State.UNLABELED)
    if len(unlabeled) == count:
        prefix, label, agree = first_pass(votes, policy.consensus_threshold)
    else:
        prefix, label, agree = np.zeros(count, np.int64), items.label.copy(), np.zeros(count, np.int64)
        prefix[unlabeled], label[unlabeled], agree[unlabeled] = first_pass(
            _only(votes, unlabeled), policy.consensus_threshold
        )
    confidence, state = items.confidence.copy(), items.state.copy()
    total = items.vote_count + items.revalidation_vote_count + prefix
    done = np.flatnonzero(prefix)
    confidence[done] = share(agree[done], prefix[done])
    state[done] = judge_under(policy, confidence[done], prefix[done])
    return _Opened(prefix, agree, label, confidence, total, state)


def _batches(votes: Votes, opened: _Opened, policy: Policy) -> list[_Round]:
    size = policy.revalidation_min_votes
    item = np.flatnonzero(opened.state == State.IN_REVALIDATION)
    start, left = votes.offsets[item] + opened.prefix[item], np.diff(votes.offsets)[item]
    left = (left - opened.prefix[item]) // size
    label, confidence, total = opened.label[item], opened.confidence[item], opened.total[item]
    going = left > 0
    rounds: list[_Round] = []
    while True:
        item, start, left = item[going], start[going], left[going]
        label, confidence, total = label[going], confidence[going], total[going]
        if not len(item):
            return rounds
        agree = np.zeros(len(item), dtype=np.int64)
        for position in range(size):
            agree += votes.answers.take(start + position) == label
        confidence = step(confidence, agree, size - agree, policy.revalidation_delta)
        total, start, left = total + size, start + size, left - 1
        state = judge_under(policy, confidence, total)
        rounds.append(_Round(item, agree, confidence, state))
        going = (state == State.IN_REVALIDATION) & (left > 0)


def _assembled(votes: Votes, items: Items, opened: _Opened, rounds: list[_Round], size: int) -> Folded:
    """The ledger in item order, and the items after it, from what the votes said round by round."""
    first_passes = (opened.prefix > 0).astype(np.int64)
    batches = np.zeros(len(items.state), dtype=np.int64)
    for number, part in enumerate(rounds, start=1):
        batches[part.item] = number
    rows = first_passes + batches
    ends = np.cumsum(rows)
    begins = ends - rows
    count = int(ends[-1]) if len(ends) else 0

    agree, confidence = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32)
    state = np.empty(count, dtype=np.uint8)
    opening = np.flatnonzero(first_passes)
    opening_row, prefix = begins[opening], opened.prefix[opening]
    agree[opening_row], confidence[opening_row] = opened.agree[opening], opened.confidence[opening]
    state[opening_row] = opened.state[opening]
    after_opening = begins + first_passes
    for number, part in enumerate(rounds):
        place = after_opening[part.item] + number
        agree[place], confidence[place], state[place] = part.agree, part.confidence, part.state

    # Batches of an item follow one another; its first pass, where there is one, stands before them.
    first = np.repeat(votes.offsets[:-1] + opened.prefix - after_opening * size, rows)
    first += np.arange(0, count * size, size)
    first[opening_row] = votes.offsets[opening]
    last = first + (size - 1)
    last[opening_row] = votes.offsets[opening] + prefix - 1
    disagree = size - agree
    disagree[opening_row] = prefix - opened.agree[opening]
    kind = np.full(count, Kind.REVALIDATION, dtype=np.uint8)
    kind[opening_row] = Kind.FIRST_PASS
    touched = np.flatnonzero(rows)
    before = np.empty(count, dtype=np.int32)
    before[1:] = confidence[:-1]
    before[begins[touched]] = items.confidence[touched]
    ledger = Ledger(
        item=np.repeat(np.arange(len(rows), dtype=np.int64), rows),
        kind=kind,
        first=first,
        last=last,
        agree=agree,
        disagree=disagree,
        label=np.repeat(opened.label, rows),
        confidence_before=before,
        confidence_after=confidence,
        state_after=state,
    )
    newest = ends[touched] - 1
    opened.confidence[touched], opened.state[touched] = confidence[newest], state[newest]
    after = Items(
        label=opened.label,
        confidence=opened.confidence,
        vote_count=items.vote_count + opened.prefix,
        revalidation_vote_count=items.revalidation_vote_count + batches * size,
        state=opened.state,
    )
    return Folded(after, ledger, opened.prefix + batches * size)


def _only(votes: Votes, items: Integers) -> Votes:
    """The votes of some of the items."""
    counts = votes.offsets[items + 1] - votes.offsets[items]
    offsets = np.concatenate(([0], np.cumsum(counts)))
    index = np.arange(offsets[-1]) + np.repeat(votes.offsets[items] - offsets[:-1], counts)
    return Votes(offsets, votes.answers[index])
