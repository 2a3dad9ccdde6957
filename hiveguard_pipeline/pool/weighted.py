"""A pool of many items in memory that is drawn from by weight in microseconds, and changed at any place.

The items lie in blocks, and of each block the sum is kept: a draw picks a block by the sums, then an item
within it, and a change of an item costs the sum of its block. All chance comes from the caller.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Integers
from hiveguard_pipeline.rules.selection import draw_weighted

Floats = np.ndarray[Any, Any]

BLOCK = 4096
"""Items of a block: 10 million items are 2,442 of them, so that both steps of a draw are as long."""


class Weighted:
    """Weights of items, shape (items,), none negative; an item of weight 0 is never drawn."""

    def __init__(self, weight: Floats) -> None:
        self.weight = weight
        starts = np.arange(0, len(weight), BLOCK)
        self._sums = np.add.reduceat(weight, starts, dtype=np.float64) if len(weight) else np.zeros(0)
        self.positive = int(np.count_nonzero(weight))

    def change(self, places: Integers, weight: Floats) -> None:
        """Give items other weights. places: shape (changed,), each once."""
        if not len(places):
            return
        self.positive += int(np.count_nonzero(weight)) - int(np.count_nonzero(self.weight[places]))
        self.weight[places] = weight
        for block in np.unique(places // BLOCK).tolist():
            self._sums[block] = self.weight[block * BLOCK : (block + 1) * BLOCK].sum(dtype=np.float64)

    def draw(self, n: int, random: np.random.Generator) -> Integers:
        """Places of up to n items without replacement, each draw in proportion to weight.

        An item that is drawn again is drawn anew, which is drawing without replacement; where that would
        happen too often, all are drawn at once as the rules do (`rules.selection.draw_weighted`).
        """
        if self.positive <= max(4 * n, BLOCK):
            there = np.flatnonzero(self.weight)
            return np.asarray(there[draw_weighted(self.weight[there], n, random)], dtype=np.int64)
        bounds = np.cumsum(self._sums)
        found: dict[int, None] = {}
        # A weight that outdoes all others together would be drawn over and over.
        for _ in range(20):
            blocks = np.searchsorted(bounds, random.random(n) * bounds[-1], side="right")
            for block in np.minimum(blocks, len(bounds) - 1).tolist():
                found.setdefault(self._within(block, random))
                if len(found) == n:
                    return np.fromiter(found, dtype=np.int64, count=n)
        there = np.flatnonzero(self.weight)
        rest = there[~np.isin(there, np.fromiter(found, dtype=np.int64))]
        more = rest[draw_weighted(self.weight[rest], n - len(found), random)]
        return np.concatenate([np.fromiter(found, dtype=np.int64, count=len(found)), more])

    def _within(self, block: int, random: np.random.Generator) -> int:
        bounds = np.cumsum(self.weight[block * BLOCK : (block + 1) * BLOCK], dtype=np.float64)
        place = int(np.searchsorted(bounds, random.random() * bounds[-1], side="right"))
        while (
            place >= len(bounds) or self.weight[block * BLOCK + place] == 0
        ):  # a rounding away from its item
            place -= 1
        return block * BLOCK + place


class Levels:
    """Items of small whole levels, shape (items,), OUT for those not there: drawn lowest level first."""

    OUT = 255

    def __init__(self, level: Any) -> None:
        self.level = level
        blocks = -(-len(level) // BLOCK)
        self._counts = np.zeros((self.OUT, blocks), dtype=np.int32)
        for block in range(blocks):
            self._count(block)

    @property
    def present(self) -> int:
        """Items that are there."""
        return int(self._counts.sum())

    def change(self, places: Integers, level: Any) -> None:
        """Give items other levels. places: shape (changed,), each once."""
        self.level[places] = level
        for block in np.unique(places // BLOCK).tolist():
            self._count(block)

    def draw(
        self, n: int, random_share: float, random: np.random.Generator, first: Iterable[int] = ()
    ) -> list[int]:
        """Places of up to n items without replacement, as `rules.selection.draw_fewest_first` draws them:
        lowest level first, those of a level in random order, but a share of the draws from all.

        first: places that come before the lowest level, in this order.
        """
        totals = self._counts.sum(axis=1, dtype=np.int64)
        n = min(n, int(totals.sum()))
        at_random = random.random(n) < random_share
        anywhere = self._anywhere(int(at_random.sum()), totals, random)
        taken = set(anywhere)
        wanted = n - len(anywhere)
        rest: list[int] = []
        for place in first:
            if len(rest) == wanted:
                break
            if place not in taken and self.level[place] != self.OUT:
                rest.append(place)
                taken.add(place)
        for level in np.flatnonzero(totals).tolist():
            if len(rest) == wanted:
                break
            more = self._of_level(level, wanted - len(rest), int(totals[level]), taken, random)
            rest += more
            taken.update(more)
        slots = [iter(rest), iter(anywhere)]
        return [next(slots[int(chance)]) for chance in at_random.tolist()]

    def _anywhere(self, k: int, totals: Integers, random: np.random.Generator) -> list[int]:
        """k different places, each that is there with the same chance."""
        bounds = np.cumsum(totals)
        present = int(bounds[-1])
        if present <= 4 * k:
            there = np.flatnonzero(self.level != self.OUT)
            return [int(place) for place in random.permutation(there)[:k]]
        found: dict[int, None] = {}
        while len(found) < k:
            nth = int(random.integers(present))
            level = int(np.searchsorted(bounds, nth, side="right"))
            found[self._nth(level, nth - (int(bounds[level - 1]) if level else 0))] = None
        return list(found)

    def _of_level(
        self, level: int, most: int, total: int, taken: set[int], random: np.random.Generator
    ) -> list[int]:
        """Up to `most` places of a level that are not taken, in random order."""
        if total <= 4 * (most + len(taken)):
            blocks = np.flatnonzero(self._counts[level]).tolist()
            places = np.concatenate([self._inside(block, level) for block in blocks])
            shuffled = random.permutation(places).tolist()
            return [place for place in shuffled if place not in taken][:most]
        found: dict[int, None] = {}
        while len(found) < most:
            place = self._nth(level, int(random.integers(total)))
            if place not in taken:
                found[place] = None
        return list(found)

    def _nth(self, level: int, nth: int) -> int:
        bounds = np.cumsum(self._counts[level])
        block = int(np.searchsorted(bounds, nth, side="right"))
        before = int(bounds[block - 1]) if block else 0
        return int(self._inside(block, level)[nth - before])

    def _inside(self, block: int, level: int) -> Integers:
        here = self.level[block * BLOCK : (block + 1) * BLOCK]
        return np.asarray(block * BLOCK + np.flatnonzero(here == level))

    def _count(self, block: int) -> None:
        here = self.level[block * BLOCK : (block + 1) * BLOCK]
        self._counts[:, block] = np.bincount(here, minlength=self.OUT + 1)[: self.OUT]
