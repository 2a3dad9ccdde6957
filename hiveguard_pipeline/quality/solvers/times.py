"""Time per answer: each solver's median and spread, answers too fast to be read, and solvers too fast."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.quality.solvers.others import Reals
from hiveguard_pipeline.quality.solvers.variety import FEWEST_TRIALS, FEWEST_UNITS, UPPER_QUANTILE
from hiveguard_pipeline.rules.arithmetic import Integers, Mask
from hiveguard_pipeline.store.crowd import NO_DURATION, Crowd

FAST_DEVIATIONS = 3.0
"""An answer is too fast at this many robust standard deviations under the crowd's median log time."""

_NORMAL_MAD = 1.482602218505602
"""Standard deviation of a normal over its median absolute deviation."""
_NORMAL_IQR = 1.3489795003921634
_QUARTILE_ERROR = 1.8566
"""n x variance of a sample's lower quartile, standard normal: q (1 - q) / density(quantile) squared."""
_HALF_OF_NORMAL = 0.6744897501960817
_STEPS = 60


@dataclass(slots=True)
class Times:
    """Of each solver, shape (solvers,), NaN where undefined; times in milliseconds.

    timed: answers with a known time. iqr_ms: interquartile range. fast_share: share of the timed answers
    under threshold_ms (None without times). log_quartile: lower quartile of the logarithm of time;
    log_spread: its interquartile range as a standard deviation.
    """

    timed: Integers
    median_ms: Reals
    iqr_ms: Reals
    fast_share: Reals
    threshold_ms: float | None
    log_quartile: Reals
    log_spread: Reals

    def p(self, usual: Mask) -> Reals:
        """The chance of so low a lower quartile, beside the usual ones: shape (solvers,), NaN where not told.

        Paces of people differ normally in logarithms; the variance between them is set as the spread of
        `fit_variety` is, with the error of a quartile of so many answers added. Student's distribution.
        """
        from scipy.special import stdtr

        p = np.full(len(self.timed), np.nan)
        told = self.timed >= FEWEST_TRIALS
        known = np.flatnonzero(told & usual)
        if len(known) < FEWEST_UNITS:
            return p
        apart = self.log_quartile - np.median(self.log_quartile[known])
        within = float(np.median(self.log_spread[known]))
        error = _QUARTILE_ERROR * within**2 / np.maximum(self.timed, 1)
        middle = 0.5 + UPPER_QUANTILE * np.sqrt(0.25 / len(known))
        low, high = 0.0, float(np.abs(apart[known]).max()) ** 2 / _HALF_OF_NORMAL**2
        for _ in range(_STEPS):
            between = (low + high) / 2
            inside = np.abs(apart[known]) <= _HALF_OF_NORMAL * np.sqrt(between + error[known])
            low, high = (between, high) if inside.mean() < middle else (low, between)
        scale = np.sqrt(high + error[told])
        z = np.divide(apart[told], scale, out=np.zeros(len(scale)), where=scale > 0)
        p[told] = stdtr(len(known) - 1, z)
        return p


def times(crowd: Crowd, excluded: Mask) -> Times:
    """The times of all solvers. excluded: shape (solvers,); they do not shape what is usual.

    threshold_ms: exp(m - 3 x 1.4826 x MAD) of the logarithms of all times, each solver weighing the same: of
    log-normal times 0.13% are under it.
    """
    solvers = len(crowd.solvers)
    known = crowd.duration_ms != NO_DURATION
    solver, duration = crowd.solver[known], np.maximum(crowd.duration_ms[known], 1).astype(float)
    timed = np.bincount(solver, minlength=solvers)
    low, median, high = quartiles(solver, duration, timed)
    logs = np.log(duration)
    usual = ~excluded[solver]
    fast, threshold = np.full(solvers, np.nan), None
    if usual.any():
        weight = 1 / timed[solver[usual]]
        middle = _weighted_median(logs[usual], weight)
        spread = _NORMAL_MAD * _weighted_median(np.abs(logs[usual] - middle), weight)
        threshold = float(np.exp(middle - FAST_DEVIATIONS * spread))
        # A hair under it, so that rounding makes no answer too fast where all take the same time.
        under = np.bincount(solver[duration < threshold * (1 - 1e-9)], minlength=solvers)
        fast = np.divide(under, timed, out=fast, where=timed > 0)
    log_low, _, log_high = quartiles(solver, logs, timed)
    return Times(timed, median, high - low, fast, threshold, log_low, (log_high - log_low) / _NORMAL_IQR)


def quartiles(solver: Integers, value: Reals, count: Integers) -> tuple[Reals, Reals, Reals]:
    """Quartiles of each solver's values, interpolated as numpy does; NaN without values.

    solver, value: shape (values,). count: values of each solver. Each result: shape (solvers,).
    """
    ordered = value[np.lexsort((value, solver))]
    start = np.cumsum(count) - count
    there = count > 0
    found = []
    for quantile in (0.25, 0.5, 0.75):
        place = quantile * (count[there] - 1)
        left = np.floor(place).astype(np.int64)
        right = np.minimum(left + 1, count[there] - 1)
        part = place - left
        of_solver = np.full(len(count), np.nan)
        lower, upper = ordered[start[there] + left], ordered[start[there] + right]
        of_solver[there] = lower + (upper - lower) * part
        found.append(of_solver)
    return found[0], found[1], found[2]


def _weighted_median(values: Reals, weights: Reals) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(reached, reached[-1] / 2)]])
