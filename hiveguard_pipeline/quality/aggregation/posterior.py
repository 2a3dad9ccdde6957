"""Votes read under a model that was fitted before: one E-step, for as many items as are asked for."""

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.aggregation.arrays import Reals, clamped, normalised
from hiveguard_pipeline.quality.aggregation.evidence import gather
from hiveguard_pipeline.quality.aggregation.models import Model
from hiveguard_pipeline.quality.aggregation.names import name_codes
from hiveguard_pipeline.rules.arithmetic import Codes, Mask
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import Crowd


def posterior(model: Model, crowd: Crowd, *, use_gold: bool = True) -> Reals:
    """P(class | the votes of an item) under a model: shape (items, classes of the model).

    The crowd may hold some items only, and solvers that the model does not know; its names count, not its
    codes. An item without votes has the class prior. Raises BadInputError where a vote or gold label names
    a class that the model does not know: fit again.
    """
    evidence = gather(crowd, use_gold=use_gold)
    classes = class_codes(model, crowd, evidence.cells.answers > 0)
    solvers = name_codes(crowd.solvers, {name: code for code, name in enumerate(model.solvers)})
    likelihood = np.zeros((len(crowd.item_ids), len(model.classes)))
    errors = model.log_errors(solvers[evidence.cells.solver], classes[evidence.cells.answer])
    likelihood[evidence.rows] = evidence.log_likelihood(errors)
    found = normalised(likelihood, model.class_prior)
    return clamped(found, gold_codes(model, crowd)) if use_gold else found


def class_codes(model: Model, crowd: Crowd, used: Mask) -> Codes:
    """The model's code of each class of a crowd: shape (classes,). used: classes that votes name."""
    codes = name_codes(crowd.classes, {name: code for code, name in enumerate(model.classes)})
    known = (codes >= 0) & np.append(model.class_prior > 0, False)[codes]
    _refuse(crowd, used & ~known)
    return codes


def gold_codes(model: Model, crowd: Crowd) -> Codes:
    """The gold labels of a crowd in the model's codes: shape (items,), NO_LABEL where there is none."""
    codes = name_codes(crowd.classes, {name: code for code, name in enumerate(model.classes)})
    used = np.zeros(len(codes), dtype=bool)
    used[crowd.gold[crowd.gold != NO_LABEL]] = True
    _refuse(crowd, used & (codes < 0))
    return np.append(codes, np.int32(NO_LABEL))[crowd.gold]


def _refuse(crowd: Crowd, unknown: Mask) -> None:
    if unknown.any():
        name = crowd.classes[int(np.flatnonzero(unknown)[0])]
        raise BadInputError(f"the model has not seen the class {name!r}: fit again with its votes")
