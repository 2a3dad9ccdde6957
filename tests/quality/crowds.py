"""Crowds made in memory for the tests of quality, and what plain Python says of them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import NO_DURATION, Crowd

Items = Sequence[Sequence[tuple[str, str]]]
"""Of each item its votes in arrival order: (solver, answer)."""


def made(items: Items, classes: Sequence[str] = ()) -> Crowd:
    """The crowd as the store would give it."""
    solvers = sorted({solver for votes in items for solver, _ in votes})
    labels = [*classes, *sorted({answer for votes in items for _, answer in votes} - set(classes))]
    names = pa.array([f"item-{n:04}" for n in range(len(items))], type=pa.string())
    flat = [vote for votes in items for vote in votes]
    return Crowd(
        offsets=np.concatenate(([0], np.cumsum([len(votes) for votes in items]))).astype(np.int64),
        solver=np.array([solvers.index(solver) for solver, _ in flat], dtype=np.int32),
        answer=np.array([labels.index(answer) for _, answer in flat], dtype=np.int32),
        vote_id=np.arange(1, len(flat) + 1, dtype=np.int64),
        duration_ms=np.full(len(flat), NO_DURATION, dtype=np.int64),
        item_ids=names,
        external_ids=names,
        gold=np.full(len(items), NO_LABEL, dtype=np.int32),
        solvers=solvers,
        classes=labels,
    )


def simulated(
    items: int, votes: int, accuracy: Sequence[float], classes: int, seed: int, flips: Sequence[int] = ()
) -> Items:
    """Votes of solvers of some accuracy on random items; wrong answers and those of `flips` are random."""
    chance = np.random.default_rng(seed)
    found = []
    for _ in range(items):
        truth = int(chance.integers(classes))
        chosen = chance.choice(len(accuracy), votes, replace=False)
        found.append(
            [
                (
                    f"s{solver:03}",
                    str(truth)
                    if solver not in flips and chance.random() < accuracy[solver]
                    else str(chance.integers(classes)),
                )
                for solver in chosen
            ]
        )
    return found
