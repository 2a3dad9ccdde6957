"""The real crowd votes with known truth, a part of it taken for gold."""

import csv
from pathlib import Path

import numpy as np

from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import Crowd
from tests.quality.crowds import made

SETS = ("sp_amt", "cf_amt", "music", "d_possent", "snow_rte", "s4_dog", "barzan", "hitspam_cf")


def with_gold(folder: Path, share: float, seed: int) -> tuple[Crowd, np.ndarray]:
    """The crowd of a folder, a random share of its known items gold; and every item's truth, NO_LABEL
    where it is unknown. Of a solver's votes on an item the first counts."""
    votes: dict[str, dict[str, str]] = {}
    with (folder / "votes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            votes.setdefault(row["external_id"], {}).setdefault(row["solver_id"], row["answer"])
    with (folder / "truth.csv").open(newline="") as file:
        known = {row["external_id"]: row["label"] for row in csv.DictReader(file)}
    names = sorted(votes)
    crowd = made([list(votes[name].items()) for name in names], sorted(set(known.values())))
    codes = {name: code for code, name in enumerate(crowd.classes)}
    truth = np.array([codes[known[name]] if name in known else NO_LABEL for name in names])
    there = np.random.default_rng(seed).permutation(np.flatnonzero(truth != NO_LABEL))
    gold = there[: round(share * len(there))]
    crowd.gold[gold] = truth[gold]
    return crowd, truth
