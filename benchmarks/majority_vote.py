"""The peer: crowd-kit's MajorityVote on the same votes. Runs in an environment of its own (`make peers`)."""

import json
import resource
import sys
import time

import numpy as np
import pandas as pd  # noqa: TID253 - the peer is pandas
from crowdkit.aggregation import MajorityVote

if __name__ == "__main__":
    data = np.load(sys.argv[1])
    votes = pd.DataFrame(
        {"task": data["item"], "worker": np.arange(len(data["item"])), "label": data["answer"]}
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    labels = MajorityVote().fit_predict(votes)
    ended = time.perf_counter()
    print(
        json.dumps(
            {
                "seconds": ended - started,
                "extra_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
                "labels": len(labels),
            }
        )
    )
