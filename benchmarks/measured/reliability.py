"""Calibration on real votes: `python -m benchmarks.measured.reliability DRAWS FOLDER...`.

A fifth of the items with known truth, drawn at random, are gold; the others are judged. Prints the expected
calibration error of each draw on them, by folder: ours, the vote share, and Dawid-Skene's posterior.
"""

import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.measured.replayed import GOLD, read
from hiveguard_pipeline.quality.aggregation import aggregate
from hiveguard_pipeline.quality.calibration import calibrate, reliability
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import Crowd


def probabilities(crowd: Crowd) -> dict[str, np.ndarray]:
    """P(class) of each item by three ways to say it."""
    return {
        "calibrated": calibrate(crowd).probability,
        "vote_share": aggregate(crowd, "majority", use_gold=False).probability,
        "dawid_skene": aggregate(crowd, "dawid_skene", use_gold=False).probability,
    }


def errors(folder: Path, draw: int) -> dict[str, float]:
    """The calibration errors of one draw of gold."""
    crowd, truth = read(folder)
    known = np.random.default_rng(draw).permutation(np.flatnonzero(truth != NO_LABEL))
    gold, judged = np.split(known, [round(GOLD * len(known))])
    crowd.gold[gold] = truth[gold]
    found = {}
    for name, probability in probabilities(crowd).items():
        label = probability[judged].argmax(axis=1)
        said = probability[judged, label]
        found[name] = reliability(said, label == truth[judged], np.ones(len(judged))).error
    return found


if __name__ == "__main__":
    folders = [Path(name) for name in sys.argv[2:]]
    draws = range(int(sys.argv[1]))
    print(json.dumps({folder.name: [errors(folder, draw) for draw in draws] for folder in folders}))
