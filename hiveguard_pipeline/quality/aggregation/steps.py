"""What the M-step of each method makes of expected votes: how solvers answer, given the true class.

counts: expected votes of each cell by true class, shape (cells, classes). classes: the class prior, 0 for
a class that is not in play, shape (classes,).
"""

from collections.abc import Callable

import numpy as np

from hiveguard_pipeline.quality.aggregation.arrays import FLOOR, Reals
from hiveguard_pipeline.quality.aggregation.cells import Cells
from hiveguard_pipeline.quality.aggregation.priors import Prior
from hiveguard_pipeline.rules.arithmetic import Codes

MStep = Callable[[Cells, Reals, Reals, Prior], Reals]
"""(cells, counts, classes, prior) -> ln P(solver gives answer | true class), shape (cells, classes)."""


def dawid_skene_step(cells: Cells, counts: Reals, classes: Reals, prior: Prior) -> Reals:
    """The share of each answer among a solver's votes on items of a true class.

    Dawid and Skene 1979, equation 2.3, with pseudo-votes.
    """
    whole = cells.by_solver(counts) + prior.correct + (np.count_nonzero(classes) - 1) * prior.wrong
    error = np.maximum(counts, FLOOR)
    if prior.correct or prior.wrong:
        error += prior.wrong
        error[np.arange(len(cells)), cells.answer] += prior.correct - prior.wrong
    np.log(error, out=error)
    with np.errstate(divide="ignore"):  # a solver without votes has no cell
        error -= np.log(whole)[cells.solver]
    return error


def one_coin_step(cells: Cells, counts: Reals, classes: Reals, prior: Prior) -> Reals:
    """The share of a solver's votes that are right; errors fall on the other classes alike."""
    return coin_log_errors(skills(cells, counts, classes, prior)[cells.solver], cells.answer, classes)


def skills(cells: Cells, counts: Reals, classes: Reals, prior: Prior) -> Reals:
    """Expected share of right votes of each solver, with pseudo-votes: shape (solvers,).

    A solver with no votes, real or pseudo, has the share of the whole crowd.
    """
    whole = cells.cast + prior.correct + (np.count_nonzero(classes) - 1) * prior.wrong
    share = (cells.right(counts) + prior.correct) / np.where(whole > 0, whole, 1.0)
    return np.where(whole > 0, share, average_skill(cells, counts, classes))


def average_skill(cells: Cells, counts: Reals, classes: Reals) -> float:
    """Expected share of right votes of the whole crowd; chance where there is no vote."""
    votes = int(cells.votes.sum())
    if not votes:
        return 1.0 / max(int(np.count_nonzero(classes)), 1)
    return float(cells.right(counts).sum() / votes)


def coin_log_errors(skill: Reals, answer: Codes, classes: Reals) -> Reals:
    """ln P(answer | true class) where a skill says all: shape (n, classes). skill, answer: shape (n,).

    The one-coin model of Zhang, Chen, Zhou and Jordan 2016 (JMLR 17, section 2): skill on the true class,
    (1 - skill) / (classes - 1) on each other class in play.
    """
    others = max(np.count_nonzero(classes) - 1, 1)
    right = np.log(np.clip(skill, FLOOR, 1 - FLOOR))
    wrong = np.log(np.clip((1 - skill) / others, FLOOR, 1 - FLOOR))
    found = np.repeat(wrong[:, None], len(classes), axis=1)
    found[np.arange(len(answer)), answer] = right
    return found
