"""Diversity: ask what is unlike everything that is labelled (k-centre greedy, Sener and Savarese 2018).

Each pick is the item farthest from its nearest labelled or picked one: the farthest-first traversal of
Gonzalez (1985), whose radius is at most twice the best. Distances are Euclidean; features of different units
must be scaled first, or the largest decides alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.selection.inputs import (
    Embedding,
    Positions,
    Reals,
    TieKeys,
    embedding_of,
    tie_keys,
    wanted,
)
from hiveguard_pipeline.learning.selection.selected import Selection

FIRST_BATCH = "no labelled items: the first pick is the item nearest to the mean of the pool"

_BASE_ROWS, _POOL_ROWS = 256, 4096
"""Labelled items, and items of the pool, whose distances are taken at once (8 MB as float64)."""


def diversity(
    embedding: ArrayLike,
    n: int,
    labelled: ArrayLike | None = None,
    *,
    ties: Sequence[Any] | NDArray[Any] | None = None,
) -> Selection:
    """n items, each the farthest from all that are labelled or picked before it; the score is that distance.

    embedding: of the pool, shape (items, dimensions). labelled: of the labelled items, shape (labelled,
    dimensions); without any, the first pick is the item nearest to the mean (its score: the second's).
    ties: a key for each item, smallest first. Time goes with items x dimensions x (n + labelled); float32
    stays float32. Raises BadInputError.
    """
    points = embedding_of(embedding, "embedding")
    base = labelled_embedding_of(labelled, points)
    positions, scores = k_centre(points, wanted(n, len(points)), base, ties=tie_keys(ties, len(points)))
    return Selection(positions, scores, notes=() if len(base) else (FIRST_BATCH,))


def labelled_embedding_of(labelled: ArrayLike | None, points: Embedding) -> Embedding:
    """The embedding of the labelled items, none of them where there is none."""
    if labelled is None or (np.ndim(labelled) and not np.shape(labelled)[0]):
        return np.empty((0, points.shape[1]), dtype=points.dtype)
    base = embedding_of(labelled, "labelled embedding")
    if base.shape[1] != points.shape[1]:
        raise BadInputError(
            f"labelled embedding: {base.shape[1]} dimensions; that of the pool has {points.shape[1]}"
        )
    return base


def k_centre(
    points: Embedding,
    n: int,
    base: Embedding,
    *,
    weight: Reals | None = None,
    ties: TieKeys | None = None,
) -> tuple[Positions, Reals]:
    """Positions of the picks in order, and weight x distance of each when it was picked.

    points: (items, d), base: (labelled, d), weight: (items,), 1 where none is given. Checked by the caller.
    """
    order = np.arange(len(points)) if ties is None else np.argsort(ties, kind="stable")
    # About the mean: |x|^2 - 2xy + |y|^2 loses its digits where the cloud is far from the origin.
    mean = points.mean(axis=0, dtype=np.float64)
    cloud = (points[order] - mean).astype(points.dtype, copy=False)
    square = np.einsum("ij,ij->i", cloud, cloud)
    by = np.ones(len(cloud)) if weight is None else weight[order] ** 2
    nearest = np.full(len(cloud), np.inf, dtype=cloud.dtype)
    _approach(nearest, cloud, square, (base - mean).astype(cloud.dtype))
    picks, gains = np.empty(n, dtype=np.int64), np.empty(n)
    free = np.ones(len(cloud), dtype=bool)
    for number in range(n):
        if number or len(base):
            gain = np.where(free, by * nearest, -1.0)
            pick = int(gain.argmax())
            gains[number] = gain[pick]
        else:
            pick = int((by / (square + _tiny(square))).argmax())
        picks[number] = pick
        free[pick] = False
        distance = square + square[pick] - 2.0 * (cloud @ cloud[pick])
        np.minimum(nearest, np.maximum(distance, 0.0), out=nearest)
    if not len(base):
        gains[0] = gains[1] if n > 1 else by[picks[0]] * nearest.max()
    return order[picks].astype(np.int64), np.sqrt(gains)


def _tiny(square: Embedding) -> float:
    """What keeps an item at the mean itself from dividing by zero."""
    return float(np.finfo(square.dtype).tiny)


def _approach(nearest: Embedding, cloud: Embedding, square: Embedding, base: Embedding) -> None:
    """Bring `nearest`, squared distances, down to those of the base."""
    for first in range(0, len(base), _BASE_ROWS):
        block = base[first : first + _BASE_ROWS]
        block_square = np.einsum("ij,ij->i", block, block)
        for start in range(0, len(cloud), _POOL_ROWS):
            part = slice(start, start + _POOL_ROWS)
            apart = cloud[part] @ block.T
            apart *= -2.0
            apart += block_square
            least = apart.min(axis=1) + square[part]
            np.minimum(nearest[part], np.maximum(least, 0.0), out=nearest[part])
