"""What is believed of the opinions before any item of known class: more where the crowd agrees."""

import numpy as np

from hiveguard_pipeline.quality.aggregation.arrays import Reals

WEIGHTS = np.array([0.2, 1.0])
"""Of a crowd that plainly agrees. Below 1 for the posterior: people err together, and it takes their votes
for independent."""

PRECISION = 2.0

PLAIN_ODDS = 0.5
"""Log-odds of the mean solver's skill from which a crowd plainly agrees: 62% right of two classes."""

_NORMAL_95 = 1.96


def prior_weights(counts: Reals) -> Reals:
    """The prior's weights for a crowd: 0 where its answers agree no more than chance would have them.

    counts: votes of each item by class, shape (items, classes). The mean skill s of solvers who err alike
    on all other classes follows from how often two of them agree: a = s² + (1 - s)² / (classes - 1). Taken
    is the lower end of a's 95% interval over items, so that chance alone seldom passes for agreement.
    """
    classes = counts.shape[1]
    votes = counts.sum(axis=1)
    several = votes >= 2
    if classes < 2 or not several.any():
        return np.zeros_like(WEIGHTS)
    counts, votes = counts[several], votes[several]
    agreement = (counts * (counts - 1)).sum(axis=1) / (votes * (votes - 1))
    error = agreement.std() / np.sqrt(len(agreement))
    least = float(agreement.mean() - _NORMAL_95 * error)
    excess = min(max((least * classes - 1) / (classes - 1), 0.0), 1.0)
    skill = 1 / classes + (1 - 1 / classes) * np.sqrt(excess)
    if skill >= 1:
        return WEIGHTS.copy()
    odds = np.log(skill * (classes - 1) / (1 - skill))
    return np.asarray(WEIGHTS * min(odds / PLAIN_ODDS, 1.0))
