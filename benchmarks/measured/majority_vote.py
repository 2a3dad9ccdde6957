"""The peers: one majority vote on the same votes, in their own environment (`make peers`).

`python -m benchmarks.measured.majority_vote crowd-kit|pandas VOTES.npz`
"""

import json
import sys
import time

import numpy as np
import pandas as pd  # noqa: TID253 - the peer is pandas

from benchmarks.measured.memory import ExtraMemory


def by_crowd_kit(votes: pd.DataFrame) -> pd.Series:
    """crowd-kit's MajorityVote: a label for each task."""
    from crowdkit.aggregation import MajorityVote

    return MajorityVote().fit_predict(votes)


def by_pandas(votes: pd.DataFrame) -> pd.Series:
    """What a user writes in pandas: the first majority of each task, no re-validation."""
    counts = votes.groupby(["task", "label"], sort=False).size().reset_index(name="votes")
    winners = counts.loc[counts.groupby("task", sort=False)["votes"].idxmax()]
    return winners.set_index("task")["label"]


if __name__ == "__main__":
    vote = {"crowd-kit": by_crowd_kit, "pandas": by_pandas}[sys.argv[1]]
    with np.load(sys.argv[2]) as data:
        votes = pd.DataFrame(
            {"task": data["item"], "worker": np.arange(len(data["item"])), "label": data["answer"]}
        )
    vote(votes.head(30))
    memory = ExtraMemory()
    started = time.perf_counter()
    labels = vote(votes)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "extra_mb": memory.mb(), "labels": len(labels)}))
