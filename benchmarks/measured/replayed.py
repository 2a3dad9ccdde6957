"""Real votes replayed in random arrival orders: `python -m benchmarks.measured.replayed ORDERS FOLDER...`.

A folder holds votes.csv and truth.csv; of a solver's votes on an item the first counts. In each order a
fifth of the items with known truth are gold, the rest is judged by it and by nothing else. An item gets its
votes one after the other; what adaptive graduation has settled gets none any more. Before each round of
votes the dataset is calibrated on the votes so far. The target probability is the highest of TARGETS at
which as many items graduate as by the documented rule, which needs no truth.

Prints, by folder and order, what both rules graduated, how much of it is right, and for how many votes.
"""

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.quality.calibration import calibrate, kept
from hiveguard_pipeline.rules.adaptive import steps
from hiveguard_pipeline.rules.columns import NO_LABEL, Items
from hiveguard_pipeline.rules.fold import fold
from hiveguard_pipeline.rules.policy import ADAPTIVE, ONE, Policy
from hiveguard_pipeline.rules.states import State
from hiveguard_pipeline.store.crowd import NO_DURATION, Crowd

TARGETS = (0.99, 0.98, 0.97, 0.96, 0.95, 0.93, 0.91, 0.88, 0.85, 0.8, 0.7)
GOLD = 0.2


@dataclass
class Outcome:
    """label and graduated: of each item; votes: that it took, or all it had where it never left the pool."""

    label: np.ndarray
    graduated: np.ndarray
    votes: np.ndarray

    def on(self, items: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        """Share that graduated, share of these that is right, votes an item."""
        done = items[self.graduated[items]]
        right = float((self.label[done] == truth[done]).mean()) if len(done) else float("nan")
        return {
            "coverage": len(done) / len(items),
            "accuracy": right,
            "votes": float(self.votes[items].mean()),
        }


def read(folder: Path) -> tuple[Crowd, np.ndarray]:
    """The crowd, no item of it gold, and the truth of each item, NO_LABEL where it is unknown."""
    counted: dict[tuple[str, str], str] = {}
    with (folder / "votes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            counted.setdefault((row["external_id"], row["solver_id"]), row["answer"])
    with (folder / "truth.csv").open(newline="") as file:
        known = {row["external_id"]: row["label"] for row in csv.DictReader(file)}
    items = sorted({item for item, _ in counted})
    solvers = sorted({solver for _, solver in counted})
    classes = sorted({*counted.values(), *known.values()})
    codes = [{name: code for code, name in enumerate(names)} for names in (items, solvers, classes)]
    table = np.array(
        [[codes[0][item], codes[1][solver], codes[2][answer]] for (item, solver), answer in counted.items()],
        dtype=np.int32,
    )
    table = table[np.argsort(table[:, 0], kind="stable")]
    names = pa.array(items)
    crowd = Crowd(
        offsets=np.searchsorted(table[:, 0], np.arange(len(items) + 1)).astype(np.int64),
        solver=np.ascontiguousarray(table[:, 1]),
        answer=np.ascontiguousarray(table[:, 2]),
        vote_id=np.arange(1, len(table) + 1),
        duration_ms=np.full(len(table), NO_DURATION),
        item_ids=names,
        external_ids=names,
        gold=np.full(len(items), NO_LABEL, dtype=np.int32),
        solvers=solvers,
        classes=classes,
    )
    truth = np.array([codes[2][known[item]] if item in known else NO_LABEL for item in items])
    return crowd, truth


def shuffled(crowd: Crowd, chance: np.random.Generator) -> Crowd:
    """Each item's votes in a random order."""
    order = np.lexsort((chance.random(len(crowd.answer)), crowd.item))
    crowd.solver, crowd.answer = crowd.solver[order], crowd.answer[order]
    return crowd


def documented(crowd: Crowd) -> Outcome:
    """What the documented rule makes of all votes under the default policy."""
    folded = fold(crowd.votes, Items.unlabeled(len(crowd.item_ids)), Policy())
    state, many = folded.items.state, np.diff(crowd.offsets)
    left = (state == State.GRADUATED) | (state == State.NEEDS_REVIEW)
    return Outcome(folded.items.label, state == State.GRADUATED, np.where(left, folded.applied, many))


def adaptive(crowd: Crowd, policy: Policy) -> Outcome:
    """What adaptive graduation makes of the votes, one round of them after the other."""
    many = np.diff(crowd.offsets)
    position = np.arange(len(crowd.answer)) - np.repeat(crowd.offsets[:-1], many)
    asked = many.copy()
    label = np.full(len(many), NO_LABEL)
    state = np.full(len(many), State.UNLABELED)
    pool = crowd.gold == NO_LABEL
    for turn in range(policy.adaptive_min_votes, int(many.max()) + 1):
        seen = crowd.only(position < np.repeat(np.minimum(asked, turn), many))
        fit = kept(calibrate(seen))
        waiting = np.flatnonzero(pool & (state != State.GRADUATED) & (state != State.NEEDS_REVIEW))
        due = waiting[np.diff(seen.offsets)[waiting] == turn]
        if not len(due):
            break
        found = steps(seen.votes, fit.evidence(seen.solver, seen.answer), fit.knowledge, policy)
        last = seen.offsets[due + 1] - 1
        label[due], state[due] = found.label[last], found.state[last]
        left = due[(state[due] == State.GRADUATED) | (state[due] == State.NEEDS_REVIEW)]
        asked[left] = turn
    return Outcome(label, state == State.GRADUATED, asked)


def replay(folder: Path, order: int) -> dict[str, object]:
    """Both rules on one order of a folder's votes."""
    crowd, truth = read(folder)
    chance = np.random.default_rng(order)
    crowd = shuffled(crowd, chance)
    known = chance.permutation(np.flatnonzero(truth != NO_LABEL))
    gold, judged = np.split(known, [round(GOLD * len(known))])
    crowd.gold[gold] = truth[gold]
    theirs = documented(crowd).on(judged, truth)
    for target in TARGETS:
        policy = Policy(
            graduation=ADAPTIVE,
            adaptive_target_probability=round(target * ONE),
            adaptive_min_votes=5,
            adaptive_max_votes=int(np.diff(crowd.offsets).max()),
        )
        ours = adaptive(crowd, policy).on(judged, truth)
        if ours["coverage"] >= theirs["coverage"]:
            break
    return {"target": target, "documented": theirs, "adaptive": ours}


if __name__ == "__main__":
    folders = [Path(name) for name in sys.argv[2:]]
    orders = range(int(sys.argv[1]))
    print(json.dumps({folder.name: [replay(folder, order) for order in orders] for folder in folders}))
