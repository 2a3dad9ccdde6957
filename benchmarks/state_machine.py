"""Ours: the whole state machine over votes in memory. `python -m benchmarks.state_machine VOTES.npz`."""

import json
import resource
import sys
import time

import numpy as np

from hiveguard_pipeline.rules.fold import Items, Votes, fold
from hiveguard_pipeline.rules.policy import Policy


def grouped(item: np.ndarray, answer: np.ndarray, items: int) -> Votes:  # type: ignore[type-arg]
    """Votes with those of an item together, in arrival order, as the database hands them over."""
    order = np.argsort(item, kind="stable")
    offsets = np.searchsorted(item[order], np.arange(items + 1))
    return Votes(offsets.astype(np.int64), answer[order])


if __name__ == "__main__":
    data = np.load(sys.argv[1])
    item, answer, items = data["item"], data["answer"], int(data["items"])
    began = time.perf_counter()
    votes = grouped(item, answer, items)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    folded = fold(votes, Items.unlabeled(items), Policy())
    ended = time.perf_counter()
    print(
        json.dumps(
            {
                "seconds": ended - started,
                "seconds_with_grouping": ended - began,
                "extra_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
                "applied": int(folded.applied.sum()),
            }
        )
    )
