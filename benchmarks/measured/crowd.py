"""Votes of a file as the store reads them: a crowd, and a part of it that came later."""

from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.stores import CLASSES, NAME
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import NO_DURATION, Crowd
from hiveguard_pipeline.store.tables import item_uuids


def crowd_of(item: Any, solver: Any, answer: Any) -> Crowd:
    """A crowd of votes that are grouped by item; item ids as the store makes them, in order."""
    items, solvers = int(item[-1]) + 1, int(solver.max()) + 1
    names = pa.array(sorted(item_uuids(NAME, [str(number) for number in range(items)])))
    return Crowd(
        offsets=np.searchsorted(item, np.arange(items + 1)).astype(np.int64),
        solver=solver,
        answer=answer,
        vote_id=np.arange(1, len(item) + 1, dtype=np.int64),
        duration_ms=np.full(len(item), NO_DURATION, dtype=np.int64),
        item_ids=names,
        external_ids=names,
        gold=np.full(items, NO_LABEL, dtype=np.int32),
        solvers=[f"solver-{number:05d}" for number in range(solvers)],
        classes=list(CLASSES),
    )


def touched(crowd: Crowd) -> Crowd:
    """The items of a crowd that have votes, and no others: what new votes bring."""
    counts = np.diff(crowd.offsets)
    rows = np.flatnonzero(counts)
    return Crowd(
        np.concatenate(([0], np.cumsum(counts[rows]))),
        crowd.solver,
        crowd.answer,
        crowd.vote_id,
        crowd.duration_ms,
        crowd.item_ids.take(pa.array(rows)),
        crowd.external_ids.take(pa.array(rows)),
        crowd.gold[rows],
        crowd.solvers,
        crowd.classes,
    )
