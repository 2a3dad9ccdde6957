"""Ours: new votes taken into a fit, and a refit. `python -m benchmarks.measured.new_votes FILE.npz COUNT`.

The refit is the whole one that a schedule runs: from the votes' shares to convergence, and what it takes to
follow votes from there. Timed on the votes in memory, both.
"""

import json
import sys
import time

import numpy as np

from benchmarks.measured.crowd import crowd_of, touched
from hiveguard_pipeline.quality.aggregation import Online, aggregate, posterior
from hiveguard_pipeline.store.crowd import Crowd

HELPINGS = 5
"""Updates one after another; the median is the figure."""


def refit(crowd: Crowd) -> tuple[Online, float]:
    """A fit to convergence that can follow new votes, and its seconds."""
    started = time.perf_counter()
    online = Online.start(crowd, aggregate(crowd, "dawid_skene"))
    return online, time.perf_counter() - started


if __name__ == "__main__":
    count = int(sys.argv[2])
    with np.load(sys.argv[1]) as data:
        crowd = crowd_of(data["item"], data["solver"], data["answer"])
    late = np.full(len(crowd.answer), HELPINGS)
    drawn = np.random.default_rng(3).permutation(len(late))[: HELPINGS * count]
    late[drawn] = np.arange(len(drawn)) // count
    first = crowd.only(late == HELPINGS)
    refit(touched(crowd.only(late == 0)))
    online, seconds_of_refit = refit(first)
    seconds = []
    for helping in range(HELPINGS):
        new = touched(crowd.only(late == helping))
        started = time.perf_counter()
        online.update(new)
        seconds.append(time.perf_counter() - started)
    expected = posterior(online.model, crowd)
    rows = online.items.row[np.argsort(online.items.row)]
    found = online.probability(rows)
    print(
        json.dumps(
            {
                "seconds": float(np.median(seconds)),
                "refit": seconds_of_refit,
                "off": float(np.abs(found - expected).max()),
            }
        )
    )
