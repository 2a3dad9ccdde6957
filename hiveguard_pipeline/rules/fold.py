"""The state machine: what a stream of votes does to items, all items at once.

Votes are columns in which each item's votes stand together in arrival order. Items are folded a slice
at a time, as many as a processor's cache holds: all their first passes, then batch 1 of all of them, then
batch 2, ... The items with the most votes stand first in this, so that a round works on whole prefixes of
columns and the number of rounds is the number of batches of the item that has the most.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hiveguard_pipeline.rules.arithmetic import (
    Codes,
    Integers,
    States,
    judge_under,
    share,
    step,
)
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import Kind, State

NO_LABEL = -1
NO_CONFIDENCE = -1

VOTES_AT_ONCE = 131_072
"""Votes of a slice: their columns stay in a processor's cache."""


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
    prefix = answers.take(starts + np.arange(length)[:, np.newaxis])
    candidate = prefix[0]
    lead = np.ones(len(starts), dtype=np.int32)
    for answer in prefix[1:]:
        candidate = np.where(lead == 0, answer, candidate)
        lead += np.where(answer == candidate, np.int32(1), np.int32(-1))
    return candidate, (prefix == candidate).sum(axis=0, dtype=np.int64)


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
        label=items.label.copy(),
        confidence=items.confidence.copy(),
        vote_count=items.vote_count.copy(),
        revalidation_vote_count=items.revalidation_vote_count.copy(),
        state=items.state.copy(),
    )
    applied = np.zeros(len(items.state), dtype=np.int64)
    rows = _Rows.at_most(len(applied) + len(votes.answers) // policy.revalidation_min_votes, votes)
    for part in _slices(votes.offsets):
        _fold_slice(votes, after, applied, part, policy, rows)
    item, kind, first, agree, confidence, state = (column[: rows.written] for column in rows.columns)
    ledger = Ledger(
        item=item,
        kind=kind,
        first=first,
        agree=agree,
        confidence_after=confidence,
        state_after=state,
        of_items=after,
        confidence_of_items=items.confidence,
        batch_size=policy.revalidation_min_votes,
    )
    return Folded(after, ledger, applied)


@dataclass(slots=True)
class _Rows:
    """The ledger's columns while they are written: item, kind, first, agree, confidence, state."""

    columns: list[Integers]
    written: int

    @classmethod
    def at_most(cls, rows: int, votes: Votes) -> "_Rows":
        """Room for that many rows; memory is taken where it is written."""
        position = np.int32 if len(votes.answers) <= np.iinfo(np.int32).max else np.int64
        kinds = (np.int32, np.uint8, position, np.int32, np.int32, np.uint8)
        return cls([np.empty(rows, dtype=kind) for kind in kinds], 0)


def _slices(offsets: Integers) -> list[slice]:
    """Runs of items with some VOTES_AT_ONCE votes each, at least one run; an item is never divided."""
    begins = np.searchsorted(offsets, np.arange(offsets[0], offsets[-1], VOTES_AT_ONCE), side="right") - 1
    edges = np.append(np.unique(begins), len(offsets) - 1)
    edges[0] = 0
    return [slice(start, end) for start, end in pairwise(edges.tolist())] or [slice(0, len(offsets) - 1)]


def _fold_slice(
    votes: Votes, items: Items, applied: Integers, part: slice, policy: Policy, rows: _Rows
) -> None:
    """Fold the items of a slice, in place, and write their rows of the ledger."""
    own = Votes(votes.offsets[part.start : part.stop + 1], votes.answers)
    there = Items(
        items.label[part],
        items.confidence[part],
        items.vote_count[part],
        items.revalidation_vote_count[part],
        items.state[part],
    )
    opened = _first_passes(own, there, policy)
    batches = _batches(own, there, opened.prefix, policy)
    size = policy.revalidation_min_votes
    there.revalidation_vote_count += batches.count * size
    applied[part] = opened.prefix + batches.count * size
    _write_rows(rows, part.start, own, opened, batches, size)


@dataclass(slots=True)
class _Opened:
    """First passes made now: of which items, and what they gave, columns of shape (first passes,).

    prefix: the votes that each item's first pass took, 0 where there was none now; shape (items,).
    """

    prefix: Integers
    item: Integers
    agree: Integers
    confidence: Integers
    state: States


@dataclass(slots=True)
class _Round:
    """Batch number k of the items that have one: columns of shape (items in it,)."""

    item: Integers
    agree: Integers
    confidence: Integers
    state: States


@dataclass(slots=True)
class _Batches:
    """Batches applied after the first passes: how many of each item, shape (items,), and the rounds."""

    count: Integers
    rounds: list[_Round]


def _first_passes(votes: Votes, items: Items, policy: Policy) -> _Opened:
    """Make the first passes, in place."""
    unlabeled = np.flatnonzero(items.state == State.UNLABELED)
    if len(unlabeled) == len(items.state):
        prefix, label, agree = first_pass(votes, policy.consensus_threshold)
        items.label[:] = label
    else:
        prefix, agree = np.zeros(len(items.state), np.int64), np.zeros(len(items.state), np.int64)
        prefix[unlabeled], items.label[unlabeled], agree[unlabeled] = first_pass(
            _only(votes, unlabeled), policy.consensus_threshold
        )
    item = np.flatnonzero(prefix)
    agree, taken = agree[item], prefix[item]
    confidence = share(agree, taken)
    state = judge_under(policy, confidence, taken)
    items.vote_count[item], items.confidence[item], items.state[item] = taken, confidence, state
    return _Opened(prefix, item, agree, confidence, state)


def _batches(votes: Votes, items: Items, prefix: Integers, policy: Policy) -> _Batches:
    """Apply the batches that follow, in place: all that the votes fill, up to each item's exit."""
    size = policy.revalidation_min_votes
    there = (votes.offsets[1:] - votes.offsets[:-1] - prefix) // size
    there *= items.state == State.IN_REVALIDATION
    item = _most_first(there)
    left, label, confidence = there[item], items.label[item], items.confidence[item]
    position = votes.offsets[item] + prefix[item]
    total = (items.vote_count + items.revalidation_vote_count)[item]
    stays = np.ones(len(item), dtype=bool)
    count = np.zeros(len(there), dtype=np.int64)
    rounds: list[_Round] = []
    while True:
        many = len(left) - int(np.searchsorted(left[::-1], len(rounds) + 1))
        going = np.flatnonzero(stays[:many])
        if not len(going):
            return _Batches(count, rounds)
        kept: slice | Integers = slice(many)
        if 2 * len(going) < many:  # most have left the pool: go on with the others alone
            kept, going = going, np.arange(len(going))
        item, left, label, confidence = item[kept], left[kept], label[kept], confidence[kept]
        position, total, stays = position[kept], total[kept] + size, stays[kept]

        agree = np.zeros(len(item), dtype=np.int32)
        position = position.copy()
        for _ in range(size):
            agree += votes.answers.take(position) == label
            position += 1
        confidence = step(confidence, agree, size - agree, policy.revalidation_delta)
        state = judge_under(policy, confidence, total)
        rounds.append(_Round(item[going], agree[going], confidence[going], state[going]))
        stayed = stays
        stays = stays & (state == State.IN_REVALIDATION)
        ended = np.flatnonzero(stayed & ~(stays & (left > len(rounds))))
        ends = item[ended]
        items.confidence[ends], items.state[ends], count[ends] = confidence[ended], state[ended], len(rounds)


def _most_first(counts: Integers) -> Integers:
    """The items with a count above 0, by falling count."""
    item = np.flatnonzero(counts)
    falling = counts.max(initial=0) - counts[item]
    short = np.uint16 if falling.max(initial=0) <= np.iinfo(np.uint16).max else np.int64
    return np.asarray(item[np.argsort(falling.astype(short), kind="stable")])  # 16 bits: sorted by radix


def _write_rows(
    rows: _Rows, first_item: int, votes: Votes, opened: _Opened, batches: _Batches, size: int
) -> None:
    """Write first passes and batches as rows of the ledger, by item, in order."""
    counts = batches.count.copy()
    counts[opened.item] += 1
    begins = np.cumsum(counts) - counts
    end = rows.written + int(counts.sum())
    item, kind, first, agree, confidence, state = (column[rows.written : end] for column in rows.columns)
    rows.written = end
    place = begins[opened.item]
    batch = votes.offsets[:-1] + opened.prefix - begins * size  # where batches of an item would have begun
    batch[opened.item] -= size
    item[:] = np.repeat(np.arange(first_item, first_item + len(counts), dtype=np.int32), counts)
    kind[:] = Kind.REVALIDATION
    kind[place] = Kind.FIRST_PASS
    np.add(np.repeat(batch, counts), np.arange(0, len(item) * size, size), out=first, casting="same_kind")
    first[place] = votes.offsets[opened.item]
    agree[place], confidence[place], state[place] = opened.agree, opened.confidence, opened.state
    begins[opened.item] += 1
    for number, part in enumerate(batches.rounds):
        place = begins[part.item] + number
        agree[place], confidence[place], state[place] = part.agree, part.confidence, part.state


def _only(votes: Votes, items: Integers) -> Votes:
    """The votes of some of the items."""
    counts = votes.offsets[items + 1] - votes.offsets[items]
    offsets = np.concatenate(([0], np.cumsum(counts)))
    index = np.arange(offsets[-1]) + np.repeat(votes.offsets[items] - offsets[:-1], counts)
    return Votes(offsets, votes.answers[index])
