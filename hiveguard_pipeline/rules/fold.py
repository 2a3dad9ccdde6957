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
    after = Items(
        items.label.copy(),
        items.confidence.copy(),
        items.vote_count.copy(),
        items.revalidation_vote_count.copy(),
        items.state.copy(),
    )
    applied = np.zeros(len(items.label), dtype=np.int64)
    rounds = [_apply_first_passes(votes, after, applied, policy)]
    rounds.extend(_apply_batches(votes, after, applied, policy))
    return Folded(after, _by_item(rounds, len(applied)), applied)


def _apply_first_passes(votes: Votes, items: Items, applied: Integers, policy: Policy) -> Ledger:
    unlabeled = np.flatnonzero(items.state == State.UNLABELED)
    starts = votes.offsets[unlabeled]
    if len(unlabeled) == len(items.state):
        prefix, label, agree = first_pass(votes, policy.consensus_threshold)
    else:
        prefix, label, agree = first_pass(_only(votes, unlabeled), policy.consensus_threshold)
    done = prefix > 0
    item, starts, prefix, label, agree = unlabeled[done], starts[done], prefix[done], label[done], agree[done]
    confidence = share(agree, prefix)
    state = judge_under(policy, confidence, prefix)
    items.label[item], items.confidence[item], items.state[item] = label, confidence, state
    items.vote_count[item] = applied[item] = prefix
    return Ledger(
        item=item,
        kind=np.full(len(item), Kind.FIRST_PASS, dtype=np.uint8),
        first=starts,
        last=starts + prefix - 1,
        agree=agree,
        disagree=prefix - agree,
        label=label,
        confidence_before=np.full(len(item), NO_CONFIDENCE, dtype=np.int64),
        confidence_after=confidence,
        state_after=state,
    )


def _apply_batches(votes: Votes, items: Items, applied: Integers, policy: Policy) -> list[Ledger]:
    size = policy.revalidation_min_votes
    ends = votes.offsets[1:]
    rounds: list[Ledger] = []
    item = np.flatnonzero(items.state == State.IN_REVALIDATION)
    start = votes.offsets[item] + applied[item]
    label, confidence = items.label[item], items.confidence[item]
    total = items.vote_count[item] + items.revalidation_vote_count[item]
    while True:
        full = start + size <= ends[item]
        item, start, label, confidence, total = (c[full] for c in (item, start, label, confidence, total))
        if not len(item):
            return rounds
        agree = np.zeros(len(item), dtype=np.int64)
        for position in range(size):
            agree += votes.answers[start + position] == label
        before, confidence = confidence, step(confidence, agree, size - agree, policy.revalidation_delta)
        total = total + size
        state = judge_under(policy, confidence, total)
        items.confidence[item], items.state[item] = confidence, state
        items.revalidation_vote_count[item] += size
        applied[item] += size
        rounds.append(
            Ledger(
                item=item,
                kind=np.full(len(item), Kind.REVALIDATION, dtype=np.uint8),
                first=start,
                last=start + size - 1,
                agree=agree,
                disagree=size - agree,
                label=label,
                confidence_before=before,
                confidence_after=confidence,
                state_after=state,
            )
        )
        stays = state == State.IN_REVALIDATION
        item, label, confidence, total = (c[stays] for c in (item, label, confidence, total))
        start = start[stays] + size


def _only(votes: Votes, items: Integers) -> Votes:
    """The votes of some of the items."""
    counts = votes.offsets[items + 1] - votes.offsets[items]
    offsets = np.concatenate(([0], np.cumsum(counts)))
    index = np.arange(offsets[-1]) + np.repeat(votes.offsets[items] - offsets[:-1], counts)
    return Votes(offsets, votes.answers[index])


def _by_item(rounds: list[Ledger], items: int) -> Ledger:
    """The rows of all rounds in item order; within an item, in round order."""
    rows = np.zeros(items, dtype=np.int64)
    for part in rounds:
        rows[part.item] += 1
    place = np.cumsum(rows) - rows
    targets = []
    for part in rounds:
        targets.append(place[part.item])
        place[part.item] += 1
    target = np.concatenate(targets)
    columns = {}
    for name in Ledger.__slots__:
        values = np.concatenate([getattr(part, name) for part in rounds])
        columns[name] = np.empty_like(values)
        columns[name][target] = values
    return Ledger(**columns)
