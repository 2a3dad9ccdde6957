"""The two opinions on the items of a crowd (rules/calibrated.py says what they are)."""

import numpy as np

from hiveguard_pipeline.quality.aggregation import Model, posterior
from hiveguard_pipeline.quality.aggregation.arrays import FLOOR, Reals
from hiveguard_pipeline.rules import calibrated
from hiveguard_pipeline.rules.calibrated import after_each_vote
from hiveguard_pipeline.store.crowd import Crowd


def opinions(crowd: Crowd, model: Model) -> Reals:
    """Shape (items, classes, OPINIONS). A gold item is read as if it were none: it has what its votes say."""
    log_posterior = np.log(np.maximum(posterior(model, crowd, use_gold=False), calibrated.LEAST))
    return calibrated.opinions(log_posterior, np.zeros(len(crowd.classes)), vote_counts(crowd))


def stepwise_opinions(crowd: Crowd, model: Model) -> Reals:
    """The opinions after each vote, from its item's votes up to it: shape (votes, classes, OPINIONS).

    The model is one that was fitted to these items: its codes are the crowd's.
    """
    evidence = model.log_errors(crowd.solver, crowd.answer)
    likelihood, counts = after_each_vote(crowd.offsets, crowd.answer, evidence)
    return calibrated.opinions(likelihood, log_prior(model), counts)


def log_prior(model: Model) -> Reals:
    """ln P(class) of a model: shape (classes,), finite."""
    return np.asarray(np.log(np.maximum(model.class_prior, FLOOR)))


def vote_counts(crowd: Crowd) -> Reals:
    """Votes of each item by class: shape (items, classes)."""
    items, classes = len(crowd.item_ids), len(crowd.classes)
    cells = crowd.item.astype(np.int64) * classes + crowd.answer
    return np.bincount(cells, minlength=items * classes).reshape(items, classes).astype(np.float64)
