"""The best n of many scores, without sorting them all: one pass over chunks, memory for n and a chunk."""

from collections.abc import Iterable

import numpy as np

from hiveguard_pipeline.learning.selection.inputs import CHUNK_VALUES, Positions, Reals, TieKeys


def top(chunks: Iterable[tuple[int, Reals]], n: int, ties: TieKeys | None = None) -> tuple[Positions, Reals]:
    """Positions and scores of the n best: highest score first, then smallest tie key, then position.

    chunks: (position of the first, scores), in rising position. ties: shape (items,), any sortable type.
    Equal scores are equal floats. The outcome does not depend on how the scores are cut into chunks.
    """
    positions, scores = np.empty(0, dtype=np.int64), np.empty(0)
    for start, chunk in chunks:
        # Of a chunk only what may still be among the best is looked at again; equals too, for their tie keys.
        found = np.flatnonzero(chunk >= scores[-1]) if len(scores) == n else np.arange(len(chunk))
        if not len(found):
            continue
        positions = np.concatenate([positions, start + found])
        scores = np.concatenate([scores, chunk[found]])
        kept = _best(scores, positions, n, ties)
        positions, scores = positions[kept], scores[kept]
    return positions, scores


def top_of(scores: Reals, n: int, ties: TieKeys | None = None) -> tuple[Positions, Reals]:
    """The same, of scores that are all there: shape (items,)."""
    starts = range(0, len(scores), CHUNK_VALUES)
    return top(((start, scores[start : start + CHUNK_VALUES]) for start in starts), n, ties)


def _best(scores: Reals, positions: Positions, n: int, ties: TieKeys | None) -> Positions:
    """Where the best n stand, in rank order."""
    among = np.arange(len(scores))
    if len(scores) > n:
        least = np.partition(scores, len(scores) - n)[len(scores) - n]
        above, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
        equal = equal[_tie_order(positions[equal], ties)][: n - len(above)]
        among = np.concatenate([above, equal])
    among = among[_tie_order(positions[among], ties)]
    return among[np.argsort(-scores[among], kind="stable")]


def _tie_order(positions: Positions, ties: TieKeys | None) -> Positions:
    by_position = np.argsort(positions, kind="stable")
    if ties is None:
        return by_position
    return by_position[np.argsort(ties[positions[by_position]], kind="stable")]
