"""How long a selection takes: `python -m benchmarks.measured.selection_speed WHO WORK ROWS`.

WHO is `ours` or `skactiveml`; WORK is `margin` (the best 1,000 of ROWS x 10 probabilities) or `k_centre` (100
of ROWS x 64, with 2,000 labelled items). Prints seconds, the memory on top of the input, and the sum of the
picks.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measured.memory import ExtraMemory

BEST, PICKS, LABELLED = 1_000, 100, 2_000


def margin(who: str, rows: int) -> Callable[[], Any]:
    """The least sure items by margin; scikit-activeml scores, and leaves the order to numpy."""
    given = np.random.default_rng(0).dirichlet(np.ones(10), rows)
    if who == "ours":
        from hiveguard_pipeline.learning.selection import uncertainty

        return lambda: uncertainty(given, BEST).positions
    from skactiveml.pool import uncertainty_scores

    return lambda: np.argsort(-uncertainty_scores(given, method="margin_sampling"), kind="stable")[:BEST]


def k_centre(who: str, rows: int) -> Callable[[], Any]:
    """The items farthest from those that are labelled."""
    points = np.random.default_rng(0).normal(size=(LABELLED + rows, 64))
    if who == "ours":
        from hiveguard_pipeline.learning.selection import diversity

        known, pool = points[:LABELLED], points[LABELLED:]
        return lambda: diversity(pool, PICKS, known).positions
    from skactiveml.pool import CoreSet

    truth = np.full(len(points), np.nan)
    truth[:LABELLED] = 0
    query = CoreSet(random_state=0)
    return lambda: np.asarray(query.query(X=points, y=truth, batch_size=PICKS)) - LABELLED


if __name__ == "__main__":
    who, work, rows = sys.argv[1:4]
    pick = {"margin": margin, "k_centre": k_centre}[work](who, int(rows))
    memory = ExtraMemory()
    started = time.perf_counter()
    found = pick()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "extra_mb": memory.mb(), "picks": int(found.sum())}))
