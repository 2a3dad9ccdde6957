"""Pairs of votes on one item, by the two solvers who gave them; a block of solvers at a time.

A pair is found at the solver who comes first, so a block holds all there is of its pairs of solvers. It
takes memory in the number of its pairs of votes, and a solver has no more of those than there are votes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers
from hiveguard_pipeline.store.crowd import Crowd

PAIRS_AT_ONCE = 1_000_000


@dataclass(slots=True)
class Block:
    """Pairs of votes and the pairs of solvers that gave them.

    item, pair, first_answer, second_answer: of each pair of votes, shape (vote pairs,); `pair` is a
    position in first and second, the solvers' codes, shape (solver pairs,), first < second.
    """

    item: Integers
    pair: Integers
    first_answer: Codes
    second_answer: Codes
    first: Codes
    second: Codes

    @property
    def items(self) -> Integers:
        """How many items each pair of solvers has in common."""
        return np.bincount(self.pair, minlength=len(self.first))

    @property
    def agreed(self) -> Integers:
        """On how many of them they gave one answer."""
        return np.bincount(self.pair[self.first_answer == self.second_answer], minlength=len(self.first))


def blocks(crowd: Crowd) -> Iterator[Block]:
    """All pairs of votes on one item, whatever order the votes lie in; in the order of solvers."""
    by_solver = np.lexsort((crowd.solver, crowd.item))
    item, solver, answer = crowd.item[by_solver], crowd.solver[by_solver], crowd.answer[by_solver]
    partners = crowd.offsets[1:][item] - np.arange(len(item)) - 1
    order = np.argsort(solver, kind="stable")
    ends = np.cumsum(partners[order])
    last_of_solver = np.flatnonzero(np.append(solver[order][1:] != solver[order][:-1], True))
    start = 0
    while start < len(order):
        before = ends[start - 1] if start else 0
        full = np.searchsorted(ends, before + PAIRS_AT_ONCE, side="right") - 1
        # Whole solvers that fit, and at least one.
        fitting = np.searchsorted(last_of_solver, full, side="right") - 1
        stop = int(last_of_solver[max(fitting, np.searchsorted(last_of_solver, start))]) + 1
        votes = order[start:stop]
        start = stop
        left = np.repeat(votes, partners[votes])
        if not len(left):
            continue
        ranks = np.arange(len(left)) - np.repeat(
            np.cumsum(partners[votes]) - partners[votes], partners[votes]
        )
        right = left + 1 + ranks
        keys = solver[left].astype(np.int64) * len(crowd.solvers) + solver[right]
        pairs, pair = ranked(keys)
        yield Block(
            item[left],
            pair,
            answer[left],
            answer[right],
            (pairs // len(crowd.solvers)).astype(np.int32),
            (pairs % len(crowd.solvers)).astype(np.int32),
        )


def ranked(keys: Integers) -> tuple[Integers, Integers]:
    """The different keys in order, and the place of each key among them; shapes (different,), (keys,).

    Keys that lie close together, as those of few solvers do, are not sorted for it.
    """
    low = int(keys.min())
    span = int(keys.max()) - low + 1
    if span > 8 * len(keys):
        found, place = np.unique(keys, return_inverse=True)
        return found, place
    there = np.zeros(span, dtype=bool)
    there[keys - low] = True
    return np.flatnonzero(there) + low, (np.cumsum(there) - 1)[keys - low]
