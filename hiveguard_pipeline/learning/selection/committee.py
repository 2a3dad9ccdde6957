"""Query by committee: ask where several judges disagree (Seung, Opper and Sompolinsky 1992).

The judges are models, or the people who already voted on an item. The score, higher = more disagreement:
vote_entropy  -sum_c v_c ln v_c, v_c = the share of judges who say c   in nats  (Dagan and Engelson 1995)
kl            mean over judges of sum_c p_c ln(p_c / mean p_c)         in nats  (McCallum and Nigam 1998)
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.selection.inputs import (
    Reals,
    classes_wanted,
    matrix,
    probability_chunks,
    rows_of_chunk,
    tie_keys,
    wanted,
)
from hiveguard_pipeline.learning.selection.selected import Selection
from hiveguard_pipeline.learning.selection.top import top
from hiveguard_pipeline.learning.selection.uncertainty import entropy

Method = Literal["vote_entropy", "kl"]


def committee(
    probabilities: Sequence[ArrayLike],
    n: int,
    method: Method = "vote_entropy",
    *,
    ties: Sequence[Any] | NDArray[Any] | None = None,
) -> Selection:
    """The n items on which the models disagree most.

    probabilities: of two or more models, each of shape (items, classes), the same classes in the same order.
    vote_entropy counts each model's likeliest class (of equal ones the first), and so has few different
    values: give `ties` keys that do not follow the order of the data. Raises BadInputError.
    """
    judges = [matrix(rows, f"committee, model {number}") for number, rows in enumerate(probabilities)]
    if len(judges) < 2:
        raise BadInputError(f"committee: {len(judges)} model(s); a committee has two or more")
    for number, rows in enumerate(judges):
        classes_wanted(rows, f"committee, model {number}")
        if rows.shape != judges[0].shape:
            raise BadInputError(
                f"committee, model {number}: shape {rows.shape}; model 0 has {judges[0].shape}:"
                " all must score the same items for the same classes"
            )
    size = len(judges[0])
    positions, scores = top(_scored(judges, method), wanted(n, size), tie_keys(ties, size))
    return Selection(positions, scores, float(scores.mean()))


def crowd(counts: ArrayLike, n: int, *, ties: Sequence[Any] | NDArray[Any] | None = None) -> Selection:
    """The n items on which people disagree most: vote entropy over the answers that each item has.

    counts: shape (items, classes), how many people gave each answer. An item without votes has nobody who
    disagrees: its score is 0, and a note says how many there are. Raises BadInputError.
    """
    votes = matrix(counts, "votes")
    size = len(votes)
    n, keys = wanted(n, size), tie_keys(ties, size)
    positions, scores = top(_crowd_scored(votes), n, keys)
    selection = Selection(positions, scores, float(scores.mean()))
    unasked = size - int(np.count_nonzero(votes.any(axis=1)))
    return (
        selection.noted(f"{unasked} of {size} items have no votes; their score is 0")
        if unasked
        else selection
    )


def _scored(judges: list[NDArray[Any]], method: str) -> Iterator[tuple[int, Reals]]:
    if method not in _SCORES:
        raise BadInputError(f"method {method!r}: expected {', '.join(_SCORES)}")
    score = _SCORES[method]
    names = [f"committee, model {number}" for number in range(len(judges))]
    for parts in zip(*map(probability_chunks, judges, names), strict=True):
        yield parts[0][0], score(np.stack([chunk for _, chunk in parts]))


def _vote_entropy(chunk: Reals) -> Reals:
    judges, _, classes = chunk.shape
    said = chunk.argmax(axis=2)
    shares = np.stack([(said == label).sum(axis=0) / judges for label in range(classes)], axis=1)
    return entropy(shares)


def _kl(chunk: Reals) -> Reals:
    mean = np.broadcast_to(chunk.mean(axis=0), chunk.shape)
    ratio = np.divide(chunk, mean, out=np.ones_like(chunk), where=chunk > 0.0)
    return np.asarray(np.maximum((chunk * np.log(ratio)).sum(axis=2).mean(axis=0), 0.0))


_SCORES = {"vote_entropy": _vote_entropy, "kl": _kl}


def _crowd_scored(votes: NDArray[Any]) -> Iterator[tuple[int, Reals]]:
    rows = rows_of_chunk(votes.shape[1])
    for start in range(0, len(votes), rows):
        chunk = votes[start : start + rows].astype(np.float64)
        right = (np.isfinite(chunk) & (chunk >= 0.0)).all(axis=1)
        if not right.all():
            raise BadInputError(
                f"votes: row {start + int(np.argmin(right))} has a number that is no count of votes"
            )
        yield start, entropy(chunk / np.maximum(chunk.sum(axis=1, keepdims=True), 1.0))
