"""What the answers of a people's stage come to: the one that most agree with, and how far they agree."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.rules.policy import ONE


@dataclass(slots=True)
class Majority:
    """Of each item: the position of the answer that most agree with, how many do, of how many."""

    answer: Integers
    agree: Integers
    answers: Integers

    def reaches(self, least: int | None) -> Mask:
        """Whether more than half agree, and at least so large a share (millionths)."""
        enough = self.agree * ONE >= (least or 0) * self.answers
        return (2 * self.agree > self.answers) & enough


def pairs(offsets: Integers) -> tuple[Integers, Integers]:
    """All ordered pairs of answers to one item, with itself too. offsets: shape (items + 1,).

    Returns the positions of the first and of the second answers.
    """
    sizes = np.diff(offsets)
    squares = sizes * sizes
    item = np.repeat(np.arange(len(sizes)), squares)
    place = np.arange(int(squares.sum())) - np.repeat(np.cumsum(squares) - squares, squares)
    first, second = place // np.maximum(sizes[item], 1), place % np.maximum(sizes[item], 1)
    return offsets[item] + first, offsets[item] + second


def majorities(offsets: Integers, support: Integers) -> Majority:
    """The answer with the most support of each item, the earliest of several.

    support: how many answers of its item agree with each answer, itself among them; shape (answers,). Every
    item has an answer.
    """
    starts, sizes = offsets[:-1], np.diff(offsets)
    most = np.maximum.reduceat(support, starts) if len(starts) else np.zeros(0, dtype=np.int64)
    item = np.repeat(np.arange(len(sizes)), sizes)
    best = np.flatnonzero(support == most[item])
    _, earliest = np.unique(item[best], return_index=True)
    return Majority(best[earliest], most, sizes)


def fleiss_kappa(item: Integers, answer: Codes) -> float | None:
    """Fleiss' kappa (1971, Psychol. Bull. 76, 378) of answers to items; None where it is undefined.

    Items with one answer say nothing of agreement and are left out. Numbers of answers may differ between
    items: the observed agreement is the mean over items of that of their pairs, as there.
    """
    sizes = np.bincount(item)
    kept = sizes[item] > 1
    item, answer = item[kept], answer[kept]
    if not len(item):
        return None
    _, item = np.unique(item, return_inverse=True)
    codes, answer = np.unique(answer, return_inverse=True)
    counts: Any = np.zeros((int(item.max()) + 1, len(codes)))
    np.add.at(counts, (item, answer), 1)
    each = counts.sum(axis=1)
    observed = float((((counts * (counts - 1)).sum(axis=1)) / (each * (each - 1))).mean())
    shares = counts.sum(axis=0) / counts.sum()
    expected = float((shares * shares).sum())
    return None if expected >= 1 else (observed - expected) / (1 - expected)
