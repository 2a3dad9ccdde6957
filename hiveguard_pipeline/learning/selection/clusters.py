"""Weighted k-means: one item near the middle of each of n groups (Lloyd 1982; Zhdanov 2019 for its use here).

Seeded, and exact to the same picks for the same numbers on the same machine; that is all k-means can promise.
"""

import numpy as np
from numpy.typing import NDArray

from hiveguard_pipeline.learning.selection.inputs import Embedding, Positions, Reals, rows_of_chunk

ITERATIONS = 20
"""Lloyd's steps at most."""

SETTLED = 0.01
"""No further step when at most this share of the items changed its group: the middles hardly move then."""

_LEAST_ROWS = 256
"""Items whose distances to all centres are taken at once, at least: a product of matrices wants some rows."""


def group_middles(points: Embedding, weight: Reals, n: int, seed: int) -> Positions:
    """Positions of n different items, each the nearest to the mean of its group; in rising position.

    points: shape (items, d), at least n of them. weight: (items,), not negative: how far an item pulls its
    group's mean. Centres start by k-means++ (Arthur and Vassilvitskii 2007).
    """
    if n == len(points):
        return np.arange(n)
    cloud = (points - points.mean(axis=0, dtype=np.float64)).astype(points.dtype, copy=False)
    pull = np.maximum(weight, weight.max() * 1e-9 or 1.0)  # weights of 0: an item still belongs to a group
    square = np.einsum("ij,ij->i", cloud, cloud)
    centres = cloud[_spread(cloud, square, pull, n, np.random.default_rng(seed))]
    group = np.full(len(cloud), -1)
    for _ in range(ITERATIONS):
        before, group = group, _nearest_centre(cloud, centres)
        centres = _means(cloud, pull, group, centres)
        if np.count_nonzero(group != before) <= SETTLED * len(cloud):
            break
    return _nearest_items(cloud, square, centres)


def _spread(
    cloud: Embedding, square: Embedding, pull: Reals, n: int, random: np.random.Generator
) -> Positions:
    """n items far apart, each drawn with a chance of its weight x squared distance to those before it.

    Greedy: of some draws the one that leaves the least to the next (as scikit-learn does), since a group that
    no start falls into stays unseen.
    """
    draws = 2 + int(np.log(n))
    picks = np.empty(n, dtype=np.int64)
    nearest = np.full(len(cloud), np.inf)
    chance = pull
    for number in range(n):
        total = np.cumsum(chance)
        drawn = np.searchsorted(total, random.random(draws) * total[-1], side="right")
        drawn = np.minimum(drawn, len(cloud) - 1)
        apart = cloud[drawn] @ cloud.T
        apart *= -2.0
        apart += square
        apart += square[drawn, None]
        left = np.minimum(np.maximum(apart, 0.0, out=apart), nearest)
        best = int((left @ pull).argmin())
        picks[number], nearest = drawn[best], left[best]
        nearest[drawn[best]] = 0.0
        chance = pull * nearest
        if not chance.any():  # fewer different items than groups: any other will do
            chance = pull
    return picks


def _nearest_centre(cloud: Embedding, centres: Embedding) -> Positions:
    """The centre nearest to each item."""
    group = np.empty(len(cloud), dtype=np.int64)
    centre_square = np.einsum("ij,ij->i", centres, centres)
    rows = max(_LEAST_ROWS, rows_of_chunk(len(centres)))
    for start in range(0, len(cloud), rows):
        apart = cloud[start : start + rows] @ centres.T
        apart *= -2.0
        apart += centre_square
        group[start : start + rows] = apart.argmin(axis=1)
    return group


def _means(cloud: Embedding, pull: Reals, group: Positions, centres: Embedding) -> Embedding:
    """The weighted mean of each group; a group that lost all its items stays where it is."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(centres)))
    filled = np.bincount(group, minlength=len(centres)) > 0
    sums = np.add.reduceat(cloud[order] * pull[order, None], starts[filled], axis=0)
    means = centres.copy()
    means[filled] = sums / np.add.reduceat(pull[order], starts[filled])[:, None]
    return means


def _nearest_items(cloud: Embedding, square: Embedding, centres: Embedding) -> Positions:
    """For each centre the nearest item that no centre before it took."""
    free: NDArray[np.bool_] = np.ones(len(cloud), dtype=bool)
    for centre in centres:
        apart = np.where(free, square - 2.0 * (cloud @ centre), np.inf)
        free[int(apart.argmin())] = False
    return np.flatnonzero(~free)
