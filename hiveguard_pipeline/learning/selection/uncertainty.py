"""Uncertainty sampling: ask where one model is least sure (Settles 2009, section 3.1).

Of a row p with p1 >= p2 >= ... the score, higher = less sure:
margin           1 - (p1 - p2)          in [0, 1]  (Scheffer, Decomain and Wrobel 2001)
least_confident  1 - p1                 in [0, 1 - 1/k]  (Lewis and Gale 1994)
entropy          -sum p ln p            in [0, ln k], nats  (Shannon 1948)
For two classes all three give one order.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.selection.inputs import (
    Reals,
    classes_wanted,
    matrix,
    probability_chunks,
    scores_of,
    tie_keys,
    wanted,
)
from hiveguard_pipeline.learning.selection.selected import Selection
from hiveguard_pipeline.learning.selection.top import top, top_of

Method = Literal["margin", "least_confident", "entropy"]


def uncertainty(
    probabilities: ArrayLike,
    n: int,
    method: Method = "margin",
    *,
    ties: Sequence[Any] | NDArray[Any] | None = None,
) -> Selection:
    """The n items of which the model is least sure.

    probabilities: shape (items, classes), rows sum to 1. ties: a key for each item, smallest first among
    equal scores; default position. Raises BadInputError. Works in chunks: 1M x 10 take 1 MB beyond the input.
    """
    rows = matrix(probabilities, "probabilities")
    classes_wanted(rows)
    positions, scores = top(_scored(rows, method), wanted(n, len(rows)), tie_keys(ties, len(rows)))
    return Selection(positions, scores, float(scores.mean()))


def uncertainty_scores(probabilities: ArrayLike, method: Method = "margin") -> Reals:
    """The score of each item: shape (items,)."""
    rows = matrix(probabilities, "probabilities")
    classes_wanted(rows)
    scores = np.empty(len(rows))
    for start, chunk in _scored(rows, method):
        scores[start : start + len(chunk)] = chunk
    return scores


def most_uncertain(
    scores: ArrayLike, n: int, *, ties: Sequence[Any] | NDArray[Any] | None = None
) -> Selection:
    """The n items with the highest scores of one's own: those of spans or boxes, or of any other model."""
    given = scores_of(scores)
    positions, best = top_of(given, wanted(n, len(given)), tie_keys(ties, len(given)))
    return Selection(positions, best, float(best.mean()))


def chunk_scorer(method: str) -> Callable[[Reals], Reals]:
    """What scores a chunk of checked rows. Raises BadInputError for an unknown method."""
    if method not in _SCORES:
        raise BadInputError(f"method {method!r}: expected {', '.join(get_args(Method))}")
    return _SCORES[method]


def entropy(shares: Reals) -> Reals:
    """-sum p ln p of each row, in nats; a share of 0 adds nothing."""
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0.0)
    return np.asarray(np.maximum(-(shares * logs).sum(axis=1), 0.0))


def _scored(rows: NDArray[Any], method: str) -> Iterator[tuple[int, Reals]]:
    score = chunk_scorer(method)
    for start, chunk in probability_chunks(rows):
        yield start, score(chunk)


def _margin(chunk: Reals) -> Reals:
    chunk.partition(chunk.shape[1] - 2, axis=1)
    return np.asarray(1.0 - (chunk[:, -1] - chunk[:, -2]))


def _least_confident(chunk: Reals) -> Reals:
    return np.asarray(1.0 - chunk.max(axis=1))


_SCORES: dict[str, Callable[[Reals], Reals]] = {
    "margin": _margin,
    "least_confident": _least_confident,
    "entropy": entropy,
}
