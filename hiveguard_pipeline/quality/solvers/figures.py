"""Figures of each solver that are shares: with the interval of one, and Cohen's kappa with the consensus."""

import numpy as np

from hiveguard_pipeline.quality.solvers.others import Others, Reals
from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.store.crowd import Crowd

_QUANTILE = 1.959963984540054
"""Normal quantile of 0.975: intervals at 95%."""


def shares(solver: Codes, part: Mask, whole: Mask, solvers: int) -> tuple[Integers, Reals]:
    """Votes of each solver in `whole`, and the share of them in `part`, NaN of none: shape (solvers,)."""
    count = np.bincount(solver[whole], minlength=solvers)
    of = np.bincount(solver[whole & part], minlength=solvers)
    return count, np.divide(of, count, out=np.full(solvers, np.nan), where=count > 0)


def wilson(successes: Integers, trials: Integers) -> tuple[Reals, Reals]:
    """Wilson's 95% interval of a share (Wilson 1927, JASA 22; without correction); NaN without trials."""
    n = np.where(trials > 0, trials, np.nan)
    squared = _QUANTILE**2
    middle = (successes + squared / 2) / (n + squared)
    half = _QUANTILE / (n + squared) * np.sqrt(successes * (n - successes) / n + squared / 4)
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def cohens_kappa(crowd: Crowd, others: Others) -> Reals:
    """Cohen's kappa (1960) of each solver with the consensus of the others: shape (solvers,).

    Over the votes whose others have a consensus; chance is that of the solver's own and the consensus's
    shares of classes on those. NaN without such votes, and where chance alone makes agreement certain.
    """
    solvers, classes = len(crowd.solvers), max(len(crowd.classes), 1)
    told = others.compared
    solver = crowd.solver[told].astype(np.int64)
    answer, consensus = crowd.answer[told], others.consensus[told]
    keys, place = np.unique(
        np.concatenate((solver * classes + answer, solver * classes + consensus)), return_inverse=True
    )
    given = np.bincount(place[: len(solver)], minlength=len(keys))
    true = np.bincount(place[len(solver) :], minlength=len(keys))
    count, observed = shares(crowd.solver, crowd.answer == others.consensus, told, solvers)
    squared = count.astype(float) ** 2
    chance = np.bincount(keys // classes, given * true.astype(float), minlength=solvers)
    chance = np.divide(chance, squared, out=np.ones(solvers), where=squared > 0)
    kappa = np.full(solvers, np.nan)
    return np.asarray(np.divide(observed - chance, 1 - chance, out=kappa, where=chance < 1 - 1e-12))
