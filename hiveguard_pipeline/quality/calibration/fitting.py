"""Weights and curve of a calibrator, learnt from items of known class."""

import numpy as np

from hiveguard_pipeline.quality.aggregation.arrays import Reals
from hiveguard_pipeline.rules.arithmetic import Codes, Mask
from hiveguard_pipeline.rules.calibrated import weigh

PSEUDO_ITEMS = 10.0
"""Items as the line has them that each step of the curve is mixed with."""

LEAST, MOST = 0.005, 0.995
"""No number of known items that people label shows more certainty than this."""


def fit_weights(opinions: Reals, truth: Codes, counted: Reals, prior: Reals, precision: float) -> Reals:
    """The weights of largest posterior density under a normal prior: shape (opinions,), none below 0.

    opinions: shape (rows, classes, opinions). truth: class of each row. counted: as how many items each row
    counts. prior: mean of the weights; precision: 1 / variance of each. Without rows these are the prior's.
    """
    if not len(truth):
        return prior.copy()
    from scipy.optimize import minimize

    rows = np.arange(len(truth))

    def loss(weights: Reals) -> tuple[float, Reals]:
        probability = weigh(opinions, weights)
        off = weights - prior
        value = -counted @ np.log(np.maximum(probability[rows, truth], np.finfo(np.float64).tiny))
        expected = np.einsum("rc,rcf->rf", probability, opinions)
        gradient = counted @ (expected - opinions[rows, truth]) + precision * off
        return float(value + precision * (off @ off) / 2), gradient

    found = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(prior))
    return np.asarray(found.x)


def fit_curve(probability: Reals, right: Mask, counted: Reals) -> tuple[Reals, Reals]:
    """How often the likeliest class is right, as a rising curve: knots x and y, shape (knots,).

    probability: of each row's likeliest class, made without its own truth; right: whether it is; counted:
    as how many items the row counts; shape (rows,). Zadrozny and Elkan 2002, Transforming classifier scores
    into accurate multiclass probability estimates (KDD, pages 694 to 699): isotonic regression; here each
    step is drawn towards the line by PSEUDO_ITEMS, since the known items are few. Where nothing is known it
    is the line.
    """
    if not len(probability):
        return np.array([LEAST, MOST]), np.array([LEAST, MOST])
    from scipy.optimize import isotonic_regression

    order = np.argsort(probability, kind="stable")
    x, y, weight = probability[order], right[order].astype(np.float64), counted[order]
    blocks = isotonic_regression(y, weights=weight).blocks
    begins = blocks[:-1]
    items = np.add.reduceat(weight, begins)
    line = np.add.reduceat(weight * x, begins) / items
    value = (np.add.reduceat(weight * y, begins) + PSEUDO_ITEMS * line) / (items + PSEUDO_ITEMS)
    value = np.maximum.accumulate(np.clip(value, LEAST, MOST))
    return np.stack([x[begins], x[blocks[1:] - 1]], axis=1).ravel(), np.repeat(value, 2)
