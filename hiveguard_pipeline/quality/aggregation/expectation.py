"""Expectation and maximisation: the loop that Dawid-Skene and one-coin share.

Dawid and Skene 1979, Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm, Applied
Statistics 28(1), pages 20 to 28: equations 2.3 and 2.4 are the M-step, 2.5 is the E-step. As there, it
begins with the votes' shares.
"""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.quality.aggregation.arrays import FLOOR, Reals, clamped, normalised, of_each_class
from hiveguard_pipeline.quality.aggregation.evidence import Evidence
from hiveguard_pipeline.quality.aggregation.priors import NO_PRIOR, Prior
from hiveguard_pipeline.quality.aggregation.steps import MStep


@dataclass(slots=True)
class Fit:
    """posterior: shape (items, classes), made under class_prior and the M-step of counts (cells, classes)."""

    posterior: Reals
    counts: Reals
    class_prior: Reals
    iterations: int
    converged: bool


def fit(evidence: Evidence, step: MStep, prior: Prior, iterations: int, tolerance: float) -> Fit:
    """EM from the votes' shares. Converged: the items' probabilities moved by less than tolerance.

    How far they moved is the mean over items of half the sum of absolute differences: the probability
    that went from one class to another.
    """
    posterior = evidence.shares()
    done = 0
    while True:
        counts = evidence.counts(posterior)
        classes = class_prior(evidence, posterior, prior)
        likelihood = evidence.log_likelihood(step(evidence.cells, counts, classes, prior))
        after = clamped(normalised(likelihood, classes), evidence.gold)
        done += 1
        np.subtract(after, posterior, out=posterior)
        moved = np.abs(posterior, out=posterior).sum() / (2 * len(posterior))
        posterior = after
        if moved < tolerance or done >= iterations:
            return Fit(posterior, counts, classes, done, bool(moved < tolerance))


def counted(evidence: Evidence) -> Fit:
    """The shares of the votes, which are all there is to fit for majority."""
    posterior = evidence.shares()
    classes = class_prior(evidence, posterior, NO_PRIOR)
    return Fit(posterior, evidence.counts(posterior), classes, iterations=0, converged=True)


def class_prior(evidence: Evidence, posterior: Reals, prior: Prior) -> Reals:
    """Equation 2.4: the mean of the items' probabilities, with pseudo-items; 0 for classes not in play.

    Shape (classes,). Without any vote all classes are alike.
    """
    if not len(posterior):
        return np.full(evidence.cells.classes, 1.0 / max(evidence.cells.classes, 1))
    in_play = evidence.in_play
    share = (of_each_class(posterior) + prior.classes) / (len(posterior) + prior.classes * in_play.sum())
    return np.where(in_play, np.maximum(share, FLOOR), 0.0)
