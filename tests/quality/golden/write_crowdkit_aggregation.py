"""Writes crowdkit_aggregation.json: what crowd-kit makes of small drawn crowds and of the real votes.

Run with the peers' Python (`make peers`):
`.peers/crowd-kit/bin/python tests/quality/golden/write_crowdkit_aggregation.py FOLDER-OF-REAL-VOTES`

Of the real votes only digests of the labels are kept. No fit stops early: crowd-kit's own criterion stops
some at the second iteration.
"""

import csv
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd  # noqa: TID253 - the peer is pandas
from crowdkit.aggregation import DawidSkene, MajorityVote, OneCoinDawidSkene

ITEMS, SOLVERS, EACH = 30, 8, 4
REAL_ITERATIONS = 100


def case(seed: int, classes: int, method: str, iterations: int, known: int) -> dict[str, object]:
    """Votes, gold, and crowd-kit's probabilities in the order of item and class as text."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, ITEMS)
    skill = random.uniform(0.4, 0.95, SOLVERS)
    votes = []
    for item in range(ITEMS):
        for solver in random.choice(SOLVERS, EACH, replace=False):
            answer = truth[item] if random.random() < skill[solver] else random.integers(0, classes)
            votes.append([f"i{item:02d}", f"s{solver}", f"c{answer}"])
    gold = {f"i{item:02d}": f"c{truth[item]}" for item in range(known)}
    data = pd.DataFrame(votes, columns=["task", "worker", "label"])
    if method == "majority":
        found = MajorityVote().fit_predict_proba(data)
    elif method == "one_coin":
        found = OneCoinDawidSkene(n_iter=iterations, tol=-np.inf).fit(data).probas_
    else:
        labels = pd.Series(gold) if gold else None
        found = DawidSkene(n_iter=iterations, tol=-np.inf).fit_predict_proba(data, labels)
    return {
        "method": method,
        "iterations": iterations,
        "votes": votes,
        "gold": gold,
        "probability": found.sort_index().sort_index(axis=1).round(8).to_numpy().tolist(),
    }


def real(folder: Path) -> dict[str, str]:
    """By method, the SHA-256 of the labels: a line an item, in order; a solver's first vote counts."""
    counted: dict[tuple[str, str], str] = {}
    with (folder / "votes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            counted.setdefault((row["external_id"], row["solver_id"]), row["answer"])
    votes = [(item, solver, answer) for (item, solver), answer in counted.items()]
    data = pd.DataFrame(votes, columns=["task", "worker", "label"])
    methods = {
        "majority": MajorityVote(),
        "one_coin": OneCoinDawidSkene(n_iter=REAL_ITERATIONS, tol=-np.inf),
        "dawid_skene": DawidSkene(n_iter=REAL_ITERATIONS, tol=-np.inf),
    }
    found = {}
    for name, method in methods.items():
        # crowd-kit resolves ties by the order of its columns, which for a majority hangs on that of the rows.
        labels = method.fit(data).probas_.sort_index().sort_index(axis=1).idxmax(axis=1)
        text = "".join(f"{item}\t{label}\n" for item, label in labels.items())
        found[name] = hashlib.sha256(text.encode()).hexdigest()
    return found


if __name__ == "__main__":
    cases = [
        case(1, 3, "majority", 1, 0),
        case(2, 2, "one_coin", 20, 0),
        case(3, 4, "one_coin", 5, 0),
        case(4, 2, "dawid_skene", 1, 0),
        case(5, 3, "dawid_skene", 30, 0),
        case(6, 4, "dawid_skene", 10, 8),
    ]
    file = Path(__file__).with_name("crowdkit_aggregation.json")
    folders = sorted(found.parent for found in Path(sys.argv[1]).glob("*/votes.csv"))
    written = {
        "crowd-kit": version("crowd-kit"),
        "iterations": REAL_ITERATIONS,
        "real": {folder.name: real(folder) for folder in folders},
        "cases": cases,
    }
    text = json.dumps(written, separators=(",", ":"))
    file.write_text(text.replace('],"', '],\n"').replace("},{", "},\n{") + "\n")
