"""Calibration of a crowd on its gold items, cross-fitted: no gold item is judged by its own truth.

Gold items often have more votes than others. So they are looked at as they stood when they had as many as
the others have now (for the probabilities as they stand), or after each of their votes (for decisions vote
by vote).
"""

from dataclasses import dataclass, replace

import numpy as np

from hiveguard_pipeline.quality.aggregation import Aggregate, DawidSkene, Prior, aggregate
from hiveguard_pipeline.quality.aggregation.arrays import Reals
from hiveguard_pipeline.quality.calibration.fitting import fit_curve, fit_weights
from hiveguard_pipeline.quality.calibration.opinions import opinions, stepwise_opinions, vote_counts
from hiveguard_pipeline.quality.calibration.prior import PRECISION, prior_weights
from hiveguard_pipeline.quality.calibration.reliability import Reliability, reliability
from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.rules.calibrated import Calibrator, first_of_equals, weigh
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import Crowd

FOLDS = 5
ITERATIONS = 50
TOLERANCE = 1e-4
SOLVER_PRIOR = Prior(correct=1.0, wrong=0.25, classes=1.0)
"""Solvers of few votes are taken for somewhat right, so that one lucky answer makes nobody an oracle."""

ENOUGH_GOLD = 30
"""Gold items with votes below which the prior has most of the say."""


@dataclass(slots=True)
class Calibration:
    """probability: calibrated P(class) of each item by its votes alone (a gold item's truth is not used on
    itself), shape (items, classes); an item without votes has equal chances. standing: the calibrator that
    made them; stepwise: the one for decisions after each vote. gold: gold items with votes. reliability: of
    the likeliest class on gold items, cross-fitted.
    """

    probability: Reals
    standing: Calibrator
    stepwise: Calibrator
    model: DawidSkene
    fitted: Aggregate
    gold: int
    reliability: Reliability

    @property
    def thin(self) -> bool:
        """Gold is too thin to calibrate on: the probabilities rest on the prior for the most part."""
        return self.gold < ENOUGH_GOLD

    @property
    def thin_text(self) -> str:
        """What to tell people where gold is too thin."""
        return (
            f"gold items with votes: {self.gold}, fewer than {ENOUGH_GOLD}; the probabilities rest on"
            " the prior for the most part (`hiveguard items import` takes gold_label)"
        )


def calibrate(crowd: Crowd) -> Calibration:
    """Fit solvers and calibrators to a crowd with gold items; the same from the same votes."""
    many = np.diff(crowd.offsets)
    gold = np.flatnonzero((crowd.gold != NO_LABEL) & (many > 0))
    prior = prior_weights(vote_counts(crowd))
    fitted = _fit(crowd)
    model = _model(fitted)
    moments = _moments(crowd, gold)
    others = many[(crowd.gold == NO_LABEL) & (many > 0)]
    standing, judged = _fitted(moments, _as_items_stand(moments, others), prior)
    stepwise, _ = _fitted(moments, 1.0 / moments.of, prior)
    probability = standing.probability(opinions(crowd, model))
    probability[many == 0] = 1 / max(len(crowd.classes), 1)
    return Calibration(probability, standing, stepwise, model, fitted, len(gold), judged)


def without_gold(crowd: Crowd) -> Crowd:
    """The same votes as if no item's true label were known."""
    return replace(crowd, gold=np.full_like(crowd.gold, NO_LABEL))


def as_aggregate(crowd: Crowd, found: Calibration) -> Aggregate:
    """Calibrated probabilities as an aggregator gives them: the likeliest class of each item with votes."""
    label = first_of_equals(found.probability)
    label[np.diff(crowd.offsets) == 0] = NO_LABEL
    fitted = found.fitted
    return Aggregate(
        "calibrated",
        label,
        found.probability,
        fitted.solver_accuracy,
        fitted.class_prior,
        found.model,
        fitted.iterations,
        fitted.converged,
    )


def _fit(crowd: Crowd) -> Aggregate:
    return aggregate(crowd, "dawid_skene", iterations=ITERATIONS, tolerance=TOLERANCE, prior=SOLVER_PRIOR)


def _model(fitted: Aggregate) -> DawidSkene:
    assert isinstance(fitted.model, DawidSkene)
    return fitted.model


@dataclass(slots=True)
class _Moments:
    """Gold items after each of their votes; rows are such moments.

    opinions: under solvers that were measured without the item's truth, shape (rows, classes, OPINIONS).
    truth: class. votes: so far; of: in all. fold: which truths were hidden together. All of shape (rows,).
    """

    opinions: Reals
    truth: Codes
    votes: Integers
    of: Integers
    fold: Integers


def _moments(crowd: Crowd, gold: Integers) -> _Moments:
    fold = np.full(len(crowd.gold), -1)
    fold[gold] = np.arange(len(gold)) % FOLDS  # in item_id order, which is none of theirs
    item = crowd.item
    parts, rows = [], []
    for number in range(min(FOLDS, len(gold))):
        inside = fold == number
        without = replace(crowd, gold=np.where(inside, NO_LABEL, crowd.gold).astype(np.int32))
        model = _model(_fit(without))
        voted = inside[item]
        parts.append(stepwise_opinions(without.only(voted), model))
        rows.append(np.flatnonzero(voted))
    row = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
    found = item[row]
    return _Moments(
        np.concatenate(parts) if parts else np.empty((0, len(crowd.classes), 2)),
        crowd.gold[found],
        row - crowd.offsets[found] + 1,
        np.diff(crowd.offsets)[found],
        fold[found],
    )


def _as_items_stand(moments: _Moments, others: Integers) -> Reals:
    """1 for the one moment at which each gold item is looked at, 0 for the others: shape (rows,).

    The gold item with the most votes is looked at with as many as the other item that has the most, and so
    on down the ranks; an item that has fewer than that is looked at with all of its own.
    """
    last = np.flatnonzero(moments.votes == moments.of)
    if len(others) == 0 or len(last) == 0:
        return np.asarray((moments.votes == moments.of).astype(np.float64))
    rank = np.empty(len(last))
    rank[np.argsort(moments.of[last], kind="stable")] = np.arange(len(last)) + 0.5
    alike = np.sort(others)[(rank * len(others) / len(last)).astype(np.int64)]
    counted = np.zeros(len(moments.votes))
    counted[last - np.maximum(moments.of[last] - alike, 0)] = 1.0
    return counted


def _fitted(moments: _Moments, counted: Reals, prior: Reals) -> tuple[Calibrator, Reliability]:
    """A calibrator, and how it does on gold items that it has not seen."""
    chosen = np.empty(moments.opinions.shape[:2])
    judged = np.empty(len(counted))
    right = np.empty(len(counted), dtype=bool)
    for inside in _folds(moments):
        chosen[inside] = weigh(moments.opinions[inside], _weights(moments, counted, ~inside, prior))
    for inside in _folds(moments):
        curve = _curve(chosen[~inside], moments.truth[~inside], counted[~inside])
        top = first_of_equals(chosen[inside])
        judged[inside] = Calibrator((), *curve).moved(chosen[inside][np.arange(len(top)), top])
        right[inside] = top == moments.truth[inside]
    weights = _weights(moments, counted, np.ones(len(counted), dtype=bool), prior)
    found = Calibrator(tuple(weights.tolist()), *_curve(chosen, moments.truth, counted))
    return found, reliability(judged, right, counted)


def _folds(moments: _Moments) -> list[Mask]:
    return [np.asarray(moments.fold == number) for number in np.unique(moments.fold)]


def _weights(moments: _Moments, counted: Reals, rows: Mask, prior: Reals) -> Reals:
    return fit_weights(moments.opinions[rows], moments.truth[rows], counted[rows], prior, PRECISION)


def _curve(chosen: Reals, truth: Codes, counted: Reals) -> tuple[tuple[float, ...], tuple[float, ...]]:
    used = counted > 0
    top = first_of_equals(chosen)
    held = chosen[np.arange(len(top)), top]
    knots, values = fit_curve(held[used], (top == truth)[used], counted[used])
    return tuple(knots.tolist()), tuple(values.tolist())
