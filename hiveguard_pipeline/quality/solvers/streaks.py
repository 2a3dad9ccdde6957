"""Streaks: runs of one answer in the order a solver gave his votes, and how likely chance makes them.

Chance here is: on items where the others agree on one class, the solver's answers come in any order. So a
streak says nothing of how often he gives a class (that is bias), and a list of items sorted by class, or a
solver who is better than most, makes no streak improbable.
"""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.quality.solvers.others import Reals
from hiveguard_pipeline.rules.arithmetic import Codes, Integers
from hiveguard_pipeline.store.crowd import Crowd


@dataclass(slots=True)
class Streaks:
    """Of each solver, shape (solvers,).

    longest: votes of the longest run of one answer; 0 without votes. answer: its answer, -1 without votes.
    chance: the chance of such a run, at most; p: that of the solver's least likely run. NaN without votes.
    """

    longest: Integers
    answer: Codes
    chance: Reals
    p: Reals


def streaks(crowd: Crowd, consensus: Codes) -> Streaks:
    """The streaks of all solvers. consensus: of the others of each vote, -1 for none: shape (votes,).

    A run of answer k that begins at a given vote and goes on until its probability is at most t has a
    probability of at most t: the product over its votes of the share that k has among the solver's answers
    to items of the same consensus (drawing without putting back is less likely still). There are votes x
    different answers ways to begin: their number times the product bounds the chance of any such run.
    """
    solvers, classes = len(crowd.solvers), len(crowd.classes)
    longest = np.zeros(solvers, dtype=np.int64)
    named = np.full(solvers, -1, dtype=np.int32)
    chance, p = np.full(solvers, np.nan), np.full(solvers, np.nan)
    if not len(crowd.answer):
        return Streaks(longest, named, chance, p)
    order = np.lexsort((crowd.vote_id, crowd.solver))
    solver, answer = crowd.solver[order].astype(np.int64), crowd.answer[order]
    stratum = solver * (classes + 1) + consensus[order] + 1
    log_share = np.log(_counts(stratum * classes + answer) / _counts(stratum))
    begins = np.append(True, (solver[1:] != solver[:-1]) | (answer[1:] != answer[:-1]))
    starts = np.flatnonzero(begins)
    length = np.diff(starts, append=len(solver))
    ways = np.bincount(solver, minlength=solvers) * np.bincount(
        np.unique(solver * classes + answer) // classes, minlength=solvers
    )
    run_solver, run_answer = solver[starts], answer[starts]
    bound = np.minimum(np.exp(np.add.reduceat(log_share, starts) + np.log(ways[run_solver])), 1.0)
    p[run_solver] = 1.0
    np.minimum.at(p, run_solver, bound)
    # The last of each solver: the longest, of those the least likely, of those the first class.
    ranked = np.lexsort((-run_answer, -bound, length, run_solver))
    last = ranked[np.flatnonzero(np.diff(run_solver[ranked], append=solvers))]
    longest[run_solver[last]] = length[last]
    named[run_solver[last]] = run_answer[last]
    chance[run_solver[last]] = bound[last]
    return Streaks(longest, named, chance, p)


def _counts(keys: Integers) -> Integers:
    """How often each key occurs, for each of them."""
    _, place, count = np.unique(keys, return_inverse=True, return_counts=True)
    return np.asarray(count[place])
