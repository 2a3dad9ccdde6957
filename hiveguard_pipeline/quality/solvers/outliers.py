"""Outliers: solvers who differ from the crowd by more than honest people differ, at a stated rate of error.

Each measure gives a p-value a solver against the crowd's own distribution. Over all solvers and measures the
false discovery rate is held by Benjamini and Hochberg 1995 (J. R. Stat. Soc. B 57): of the flags, at most
the stated share is expected to be false; in a crowd without outliers the chance of any flag at all is at
most that share. The distribution is then fitted again without those flagged, until no more are found: many
outliers hide one another, and a crowd in which none is found first is left alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.solvers.others import Others, Reals, others_rate
from hiveguard_pipeline.quality.solvers.variety import p_values
from hiveguard_pipeline.rules.arithmetic import Mask
from hiveguard_pipeline.store.crowd import Crowd

FALSE_DISCOVERY_RATE = 0.05

MOST_ROUNDS = 6

Test = Callable[[Mask], Reals]
"""P-values of all solvers, shape (solvers,), beside the crowd of the usual ones: a mask, shape (solvers,)."""


@dataclass(slots=True)
class Outliers:
    """p and q, the adjusted p: by measure, shape (solvers,) each; NaN where a measure says nothing.

    rate: the false discovery rate. usual: solvers that the others were held against, shape (solvers,).
    """

    p: dict[str, Reals]
    q: dict[str, Reals]
    rate: float
    usual: Mask

    @property
    def flagged(self) -> Mask:
        """Solvers with a reason."""
        return np.asarray(np.any([self.by(name) for name in self.q], axis=0))

    def by(self, measure: str) -> Mask:
        """Solvers flagged by one measure."""
        return np.asarray(np.nan_to_num(self.q[measure], nan=1.0) <= self.rate)

    def reasons(self, solver: int) -> list[str]:
        """The measures that flag a solver."""
        return [name for name, values in self.q.items() if values[solver] <= self.rate]


def outliers(tests: dict[str, Test], excluded: Mask, rate: float = FALSE_DISCOVERY_RATE) -> Outliers:
    """Test all measures together. excluded: shape (solvers,).

    Solvers who are excluded are a family of their own: they are known to be odd, and would make room for
    false flags among the others. Raises BadInputError for a rate outside 0 to 1.
    """
    if not 0 < rate < 1:
        raise BadInputError(f"the false discovery rate must be between 0 and 1, not {rate:g}")
    usual = ~excluded
    found = _tested(tests, usual, excluded, rate)
    for _ in range(MOST_ROUNDS - 1):
        left = usual & ~found.flagged
        if left.sum() == usual.sum() or 2 * left.sum() <= (~excluded).sum():
            break
        usual = left
        found = _tested(tests, usual, excluded, rate)
    return found


def _tested(tests: dict[str, Test], usual: Mask, excluded: Mask, rate: float) -> Outliers:
    p = {name: test(usual) for name, test in tests.items()}
    table = np.column_stack(list(p.values()))
    adjusted = np.full(table.shape, np.nan)
    for family in (excluded, ~excluded):
        adjusted[family] = adjusted_p(table[family].ravel()).reshape(-1, table.shape[1])
    return Outliers(p, dict(zip(p, adjusted.T, strict=True)), rate, usual)


def adjusted_p(p: Reals) -> Reals:
    """Benjamini and Hochberg's adjusted p-values; NaN stays. Shape (tests,)."""
    found = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * len(order) / np.arange(1, len(order) + 1)
    found[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return found


def seldom_right(crowd: Crowd, right: Mask, known: Mask, counted: Mask) -> Test:
    """The test of too few right answers, beside the others' on the same items.

    right, known: of each vote; the others' mean on an item is what is expected there, so that hard items
    make no outlier. NaN for solvers without known votes, and all over in a crowd too small to tell.
    """
    solvers = len(crowd.solvers)
    rate = others_rate(right.astype(float), known, counted, crowd.item, len(crowd.item_ids))
    trials = np.bincount(crowd.solver[known], minlength=solvers)
    successes = np.bincount(crowd.solver[known & right], minlength=solvers)
    expected = np.bincount(crowd.solver[known], rate[known], minlength=solvers) / np.maximum(trials, 1)
    return lambda usual: p_values(successes, trials, expected, usual, upper=False)


def agreeing(crowd: Crowd, others: Others) -> Mask:
    """Votes that give the others' consensus."""
    return np.asarray(others.compared & (crowd.answer == others.consensus))
