"""Hybrid, the default: items of which the model is unsure, and that are unlike one another.

"Diverse mini-batch active learning" (Zhdanov 2019): of the 10 n least sure items, k-means weighted by
uncertainty makes n groups, and the item in the middle of each is asked. A batch then does not ask the same
question n times, which is what uncertainty alone does with large batches. Before there is a model, the groups
are those of the pool itself.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.selection.clusters import group_middles
from hiveguard_pipeline.learning.selection.inputs import (
    Embedding,
    Positions,
    Reals,
    TieKeys,
    embedding_of,
    matrix,
    tie_keys,
    wanted,
)
from hiveguard_pipeline.learning.selection.selected import Selection
from hiveguard_pipeline.learning.selection.top import top_of
from hiveguard_pipeline.learning.selection.uncertainty import Method, most_uncertain, uncertainty

CANDIDATES_A_PICK = 10
"""The k-means chooses among n times as many of the least sure items (the paper's beta)."""

MOST_COLD = 20_000
"""Items that are grouped when there is no model; of a larger pool, as many at random."""


def hybrid(
    probabilities: ArrayLike | None,
    n: int,
    embedding: ArrayLike,
    *,
    scores: ArrayLike | None = None,
    method: Method = "margin",
    seed: int = 0,
    ties: Sequence[Any] | NDArray[Any] | None = None,
) -> Selection:
    """n items that are unsure and unlike one another, least sure first; the score is their uncertainty.

    probabilities: shape (items, classes), or instead `scores`: (items,), higher = less sure. embedding:
    (items, dimensions). ties: as in `uncertainty`. Raises BadInputError.
    """
    points = matrix(embedding, "embedding")
    if (probabilities is None) == (scores is None):
        raise BadInputError("hybrid: give probabilities or scores, one of them (or use cold_start)")
    size = len(points)
    n, most = wanted(n, size), min(size, CANDIDATES_A_PICK * n)
    if scores is not None:
        unsure = most_uncertain(same_length(np.asarray(scores), size), most, ties=ties)
    else:
        unsure = uncertainty(same_length(np.asarray(probabilities), size), most, method, ties=ties)
    near = embedding_of(points[unsure.positions], "embedding, of the least sure items")
    chosen = group_middles(near, unsure.scores, n, seed)  # rising, and the least sure come first
    picked = unsure.scores[chosen]
    return Selection(unsure.positions[chosen], picked, float(picked.mean()))


def cold_start(
    embedding: ArrayLike,
    n: int,
    *,
    seed: int = 0,
    ties: Sequence[Any] | NDArray[Any] | None = None,
) -> Selection:
    """n items for the first batch, without a model: the middles of n groups of the pool, nearest first.

    The score falls with the distance from the mean of the pool, 1 / (1 + distance), so that what is common is
    asked before what is odd. ties: as in `uncertainty`. Raises BadInputError.
    """
    points = matrix(embedding, "embedding")
    size = len(points)
    n, keys = wanted(n, size), tie_keys(ties, size)
    among, note = _few_enough(size, n, seed)
    near = embedding_of(points[among], "embedding")
    chosen = among[group_middles(near, np.ones(len(near)), n, seed)]
    return _nearest_first(points, chosen, near, keys).noted(*note)


def same_length(values: NDArray[Any], size: int) -> NDArray[Any]:
    """The values, refused if they are not of as many items as the embedding."""
    if values.ndim and len(values) != size:
        raise BadInputError(f"{len(values)} items have a probability or score, and {size} have an embedding")
    return values


def _few_enough(size: int, n: int, seed: int) -> tuple[Positions, tuple[str, ...]]:
    most = max(MOST_COLD, n)
    if size <= most:
        return np.arange(size), ()
    drawn = np.random.default_rng(seed).choice(size, most, replace=False)
    return np.sort(drawn), (f"no model yet: {most} of {size} items, drawn at random, were grouped",)


def _nearest_first(
    points: NDArray[Any], chosen: Positions, near: Embedding, keys: TieKeys | None
) -> Selection:
    middle = near.mean(axis=0, dtype=np.float64)
    scores: Reals = 1.0 / (1.0 + np.linalg.norm(points[chosen] - middle, axis=1))
    order, best = top_of(scores, len(chosen), None if keys is None else keys[chosen])
    return Selection(chosen[order], best)
