"""What proposals do to those who answer: how often they are followed, wrong ones too, and the time they save.

Pure figures over arrays. The comparison is between answers that saw a proposal and answers of the blind
share, whose items were chosen by the hash of their ids: a fair draw, so that what differs is the proposal's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]

LEVEL_Z = 1.959963984540054
"""The 97.5% point of the normal distribution: intervals are of 95%."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of some answers with its 95% interval; None where there are none."""

    of: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Median:
    """A median in seconds with its 95% interval; None where there are too few for one."""

    of: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Anchoring:
    """Figures of the answers to items with a proposal. followed: share that say what was proposed.

    followed_right, followed_wrong: of the proposals that are right and wrong, as far as the truth is known.
    seconds: median time of an answer.
    """

    answers: int
    followed: Share
    followed_right: Share
    followed_wrong: Share
    correct: Share
    seconds: Median


def anchoring(
    follows: Mask, proposal_right: NDArray[np.int8], answer_right: NDArray[np.int8], milliseconds: Numbers
) -> Anchoring:
    """The figures of some answers, of shape (answers,) all.

    follows: the answer says what was proposed. proposal_right, answer_right: 1 yes, 0 no, -1 not known.
    milliseconds: NaN where not known.
    """
    known = answer_right >= 0
    return Anchoring(
        answers=len(follows),
        followed=share(follows),
        followed_right=share(follows[proposal_right == 1]),
        followed_wrong=share(follows[proposal_right == 0]),
        correct=share(answer_right[known] == 1),
        seconds=median(milliseconds[~np.isnan(milliseconds)] / 1000),
    )


def share(true: Any) -> Share:
    """The share of true ones, with Wilson's interval.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927),
    p. 209.
    """
    n = len(true)
    if n == 0:
        return Share(0, None, None, None)
    p = float(np.count_nonzero(true)) / n
    spread = LEVEL_Z**2 / n
    middle = (p + spread / 2) / (1 + spread)
    half = LEVEL_Z * float(np.sqrt(p * (1 - p) / n + spread / (4 * n))) / (1 + spread)
    return Share(n, p, max(middle - half, 0.0), min(middle + half, 1.0))


def median(values: Numbers) -> Median:
    """The median, with the interval between two order statistics that the binomial distribution gives.

    W. J. Conover, Practical Nonparametric Statistics, 3rd ed. (1999), section 3.2: no assumption on the
    distribution. Under six values no such interval reaches 95%.
    """
    n = len(values)
    if n == 0:
        return Median(0, None, None, None)
    middle = float(np.median(values))
    if n < 6:
        return Median(n, middle, None, None)
    from scipy.stats import binom

    ordered = np.sort(values)
    # The largest r such that fewer than r of n values lie below the median with a chance of at most 2.5%.
    rank = int(binom.ppf(0.025, n, 0.5))
    return Median(n, middle, float(ordered[rank - 1]), float(ordered[n - rank]))
