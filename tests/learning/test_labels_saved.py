"""What selection saves on digits with a real model, and when it does not: the figures that the docs promise.

An SVC learns from 20 labels on; the labels at which the mean accuracy over the seeds reaches 95%, on a
straight line between two batches, so that an item or two more or less right do not move it by a whole batch.
"""

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.measured.active import curve, ours
from benchmarks.measured.tasks import digits

GOAL = 0.95


def _labels(strategy: str, batch: int, seeds: range, upto: int, goal: float = GOAL) -> float:
    task = digits()
    curves = np.array([curve(task, ours(strategy), batch, upto, seed) for seed in seeds])
    labels, accuracy = curves.mean(axis=0).T
    assert (accuracy >= goal).any(), f"{strategy} did not reach {goal:.0%} with {upto} labels"
    after = int((accuracy >= goal).argmax())
    return float(np.interp(goal, accuracy[after - 1 : after + 1], labels[after - 1 : after + 1]))


@pytest.fixture(scope="module")
def random_labels() -> Callable[[int], float]:
    found: dict[int, float] = {}

    def labels(batch: int) -> float:
        if batch not in found:
            found[batch] = _labels("random", batch, range(10), 320)
        return found[batch]

    return labels


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "share"), [("hybrid", 0.55), ("uncertainty", 0.60)])
def test_in_batches_of_ten_labels_are_saved(
    random_labels: Callable[[int], float], strategy: str, share: float
) -> None:
    assert _labels(strategy, 10, range(10), 200) <= share * random_labels(10)


@pytest.mark.slow
def test_in_batches_of_a_hundred_uncertainty_saves_nothing_and_so_it_is_cautioned(
    random_labels: Callable[[int], float],
) -> None:
    assert _labels("uncertainty", 100, range(10), 320) > 0.60 * random_labels(100)


def test_hybrid_needs_far_fewer_labels_than_chance() -> None:
    assert _labels("hybrid", 10, range(2), 160, goal=0.9) <= 0.75 * _labels(
        "random", 10, range(2), 160, goal=0.9
    )
