"""Adaptive graduation against crowds that do not care, and crowds that conspire; calibrated as votes come."""

import numpy as np
import pytest

from benchmarks.measured.replayed import adaptive
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.rules.policy import ADAPTIVE, Policy
from hiveguard_pipeline.store.crowd import Crowd
from tests.quality.crowds import made

ITEMS, VOTES, SOLVERS = 300, 15, 40
POLICY = Policy(graduation=ADAPTIVE, adaptive_max_votes=VOTES)


def _crowd(
    seed: int, *, flippers: float, colluders: float, gold: float, classes: int
) -> tuple[Crowd, np.ndarray]:
    """Votes of some who flip a coin, some who agree on a wrong answer for each item, and honest others."""
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, classes, ITEMS)
    agreed = (truth + 1 + chance.integers(0, classes - 1, ITEMS)) % classes
    skill = chance.beta(9.6, 2.4, SOLVERS)
    flip, collude = round(flippers * SOLVERS), round((flippers + colluders) * SOLVERS)

    def answer(solver: int, item: int) -> int:
        if solver < flip:
            return int(chance.integers(classes))
        if solver < collude:
            return int(agreed[item])
        if chance.random() < skill[solver]:
            return int(truth[item])
        return int((truth[item] + 1 + chance.integers(classes - 1)) % classes)

    crowd = made(
        [
            [(f"s{solver:03}", str(answer(solver, item))) for solver in chance.choice(SOLVERS, VOTES, False)]
            for item in range(ITEMS)
        ],
        [str(label) for label in range(classes)],
    )
    known = chance.permutation(ITEMS)[: round(gold * ITEMS)]
    crowd.gold[known] = truth[known]
    return crowd, truth


@pytest.mark.parametrize(("gold", "classes"), [(0.0, 2), (0.1, 2), (0.1, 4)])
def test_coin_flippers_graduate_next_to_nothing(gold: float, classes: int) -> None:
    crowd, _ = _crowd(0, flippers=1.0, colluders=0.0, gold=gold, classes=classes)
    judged = crowd.gold == NO_LABEL
    assert adaptive(crowd, POLICY).graduated[judged].mean() <= 0.02


@pytest.mark.parametrize(("colluders", "classes"), [(0.3, 2), (0.3, 4)])
def test_colluders_are_seen_through_with_a_tenth_of_gold(colluders: float, classes: int) -> None:
    right, done = [], []
    for seed in range(2):
        crowd, truth = _crowd(seed, flippers=0.0, colluders=colluders, gold=0.1, classes=classes)
        found = adaptive(crowd, POLICY)
        graduated = found.graduated & (crowd.gold == NO_LABEL)
        right.append((found.label == truth)[graduated].mean())
        done.append(graduated.sum() / (crowd.gold == NO_LABEL).sum())
    assert np.mean(right) >= 0.92  # the target is 0.95, and gold is 30 items
    assert np.mean(done) >= 0.8
