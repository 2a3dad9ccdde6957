"""A figure with its interval, and the interval that follows from how much each item moves the figure."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.quality.agreement.counts import Numbers

LEVEL = 0.95
"""The confidence level of every interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the ends of its 95% interval.

    why: why one of them is undefined (None), or what a reader must know of them.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str | None = None

    @property
    def interval(self) -> list[float] | None:
        """[low, high], or None."""
        return None if self.low is None or self.high is None else [self.low, self.high]


def undefined(why: str) -> Estimate:
    """A figure that the votes do not define."""
    return Estimate(None, why=why)


def estimate(value: float, values_of_items: Numbers, least: float = -1.0) -> Estimate:
    """A figure that is the mean of one value an item, to first order.

    The standard error is that of a mean, the quantile Student's with items - 1 degrees of freedom, and the
    upper end is at most 1: Gwet, Handbook of Inter-Rater Reliability, 4th ed. (2014), section 5.3, and what
    irrCAC computes. The lower end is at least `least`, which irrCAC leaves out.

    values_of_items: shape (items,). Without a second item there is no interval.
    """
    items = len(values_of_items)
    if items < 2:
        return Estimate(value, why="one item gives no interval")
    deviations = values_of_items - values_of_items.mean()
    error = float(np.sqrt((deviations @ deviations) / (items * (items - 1))))
    return with_error(value, error, items - 1, least)


def with_error(value: float, error: float, freedom: int, least: float = -1.0) -> Estimate:
    """A figure whose standard error is known."""
    from scipy.special import stdtrit

    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    return Estimate(value, max(value - half, min(least, value)), min(value + half, 1.0))
