"""Copying: two solvers who give the same answers more often than what each does with the others explains."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.quality.agreement.solver_pairs import blocks
from hiveguard_pipeline.quality.solvers.habits import habits_of
from hiveguard_pipeline.quality.solvers.others import Reals
from hiveguard_pipeline.quality.solvers.variety import FEWEST_UNITS, logit, p_values
from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.store.crowd import Crowd

FEWEST_COMMON = 10
"""Two solvers with fewer items in common are not compared."""

MOST_PAIRS = 20_000_000
"""Pairs of votes that are looked at: a crowd with more is judged by its first items in the order of ids."""


@dataclass(slots=True)
class Likeness:
    """Pairs of solvers with items enough in common, first < second: codes, shape (pairs,).

    common: items both answered; agreed: on how many of them they gave one answer; expected: the share of
    that. solvers: how many there are in all. whole: all pairs of votes were looked at.
    """

    first: Codes
    second: Codes
    common: Integers
    agreed: Integers
    expected: Reals
    solvers: int
    whole: bool

    def p(self, usual: Mask) -> Reals:
        """The chance that a solver is so like another, beside the pairs of usual ones: shape (solvers,).

        His pairs together by Simes 1986 (Biometrika 73): the least of (pairs / rank) x p-value, so that
        each of many who copy one another adds evidence. NaN for who has enough items in common with nobody,
        and all over where the usual are too few to tell.
        """
        me, _, single = self._both_ways(usual)
        found = np.full(self.solvers, np.nan)
        if np.isnan(single).any():
            return found
        order = np.lexsort((single, me))
        of = np.bincount(me, minlength=self.solvers)
        rank = np.arange(len(me)) - (np.cumsum(of) - of)[me[order]] + 1
        found[me] = 1.0
        np.minimum.at(found, me[order], single[order] * of[me[order]] / rank)
        return found

    def partners(self, usual: Mask) -> "Partners":
        """The solver that each one is most like beyond what is expected."""
        me, other, single = self._both_ways(usual)
        common, agreed = np.tile(self.common, 2), np.tile(self.agreed, 2)
        order = np.lexsort((other, single, me))
        best = order[np.flatnonzero(np.diff(me[order], prepend=-1))]
        best = best[single[best] < 1]
        found = Partners(
            np.full(self.solvers, -1, dtype=np.int32),
            np.zeros(self.solvers, dtype=np.int64),
            np.full(self.solvers, np.nan),
        )
        found.partner[me[best]] = other[best]
        found.common[me[best]] = common[best]
        found.agreement[me[best]] = agreed[best] / common[best]
        return found

    def _both_ways(self, usual: Mask) -> tuple[Codes, Codes, Reals]:
        """Each pair from both sides, with its p-value."""
        both = usual[self.first] & usual[self.second]
        people = np.unique(np.concatenate((self.first[both], self.second[both])))
        if len(people) < FEWEST_UNITS:
            p = np.full(len(both), np.nan)
        else:
            p = p_values(self.agreed, self.common, self.expected, both, upper=True)
        return (
            np.concatenate((self.first, self.second)),
            np.concatenate((self.second, self.first)),
            np.tile(p, 2),
        )


@dataclass(slots=True)
class Partners:
    """Of each solver, shape (solvers,): the one he is most like, -1 if like none.

    common: items both answered, 0 with none; agreement: the share on which they gave one answer, NaN.
    """

    partner: Codes
    common: Integers
    agreement: Reals


def likeness(crowd: Crowd) -> Likeness:
    """Compare all pairs of solvers. crowd: the votes that count.

    The chance that two solvers agree on an item begins with the share of agreeing pairs among the other
    pairs of votes there (drawn towards that of all items by one pair); what each agrees with everybody more
    or less than that is added in logits. Two who lean alike agree more: where the chance that their own
    habits meet is higher (what each answers on items of one majority, independently), it is that.
    """
    seen = _first_items(crowd)
    pairs, surplus, habits = _compared(seen)
    share = logit(pairs.expected) + surplus[pairs.first] + surplus[pairs.second]
    pairs.expected = np.maximum(1 / (1 + np.exp(-share)), habits)
    pairs.whole = len(seen.answer) == len(crowd.answer)
    return pairs


def _first_items(crowd: Crowd) -> Crowd:
    """The crowd with the votes of as many items as MOST_PAIRS allows."""
    votes = np.diff(crowd.offsets)
    within = np.cumsum(votes * (votes - 1) // 2) <= MOST_PAIRS
    return crowd if within.all() else crowd.only(within[crowd.item])


def _compared(crowd: Crowd) -> tuple[Likeness, Reals, Reals]:
    """Pairs of solvers; what each solver agrees more than expected with all others, in logits; and the share
    of agreement that the habits of each pair come to.
    """
    solvers, classes = len(crowd.solvers), max(len(crowd.classes), 1)
    votes = np.diff(crowd.offsets)
    keys, count = np.unique(crowd.item.astype(np.int64) * classes + crowd.answer, return_counts=True)
    on_item = np.bincount(keys // classes, count * (count - 1) // 2, minlength=len(votes))
    pairs_on_item = votes * (votes - 1) // 2
    overall = on_item.sum() / max(int(pairs_on_item.sum()), 1)
    habit = habits_of(crowd)
    total, agreed, expected = (np.zeros(solvers) for _ in range(3))
    nothing = np.empty(0, dtype=np.int64)
    kept: list[list[Reals]] = [
        [nothing, nothing, nothing, nothing, nothing.astype(float), nothing.astype(float)]
    ]
    for block in blocks(crowd):
        same = block.first_answer == block.second_answer
        chance = (on_item[block.item] - same + overall) / pairs_on_item[block.item]
        columns = [block.items, block.agreed, np.bincount(block.pair, chance, minlength=len(block.first))]
        for sums, column in zip((total, agreed, expected), columns, strict=True):
            sums += np.bincount(block.first, column, minlength=solvers)
            sums += np.bincount(block.second, column, minlength=solvers)
        enough = block.items >= FEWEST_COMMON
        kept.append(
            [column[enough] for column in (block.first, block.second, *columns)] + [habit.meet(block, enough)]
        )
    met = total > 0
    surplus = np.zeros(solvers)
    # Half an agreement and half a disagreement keep a solver who always agrees finite.
    surplus[met] = logit((agreed[met] + 0.5) / (total[met] + 1)) - logit(
        (expected[met] + 0.5) / (total[met] + 1)
    )
    first, second, common, agreeing, chances, habits = (
        np.concatenate(column) for column in zip(*kept, strict=True)
    )
    return Likeness(first, second, common, agreeing, chances / common, solvers, True), surplus, habits
