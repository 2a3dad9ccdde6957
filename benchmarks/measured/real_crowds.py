"""Labels of real votes: `python -m benchmarks.measured.real_crowds WHO FOLDER...`.

WHO is `ours`, or `crowd-kit` in the peers' environment. A folder holds votes.csv; of a solver's votes on an
item the first counts. Both iterate as often, and neither stops early: crowd-kit's own criterion stops some
fits at the second iteration. Prints the labels by folder, method and item.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

ITERATIONS = 100
Vote = tuple[str, str, str]


def ours(votes: list[Vote]) -> dict[str, dict[str, str]]:
    """Labels by method and item."""
    import numpy as np

    from benchmarks.measured.crowd import crowd_of
    from hiveguard_pipeline.quality.aggregation import METHODS, aggregate

    names, solvers, classes = (sorted({vote[column] for vote in votes}) for column in range(3))
    codes = [{name: code for code, name in enumerate(texts)} for texts in (names, solvers, classes)]
    table = np.array(
        sorted([codes[column][vote[column]] for column in range(3)] for vote in votes), dtype=np.int32
    )
    crowd = crowd_of(*(np.ascontiguousarray(column) for column in table.T))
    crowd.classes = classes
    found = {}
    for method in METHODS:
        label = aggregate(crowd, method, iterations=ITERATIONS, tolerance=0).label
        found[method] = {name: classes[code] for name, code in zip(names, label.tolist(), strict=True)}
    return found


def crowd_kit(votes: list[Vote]) -> dict[str, dict[str, str]]:
    """Labels by method and item."""
    import pandas as pd
    from crowdkit.aggregation import DawidSkene, MajorityVote

    table = pd.DataFrame(votes, columns=["task", "worker", "label"])
    methods: dict[str, Any] = {
        "majority": MajorityVote(),
        "dawid_skene": DawidSkene(n_iter=ITERATIONS, tol=float("-inf")),
    }
    return {name: method.fit(table).labels_.to_dict() for name, method in methods.items()}


def read(folder: Path) -> list[Vote]:
    """The votes of a folder that count: item, solver, answer."""
    counted: dict[tuple[str, str], str] = {}
    with (folder / "votes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            counted.setdefault((row["external_id"], row["solver_id"]), row["answer"])
    return [(item, solver, answer) for (item, solver), answer in counted.items()]


if __name__ == "__main__":
    label = {"ours": ours, "crowd-kit": crowd_kit}[sys.argv[1]]
    folders = [Path(name) for name in sys.argv[2:]]
    print(json.dumps({folder.name: label(read(folder)) for folder in folders}))
