"""The state machine: what a stream of votes does to items, all items at once.

Votes are columns in which each item's votes stand together in arrival order. Items are folded a slice
at a time, as many as a processor's cache holds: all their first passes, then batch 1 of all of them, then
batch 2, ... The items with the most votes stand first in this, so that a round works on whole prefixes of
columns and the number of rounds is the number of batches of the item that has the most.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Integers, States, judge_under, step
from hiveguard_pipeline.rules.columns import Folded, Items, Ledger, Votes
from hiveguard_pipeline.rules.majority import first_pass
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import Kind, State

VOTES_AT_ONCE = 131_072
"""Votes of a slice: their columns stay in a processor's cache."""


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
    own = Votes(votes.offsets[part.start : part.stop + 1], votes.answers, votes.judge)
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
    whole = len(unlabeled) == len(items.state)
    found = first_pass(votes if whole else votes.only(unlabeled), policy.consensus_threshold)
    opened = np.flatnonzero(found.prefix)
    item = unlabeled[opened]
    agree, taken, confidence = found.agree[opened], found.prefix[opened], found.confidence[opened]
    prefix = np.zeros(len(items.state), dtype=np.int64)
    prefix[item] = taken
    items.label[item] = found.label[opened]
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
            agree += votes.agree(position, label)
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
