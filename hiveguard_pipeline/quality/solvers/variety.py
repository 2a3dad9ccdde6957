"""How much honest solvers differ: the distribution that outliers are measured against.

Each solver's count of successes is beta-binomial around what the others did on the same items: skill
differs from person to person, and most of the crowd shows by how much. Centre and spread come from the
middle half of the crowd, so that what lies outside does not widen what it is measured by (the empirical
null: Efron 2004, Large-scale simultaneous hypothesis testing, JASA 99).
"""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.quality.solvers.others import Reals
from hiveguard_pipeline.rules.arithmetic import Integers, Mask

FEWEST_UNITS = 10
"""Of fewer solvers (or pairs) nobody can be said to be unlike most."""

FEWEST_TRIALS = 5
"""A unit with fewer trials says too little of the spread to be asked about it."""

UPPER_QUANTILE = 1.6449
"""Normal quantile of 0.95: the spread is taken at the upper end of its one-sided 95% interval."""

_MOST_UNITS = 600
_STEPS_OF_SHIFT = 16
_STEPS_OF_SPREAD = 16
_WIDEST_SHIFT = 6.0
_WIDEST_SPREAD = 0.9
_AS_GOOD_AS_BINOMIAL = 1e-5
_TERMS_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Variety:
    """A crowd's own beta-binomial.

    shift: what most are off what the others' votes led to expect, in logits. spread: the correlation of two
    trials of one unit, 0 for a binomial (Griffiths 1973's rho, 1 / (alpha + beta + 1)).
    """

    shift: float
    spread: float

    def mean(self, expected: Reals) -> Reals:
        """The mean share of successes of units with these expected shares."""
        return _shifted(expected, self.shift)


def fit_variety(successes: Reals, trials: Integers, expected: Reals) -> Variety | None:
    """The variety of most of a crowd; None if there are too few to tell.

    expected: the share of successes that the others' votes lead to expect, 0 to 1. Shapes (units,).
    Half of the units lie under the median and half in the middle half of their own distribution (a unit on
    the border counts by the part of its probability that lies inside). Spread is set so that the middle half
    holds its share at the upper end of that share's interval: few units make a wide null, not false alarms.
    """
    chosen = _representative(trials)
    if len(chosen) < FEWEST_UNITS:
        return None
    x, n, share = successes[chosen].astype(float), trials[chosen].astype(float), expected[chosen]
    middle = 0.5 + UPPER_QUANTILE * np.sqrt(0.25 / len(chosen))

    def centred(spread: float) -> float:
        low, high = -_WIDEST_SHIFT, _WIDEST_SHIFT
        for _ in range(_STEPS_OF_SHIFT):
            shift = (low + high) / 2
            under = _inside(x, n, _shifted(share, shift), spread, 0.0, 0.5)
            low, high = (shift, high) if under < 0.5 else (low, shift)
        return (low + high) / 2

    def held(spread: float) -> float:
        return _inside(x, n, _shifted(share, centred(spread)), spread, 0.25, 0.75)

    low, high = 0.0, _WIDEST_SPREAD
    if held(0.0) >= middle:
        return Variety(centred(0.0), 0.0)
    for _ in range(_STEPS_OF_SPREAD):
        # Spreads of interest lie near zero: the middle of the interval in square roots.
        spread = ((np.sqrt(low) + np.sqrt(high)) / 2) ** 2
        low, high = (spread, high) if held(spread) < middle else (low, spread)
    return Variety(centred(high), float(high))


def p_values(
    successes: Reals,
    trials: Integers,
    expected: Reals,
    usual: Mask,
    *,
    upper: bool,
) -> Reals:
    """P-values of so many (upper) or so few successes, beside the variety of the usual units: shape (units,).

    NaN without trials, and all over where the usual are too few to tell. In the upper tail 1 for all that
    are not a standard deviation above the mean: their tails are not worth their terms.
    """
    p = np.full(len(trials), np.nan)
    fitted = fit_variety(successes[usual], trials[usual], expected[usual])
    if fitted is None:
        return p
    told = trials > 0
    p[told] = 1.0
    mean = fitted.mean(expected)
    tested = told
    if upper:
        deviation = np.sqrt(trials * mean * (1 - mean) * (1 + (trials - 1) * fitted.spread))
        tested = told & (successes - trials * mean >= deviation)
    counts = successes[tested].astype(np.int64)
    tail = upper_tail if upper else lower_tail
    p[tested] = tail(counts, trials[tested], mean[tested], fitted.spread)
    return p


def lower_tail(successes: Integers, trials: Integers, mean: Reals, spread: float) -> Reals:
    """P(X <= successes), X beta-binomial; exact. 1 without trials. Shapes (units,)."""
    from scipy.special import bdtr, gammaln

    if spread < _AS_GOOD_AS_BINOMIAL:
        return np.where(trials > 0, bdtr(successes.astype(float), trials, mean), 1.0)
    a, b = mean * (1 - spread) / spread, (1 - mean) * (1 - spread) / spread
    whole = gammaln(trials + 1.0) + gammaln(a + b) - gammaln(a) - gammaln(b) - gammaln(trials + a + b)
    terms = successes.astype(np.int64) + 1
    ends = np.cumsum(terms)
    found = np.ones(len(terms))
    start = 0
    while start < len(terms):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + _TERMS_AT_ONCE, side="right")), start + 1)
        part = slice(start, stop)
        first = ends[part] - terms[part] - before
        k = np.arange(int(terms[part].sum())) - np.repeat(first, terms[part])
        left = np.repeat(trials[part], terms[part]) - k
        logs = gammaln(k + np.repeat(a[part], terms[part])) + gammaln(left + np.repeat(b[part], terms[part]))
        logs += np.repeat(whole[part], terms[part]) - gammaln(k + 1.0) - gammaln(left + 1.0)
        found[part] = np.add.reduceat(np.exp(logs), first)
        start = stop
    return np.minimum(found, 1.0)


def upper_tail(successes: Integers, trials: Integers, mean: Reals, spread: float) -> Reals:
    """P(X >= successes), X beta-binomial; exact. Shapes (units,)."""
    return lower_tail(trials - successes, trials, 1 - mean, spread)


def logit(share: Reals) -> Reals:
    """ln(share / (1 - share)), kept finite at 0 and 1."""
    inside = np.clip(share, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _shifted(share: Reals, shift: float) -> Reals:
    return np.asarray(np.clip(1 / (1 + np.exp(-logit(share) - shift)), 1e-6, 1 - 1e-6))


def _representative(trials: Integers) -> Integers:
    """Units to fit on: with trials enough, and at most _MOST_UNITS, spread evenly from few trials to many."""
    able = np.flatnonzero(trials >= FEWEST_TRIALS)
    by_trials = able[np.argsort(trials[able], kind="stable")]
    if len(by_trials) <= _MOST_UNITS:
        return by_trials
    return np.asarray(by_trials[np.linspace(0, len(by_trials) - 1, _MOST_UNITS).round().astype(np.int64)])


def _inside(x: Reals, n: Reals, mean: Reals, spread: float, low: float, high: float) -> float:
    """Mean part of the units' probability steps [P(X < x), P(X <= x)] that lies between two quantiles.

    The steps are those of the beta distribution with the mean and variance of the beta-binomial, corrected
    for continuity: exact tails would cost a sum over all votes at each step of the fit.
    """
    from scipy.special import betainc

    size = np.maximum(n / (1 + (n - 1) * spread) - 1, 1e-3)
    a, b = mean * size, (1 - mean) * size
    under = np.where(x > 0, betainc(a, b, np.clip((x - 0.5) / n, 0, 1)), 0.0)
    upto = np.where(x < n, betainc(a, b, np.clip((x + 0.5) / n, 0, 1)), 1.0)
    step = upto - under
    covered = np.clip(np.minimum(upto, high) - np.maximum(under, low), 0, None)
    point = (under >= low) & (under < high)
    return float(np.where(step > 1e-12, covered / np.maximum(step, 1e-12), point).mean())
