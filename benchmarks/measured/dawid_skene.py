"""Dawid-Skene over votes in memory, ten iterations: `python -m benchmarks.measured.dawid_skene WHO FILE.npz`.

WHO is `ours`, or in the peers' environment (`make peers`) `crowd-kit`, or `crowd-kit-grouped`. Ours gets the
votes grouped by item, as the database hands them over; crowd-kit as they arrive, or grouped too. None stops
early. The labels' digest says whether they are the same.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measured.memory import ExtraMemory

ITERATIONS = 10
_FEW = 3_000


def ours(item: Any, solver: Any, answer: Any) -> Callable[[], Any]:
    """Our fit, ready to be called: the label of each item with votes."""
    from benchmarks.measured.crowd import crowd_of
    from hiveguard_pipeline.quality.aggregation import aggregate

    crowd = crowd_of(item, solver, answer)
    voted = np.flatnonzero(np.diff(crowd.offsets))
    return lambda: aggregate(crowd, "dawid_skene", iterations=ITERATIONS, tolerance=0).label[voted]


def crowd_kit(item: Any, solver: Any, answer: Any) -> Callable[[], Any]:
    """crowd-kit's fit to votes in the order of their arrival, ready to be called."""
    arrival = np.random.default_rng(4).permutation(len(item))
    return crowd_kit_grouped(item[arrival], solver[arrival], answer[arrival])


def crowd_kit_grouped(item: Any, solver: Any, answer: Any) -> Callable[[], Any]:
    """crowd-kit's fit, ready to be called."""
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    votes = pd.DataFrame({"task": item, "worker": solver, "label": answer})
    model = DawidSkene(n_iter=ITERATIONS, tol=-np.inf)
    return lambda: model.fit(votes).labels_.sort_index().to_numpy()


if __name__ == "__main__":
    makers = {"ours": ours, "crowd-kit": crowd_kit, "crowd-kit-grouped": crowd_kit_grouped}
    make = makers[sys.argv[1]]
    with np.load(sys.argv[2]) as data:
        votes = data["item"], data["solver"], data["answer"]
    make(*(column[:_FEW] for column in votes))()
    fit = make(*votes)
    memory = ExtraMemory()
    started = time.perf_counter()
    labels = fit()
    seconds = time.perf_counter() - started
    digest = hashlib.sha256(labels.astype(np.int32).tobytes()).hexdigest()
    print(json.dumps({"seconds": seconds, "extra_mb": memory.mb(), "labels": digest}))
