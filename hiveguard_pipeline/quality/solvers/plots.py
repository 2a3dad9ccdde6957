"""What the pictures of solvers show: who lies where, with the outliers named."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.quality.solvers.measured import SolverQuality
from hiveguard_pipeline.quality.solvers.others import Reals

BINS = 20
_COLUMNS, _ROWS = 60, 40
MOST_NAMED = 200


@dataclass(slots=True)
class Scatter:
    """Solvers over a positive x, in logarithms, and y from 0 to 1.

    crowd: (x, y, solvers) where one or more lie who are not flagged. flagged: (x, y, solver), at most
    MOST_NAMED, those with most votes. low, high: the ends of x.
    """

    crowd: list[tuple[float, float, int]]
    flagged: list[tuple[float, float, str]]
    low: float
    high: float


def accuracy(quality: SolverQuality) -> tuple[str, Reals]:
    """The accuracy that pictures show, and its name: under the model, or with the others' consensus."""
    if np.isnan(quality.model_accuracy).all():
        return "agreement with consensus", quality.consensus_agreement
    return "accuracy under the model", quality.model_accuracy


def accuracy_histogram(quality: SolverQuality) -> tuple[list[int], list[int]]:
    """Solvers by accuracy in BINS bins over [0, 1]: all of them, and the flagged."""
    _, values = accuracy(quality)
    told = ~np.isnan(values)
    bins = np.minimum((values[told] * BINS).astype(np.int64), BINS - 1)
    flagged = quality.outliers.flagged[told]
    return (
        np.bincount(bins, minlength=BINS).tolist(),
        np.bincount(bins[flagged], minlength=BINS).tolist(),
    )


def accuracy_by_votes(quality: SolverQuality) -> Scatter | None:
    """Accuracy over votes: of few votes it strays further by chance. None if there is nothing to show."""
    return _scatter(quality, quality.votes.astype(float))


def accuracy_by_time(quality: SolverQuality) -> Scatter | None:
    """Accuracy over the median time of an answer, in seconds. None without times."""
    return _scatter(quality, quality.times.median_ms / 1000)


def _scatter(quality: SolverQuality, x: Reals) -> Scatter | None:
    _, y = accuracy(quality)
    told = ~np.isnan(y) & (np.nan_to_num(x) > 0)
    if not told.any():
        return None
    low, high = float(x[told].min()), float(x[told].max())
    flagged = quality.outliers.flagged
    named = np.flatnonzero(told & flagged)
    named = np.sort(named[np.argsort(-quality.votes[named], kind="stable")][:MOST_NAMED])
    usual = np.flatnonzero(told & ~flagged)
    across = np.log(x[usual] / low) / (np.log(high / low) or 1.0)
    column = np.minimum((across * _COLUMNS).astype(np.int64), _COLUMNS - 1)
    row = np.minimum((y[usual] * _ROWS).astype(np.int64), _ROWS - 1)
    _, cell, count = np.unique(column * _ROWS + row, return_inverse=True, return_counts=True)
    middle_x = np.exp(np.bincount(cell, np.log(x[usual])) / count)
    middle_y = np.bincount(cell, y[usual]) / count
    return Scatter(
        list(zip(middle_x.tolist(), middle_y.tolist(), count.tolist(), strict=True)),
        [(float(x[code]), float(y[code]), quality.solvers[code]) for code in named.tolist()],
        low,
        high,
    )
