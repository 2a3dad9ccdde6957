"""Bias per class: how much more often a solver gives a class than the items he saw call for."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hiveguard_pipeline.quality.solvers.others import Others, Reals
from hiveguard_pipeline.quality.solvers.variety import p_values
from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.store.crowd import Crowd

MOST_SHOWN = 100
"""Of more classes than this, only those with most votes get a column."""

MOST_TESTED = 20
"""Of more classes than this, only those with most votes are tested."""


@dataclass(slots=True)
class Leanings:
    """How often each solver gave each class, and how often he was expected to: shape (solvers, classes).

    trials: votes of each solver on items that others answered too, shape (solvers,). classes: their codes.
    """

    given: Reals
    expected: Reals
    trials: Integers
    classes: Codes

    def p(self, usual: Mask) -> Reals:
        """The chance that a solver leans so to one class, beside the usual ones: shape (solvers,).

        The least p-value of the classes, times their number (Bonferroni); NaN where it cannot be told.
        """
        single = self._p_of_classes(usual)
        tested = ~np.isnan(single)
        if not tested.any():
            return np.full(len(single), np.nan)
        lowest = np.where(tested, single, np.inf).min(axis=1)
        of = tested.sum(axis=1)
        return np.where(of > 0, np.minimum(np.where(of > 0, lowest, 1.0) * of, 1.0), np.nan)

    def towards(self, usual: Mask) -> Codes:
        """The class that each solver leans to most, -1 if to none: shape (solvers,), int32."""
        single = self._p_of_classes(usual)
        if not len(self.classes):
            return np.full(len(single), -1, dtype=np.int32)
        least = np.where(np.isnan(single), np.inf, single)
        return np.where(least.min(axis=1) < 1, self.classes[least.argmin(axis=1)], -1).astype(np.int32)

    def _p_of_classes(self, usual: Mask) -> Reals:
        share = self.expected / np.maximum(self.trials, 1)[:, None]
        columns = [
            p_values(self.given[:, column], self.trials, share[:, column], usual, upper=True)
            for column in range(len(self.classes))
        ]
        return np.column_stack(columns) if columns else np.empty((len(self.trials), 0))


def most_voted(crowd: Crowd, counted: Mask, most: int) -> Integers:
    """Codes of the classes with most votes, at most so many, in the order of the classes."""
    votes = np.bincount(crowd.answer[counted], minlength=len(crowd.classes))
    return np.sort(np.lexsort((np.arange(len(votes)), -votes))[:most])


def bias(crowd: Crowd, probability: Reals, classes: Integers) -> Reals:
    """Share of a solver's answers that are a class, less the share expected: shape (solvers, classes).

    Expected is the mean probability of the class over the items he answered on. probability: shape (items,
    all classes). From -1 to 1; NaN without votes. Over all classes a solver's biases sum to zero.
    """
    votes = np.bincount(crowd.solver, minlength=len(crowd.solvers))
    expected = _by_solver(crowd, np.ones(len(crowd.answer))) @ probability[:, classes]
    apart = _given(crowd, np.ones(len(crowd.answer), dtype=bool), classes) - expected
    found = np.full(apart.shape, np.nan)
    return np.asarray(np.divide(apart, votes[:, None], out=found, where=votes[:, None] > 0))


def leanings(crowd: Crowd, counted: Mask, others: Others) -> Leanings:
    """What there is to tell whether a solver gives one class more often than the others on the same items.

    Expected is the sum of the others' shares of the class on his items, each drawn towards the class's share
    of all votes by one vote.
    """
    from scipy import sparse

    solvers = len(crowd.solvers)
    classes = most_voted(crowd, counted, MOST_TESTED)
    told = others.total > 0
    share = np.bincount(crowd.answer[counted], minlength=len(crowd.classes)) / max(int(counted.sum()), 1)
    place = np.full(len(crowd.classes), -1)
    place[classes] = np.arange(len(classes))
    shown = counted & (place[crowd.answer] >= 0)
    on_items = sparse.coo_matrix(
        (np.ones(int(shown.sum())), (crowd.item[shown], place[crowd.answer[shown]])),
        shape=(len(crowd.item_ids), len(classes)),
    ).tocsr()
    weight = np.where(told, 1 / (others.total + 1), 0.0)
    expected = (_by_solver(crowd, weight) @ on_items).toarray()
    own = told & shown
    keys = crowd.solver[own].astype(np.int64) * len(classes) + place[crowd.answer[own]]
    expected -= np.bincount(keys, weight[own], minlength=expected.size).reshape(expected.shape)
    expected += np.bincount(crowd.solver, weight, minlength=solvers)[:, None] * share[classes]
    trials = np.bincount(crowd.solver[told], minlength=solvers)
    return Leanings(_given(crowd, told, classes), expected, trials, classes.astype(np.int32))


def _given(crowd: Crowd, kept: Mask, classes: Integers) -> Reals:
    """Answers of each solver by class, of some of the votes: shape (solvers, classes)."""
    place = np.full(len(crowd.classes), -1)
    place[classes] = np.arange(len(classes))
    shown = kept & (place[crowd.answer] >= 0)
    keys = crowd.solver[shown].astype(np.int64) * len(classes) + place[crowd.answer[shown]]
    counts = np.bincount(keys, minlength=len(crowd.solvers) * len(classes))
    return counts.reshape(len(crowd.solvers), len(classes)).astype(float)


def _by_solver(crowd: Crowd, weight: Reals) -> Any:
    """Sparse, solvers x items: the weight of each vote."""
    from scipy import sparse

    shape = (len(crowd.solvers), len(crowd.item_ids))
    return sparse.coo_matrix((weight, (crowd.solver, crowd.item)), shape=shape).tocsr()
