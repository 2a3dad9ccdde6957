"""What the others said: for each vote, the other counted votes on its item, and what most of them answered.

A vote is never compared with itself, so nobody agrees with himself. The votes of excluded solvers are
compared with the others' too, and are nobody's others.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import Crowd

Reals = np.ndarray[Any, Any]
"""float64"""


@dataclass(slots=True)
class Others:
    """Of each vote, shape (votes,).

    total: the others' votes on its item. same: those with its answer. consensus: the answer that more of
    the others gave than any other answer, int32; NO_LABEL without others and on a tie.
    """

    total: Integers
    same: Integers
    consensus: Codes

    @property
    def compared(self) -> Mask:
        """Votes whose others have a consensus."""
        return np.asarray(self.consensus != NO_LABEL)


def others_of(crowd: Crowd, counted: Mask) -> Others:
    """The others of each vote. counted: votes of solvers who are not excluded, shape (votes,)."""
    item, answer = crowd.item, crowd.answer
    votes = len(answer)
    items, classes = len(crowd.item_ids), max(len(crowd.classes), 1)
    keys, cell = np.unique(item.astype(np.int64) * classes + answer, return_inverse=True)
    count = np.bincount(cell[counted], minlength=len(keys))
    cell_item, cell_answer = keys // classes, keys % classes
    ranked = np.lexsort((cell_answer, -count, cell_item))
    starts = np.searchsorted(cell_item, np.arange(items + 1))
    width = np.diff(starts)

    def place(rank: int) -> tuple[Integers, Integers]:
        """Answer and votes of the answer at a rank of each item; 0 votes where there is none."""
        there = width > rank
        found = ranked[starts[:-1][there] + rank]
        named, most = np.full(items, NO_LABEL), np.zeros(items, dtype=np.int64)
        named[there], most[there] = cell_answer[found], count[found]
        return named[item], most[item]

    own = counted.astype(np.int64)
    (first, at_first), (second, at_second), (_, at_third) = place(0), place(1), place(2)
    at_first = at_first - own * (first == answer)
    at_second = at_second - own * (second == answer)
    # A third answer may be this vote's own. Then it only matters where the first two tie with it, and so
    # with one another: a tie whichever way.
    most = np.maximum(at_first, at_second)
    settled = (at_first != at_second) & (most > at_third)
    consensus = np.where(settled, np.where(at_first > at_second, first, second), NO_LABEL).astype(np.int32)
    total = np.bincount(item[counted], minlength=items)[item] - own
    return Others(total, count[cell] - own if votes else total, consensus)


def others_rate(outcome: Reals, known: Mask, counted: Mask, group: Integers, groups: int) -> Reals:
    """How the others of each vote did on the same item: the mean outcome of the counted votes but its own.

    Drawn towards the mean of all by one vote, so that it is there for items without others too. outcome: 0
    to 1 where known; group: the item of each vote. Shape (votes,).
    """
    heard = known & counted
    value = np.where(heard, outcome, 0.0)
    overall = value.sum() / max(int(heard.sum()), 1)
    of_group = np.bincount(group, value, minlength=groups)[group] - value
    others = np.bincount(group, heard, minlength=groups)[group] - heard
    return np.asarray((of_group + overall) / (others + 1))
