"""A method fitted to a crowd: labels, probabilities, and what it says of the solvers."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.aggregation.arrays import Reals, clamped, normalised
from hiveguard_pipeline.quality.aggregation.decision import decide
from hiveguard_pipeline.quality.aggregation.evidence import Evidence, gather
from hiveguard_pipeline.quality.aggregation.expectation import Fit, counted, fit
from hiveguard_pipeline.quality.aggregation.models import DawidSkene, Model, OneCoin
from hiveguard_pipeline.quality.aggregation.priors import NO_PRIOR, Prior
from hiveguard_pipeline.quality.aggregation.steps import dawid_skene_step, one_coin_step, skills
from hiveguard_pipeline.rules.arithmetic import Codes
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import Crowd

METHODS = ("majority", "one_coin", "dawid_skene")

_STEPS = {"one_coin": one_coin_step, "dawid_skene": dawid_skene_step}
_MODELS: dict[str, type[OneCoin] | type[DawidSkene]] = {"one_coin": OneCoin, "dawid_skene": DawidSkene}


MOST_CLASSES = 512
"""Different answers that a model of solvers is fitted to at most: each iteration costs votes x classes."""


@dataclass(slots=True)
class Aggregate:
    """What a method makes of a crowd; items, solvers and classes as the crowd has them.

    label: shape (items,), int32; NO_LABEL for an item with neither votes nor a gold label.
    probability: shape (items, classes), rows sum to 1; an item of no label has the class prior.
    solver_accuracy: expected share of each solver's votes that are right, with the prior's pseudo-votes,
    shape (solvers,). class_prior: shape (classes,). model: the parameters that made the probabilities,
    None for majority, which has none. converged: the last iteration moved less than the tolerance.
    """

    method: str
    label: Codes
    probability: Reals
    solver_accuracy: Reals
    class_prior: Reals
    model: Model | None
    iterations: int
    converged: bool


def aggregate(
    crowd: Crowd,
    method: str,
    *,
    iterations: int = 100,
    tolerance: float = 1e-6,
    use_gold: bool = True,
    prior: Prior = NO_PRIOR,
) -> Aggregate:
    """Fit one of METHODS to a crowd. Raises BadInputError for a method or number that cannot be, and for more
    than MOST_CLASSES classes where solvers are modelled.

    majority: the shares of the votes. one_coin: an accuracy a solver, errors alike. dawid_skene: a
    confusion matrix a solver. Both by EM: at most `iterations`, until the probability that moves between
    classes, mean over the items with votes, is less than `tolerance`. use_gold: items of known class are
    clamped to it throughout. Of classes that tie it is the first one. The result is the same to the bit
    in whatever order an item's votes lie.
    """
    if method not in METHODS:
        raise BadInputError(f"there is no method {method!r}; there are {', '.join(METHODS)}")
    if iterations < 1 or not tolerance >= 0:
        raise BadInputError("a fit takes 1 iteration or more, and a tolerance of 0 or more")
    if method in _STEPS and len(crowd.classes) > MOST_CLASSES:
        raise BadInputError(
            f"{len(crowd.classes):,} different answers are more than the {MOST_CLASSES} that a model of"
            " solvers is fitted to: it is for answers that people choose from a list (majority takes any)"
        )
    evidence = gather(crowd, use_gold=use_gold)
    if method in _STEPS and len(evidence):
        fitted = fit(evidence, _STEPS[method], prior, iterations, tolerance)
    else:
        fitted = counted(evidence)
    model: Model | None = None
    if method in _MODELS:
        model = _MODELS[method].estimated(
            evidence.cells, fitted.counts, fitted.class_prior, prior, crowd.solvers, crowd.classes
        )
    probability = _of_all_items(crowd, evidence, fitted, use_gold=use_gold)
    label = decide(probability)
    known = np.diff(crowd.offsets) > 0
    if use_gold:
        known |= crowd.gold != NO_LABEL
    label[~known] = NO_LABEL
    accuracy = skills(
        evidence.cells,
        evidence.counts(fitted.posterior),
        fitted.class_prior,
        NO_PRIOR if method == "majority" else prior,
    )
    return Aggregate(
        method,
        label,
        probability,
        accuracy,
        fitted.class_prior,
        model,
        fitted.iterations,
        fitted.converged,
    )


def _of_all_items(crowd: Crowd, evidence: Evidence, fitted: Fit, *, use_gold: bool) -> Reals:
    """The probabilities with a row for each item of the crowd."""
    items = len(crowd.item_ids)
    if len(evidence.rows) == items:
        return fitted.posterior
    whole = np.zeros((items, len(crowd.classes)))
    if crowd.classes:
        whole[:] = normalised(np.zeros((1, len(crowd.classes))), fitted.class_prior)
    whole[evidence.rows] = fitted.posterior
    return clamped(whole, crowd.gold) if use_gold else whole
