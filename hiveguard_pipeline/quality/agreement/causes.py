"""What a low agreement comes from: labels, pairs of labels, solvers. It names, it judges nobody's work."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.quality.agreement.coefficients import agreeing_share
from hiveguard_pipeline.quality.agreement.counts import Counts, Numbers
from hiveguard_pipeline.rules.arithmetic import Integers
from hiveguard_pipeline.store.crowd import Crowd

FALSE_ALARMS = 0.05
"""The chance that any solver at all is named when all answer alike."""

_SYMMETRIC = 1e-4


@dataclass(slots=True)
class Deviations:
    """How each solver's votes agree with the others', beside what the same items' votes do on average.

    Columns by solver code. votes: those on items with two votes or more. agreement: mean share of the other
    votes on the item that agree. excess: disagreement above the items' own, in votes (over all solvers it
    sums to zero). z: excess over its standard deviation if answers on an item were dealt out to its solvers
    at random; 0 where that is zero. chance: of an excess as large, then, by the Pearson type III curve of
    the same three moments (Mielke & Berry, Permutation Methods, 2nd ed. 2007, section 2.3), as few
    disagreements among many agreements are skewed.
    """

    votes: Integers
    agreement: Numbers
    excess: Numbers
    z: Numbers
    chance: Numbers

    def named(self) -> Integers:
        """Solvers who disagree more than chance explains, by excess, most first.

        One-sided, at 0.05 over all solvers together (Bonferroni), whatever the difficulty of their items.
        """
        tested = int((self.votes > 0).sum())
        over = np.flatnonzero(self.chance < FALSE_ALARMS / max(tested, 1))
        return np.asarray(over[np.lexsort((over, -self.excess[over]))])


def deviations(crowd: Crowd, counts: Counts, cell_of_vote: Integers) -> Deviations:
    """The deviations of all solvers of a crowd. cell_of_vote: shape (votes,), as `count_labels` gives it."""
    item = counts.item[cell_of_vote]
    others = np.maximum(counts.votes[item] - 1, 1)
    agreement = (counts.count[cell_of_vote] - 1) / others
    apart = agreeing_share(counts)[item] - agreement
    second, third = (
        (np.bincount(item, apart**power, minlength=len(counts.votes)) / counts.votes)[item]
        for power in (2, 3)
    )
    paired = counts.votes[item] >= 2
    solver = crowd.solver[paired]

    def by_solver(values: Numbers) -> Numbers:
        return np.bincount(solver, values[paired], minlength=len(crowd.solvers))

    votes = np.bincount(solver, minlength=len(crowd.solvers))
    excess, spread = by_solver(apart), np.sqrt(by_solver(second))
    z = np.divide(excess, spread, out=np.zeros(len(votes)), where=spread > 0)
    skewness = np.divide(by_solver(third), spread**3, out=np.zeros(len(votes)), where=spread > 0)
    return Deviations(
        votes,
        np.divide(by_solver(agreement), votes, out=np.full(len(votes), np.nan), where=votes > 0),
        excess,
        z,
        np.where(spread > 0, _chance_above(z, skewness), 1.0),
    )


def _chance_above(z: Numbers, skewness: Numbers) -> Numbers:
    """The upper tail of Pearson's type III curve of mean 0, variance 1 and these skewnesses."""
    from scipy.special import gammainc, gammaincc, ndtr

    root = 2 / np.where(np.abs(skewness) < _SYMMETRIC, 1.0, np.abs(skewness))
    right = gammaincc(root * root, np.maximum(root * root + z * root, 0))
    left = gammainc(root * root, np.maximum(root * root - z * root, 0))
    tail = np.where(skewness > 0, right, left)
    return np.asarray(np.where(np.abs(skewness) < _SYMMETRIC, ndtr(-z), tail))
