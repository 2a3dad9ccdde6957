"""Ours: the whole state machine over votes in memory. `python -m benchmarks.measured.state_machine FILE.npz`.

Votes that come grouped by item, as the database hands them over (offsets, answers), are folded; votes in
arrival order (item, answer) are grouped first, and that counts.
"""

import json
import sys
import time

import numpy as np

from benchmarks.measured.memory import ExtraMemory
from hiveguard_pipeline.rules.columns import Folded, Items, Votes
from hiveguard_pipeline.rules.fold import fold
from hiveguard_pipeline.rules.policy import Policy


def grouped(item: np.ndarray, answer: np.ndarray, items: int) -> Votes:
    """Votes with those of an item together, in arrival order."""
    order = np.argsort(item, kind="stable")
    offsets = np.searchsorted(item[order], np.arange(items + 1))
    return Votes(offsets.astype(np.int64), answer[order])


def folded(data: dict[str, np.ndarray], items: int) -> Folded:
    """What the votes of a file do to items that have no label."""
    votes = (
        Votes(data["offsets"], data["answers"])
        if "offsets" in data
        else grouped(data["item"], data["answer"], items)
    )
    return fold(votes, Items.unlabeled(items), Policy())


if __name__ == "__main__":
    with np.load(sys.argv[1]) as file:
        data = dict(file)
    items = int(data["items"])
    folded(
        {"offsets": np.arange(0, 36, 3), "answers": data[next(iter({"answers", "answer"} & set(data)))]}, 11
    )
    memory = ExtraMemory()
    started = time.perf_counter()
    done = folded(data, items)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "extra_mb": memory.mb(), "applied": int(done.applied.sum())}))
