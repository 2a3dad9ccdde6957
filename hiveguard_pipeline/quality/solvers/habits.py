"""Habits: what each solver answers on items of one majority, and how often two habits meet by themselves."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.quality.agreement.solver_pairs import Block
from hiveguard_pipeline.quality.solvers.bias import MOST_TESTED, most_voted
from hiveguard_pipeline.quality.solvers.others import Reals
from hiveguard_pipeline.rules.arithmetic import Integers, Mask
from hiveguard_pipeline.store.crowd import Crowd


@dataclass(slots=True)
class Habits:
    """share: of each solver's answers, by the item's majority, then by answer: (solvers, kinds, kinds).

    kinds: the classes with most votes, then all others and ties together. kind: of each item, shape (items,).
    """

    share: Reals
    kind: Integers

    def meet(self, block: Block, kept: Mask) -> Reals:
        """The share of agreement if each of two answers by habit, independently: shape (pairs kept,).

        kept: pairs of solvers, shape (solver pairs of the block,).
        """
        kinds = self.share.shape[1]
        place = np.cumsum(kept) - 1
        inside = kept[block.pair]
        first, second = block.first[kept], block.second[kept]
        keys = place[block.pair[inside]] * kinds + self.kind[block.item[inside]]
        items = np.bincount(keys, minlength=len(first) * kinds).reshape(len(first), kinds)
        found = np.zeros(len(first))
        for kind in range(kinds):
            there = items[:, kind] > 0
            met = (self.share[first[there], kind] * self.share[second[there], kind]).sum(axis=1)
            found[there] += items[there, kind] * met
        return np.asarray(found / np.maximum(items.sum(axis=1), 1))


def habits_of(crowd: Crowd) -> Habits:
    """The habits of all solvers, by the answer that more votes of an item gave than any other."""
    solvers, items, classes = len(crowd.solvers), len(crowd.item_ids), max(len(crowd.classes), 1)
    shown = most_voted(crowd, np.ones(len(crowd.answer), dtype=bool), MOST_TESTED)
    kinds = len(shown) + 1
    place = np.full(classes, kinds - 1)
    place[shown] = np.arange(len(shown))
    keys, count = np.unique(crowd.item.astype(np.int64) * classes + crowd.answer, return_counts=True)
    item, answer = keys // classes, keys % classes
    most = np.zeros(items, dtype=np.int64)
    np.maximum.at(most, item, count)
    top = count == most[item]
    alone = np.bincount(item[top], minlength=items) == 1
    kind = np.full(items, kinds - 1)
    settled = top & alone[item]
    kind[item[settled]] = place[answer[settled]]
    cells = (crowd.solver.astype(np.int64) * kinds + kind[crowd.item]) * kinds + place[crowd.answer]
    given = np.bincount(cells, minlength=solvers * kinds * kinds).reshape(solvers, kinds, kinds)
    return Habits(given / np.maximum(given.sum(axis=2, keepdims=True), 1), kind)
