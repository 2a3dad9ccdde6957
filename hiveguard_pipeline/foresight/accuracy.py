"""How right labels are on gold items, with an interval."""

from dataclasses import dataclass
from typing import Any

from hiveguard_pipeline.rules.arithmetic import Codes, Integers
from hiveguard_pipeline.rules.columns import NO_LABEL, Items
from hiveguard_pipeline.rules.states import State


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Right labels among gold items that got one; accuracy and interval None where none did."""

    items: int
    right: int
    accuracy: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class OnGold:
    """What a policy makes of gold items' votes: all their labels, and those that graduate."""

    labelled: Accuracy
    graduated: Accuracy


def on_gold(items: Items, truth: Codes, known: Integers) -> OnGold | None:
    """Accuracy of labels on gold items; None where there is no such item.

    truth: code of the true label, shape (items,). known: positions of the gold items.
    """
    if not len(known):
        return None
    labelled = known[items.label[known] != NO_LABEL]
    return OnGold(
        _accuracy(items.label, truth, labelled),
        _accuracy(items.label, truth, labelled[items.state[labelled] == State.GRADUATED]),
    )


def _accuracy(label: Codes, truth: Codes, among: Integers) -> Accuracy:
    right, items = int((label[among] == truth[among]).sum()), len(among)
    if not items:
        return Accuracy(0, 0, None, None, None)
    low, high = wilson(right, items)
    return Accuracy(items, right, right / items, low, high)


def wilson(right: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927; Brown, Cai and DasGupta 2001, equation 4)."""
    from scipy.stats import binomtest

    found: Any = binomtest(right, of).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)
