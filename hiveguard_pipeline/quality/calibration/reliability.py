"""How far probabilities can be believed: reliability diagram, expected calibration error, Brier score."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.quality.aggregation.arrays import Reals
from hiveguard_pipeline.rules.arithmetic import Mask

BINS = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """items: in each bin of equal width over [0, 1]; said, right: mean probability, share that is right
    (0 where a bin is empty): shape (BINS,). error: expected calibration error. brier: Brier score.
    """

    items: Reals
    said: Reals
    right: Reals
    error: float | None
    brier: float | None


def reliability(probability: Reals, right: Mask, counted: Reals) -> Reliability:
    """Probabilities against what came true, and as how many items each counts: all of shape (n,).

    error and brier are None where there is none. Expected calibration error: Naeini, Cooper and Hauskrecht
    2015 (AAAI, page 2903), with BINS bins of equal width: the mean over items of |share right - mean
    probability| in their bin. Brier 1950: the mean of (probability - right)².
    """
    bins = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    items = np.bincount(bins, counted, BINS)
    whole = np.where(items > 0, items, 1.0)
    said = np.bincount(bins, counted * probability, BINS) / whole
    came = np.bincount(bins, counted * right, BINS) / whole
    if not items.sum() > 0:
        return Reliability(items, said, came, None, None)
    error = float((items * np.abs(said - came)).sum() / items.sum())
    brier = float((counted * (probability - right) ** 2).sum() / items.sum())
    return Reliability(items, said, came, error, brier)
