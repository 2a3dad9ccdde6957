"""How the votes to come on an item answer, judged by those it has and by how the dataset's items differ.

A hierarchical model, fitted to each dataset anew (empirical Bayes; Efron and Morris 1973, and chapter 5 of
Gelman et al., "Bayesian Data Analysis", for the Beta-binomial). Each item has one answer that its crowd
means, unknown, any class alike. A vote gives it with the item's own rate p ~ Beta(spread * mean,
spread * (1 - mean)); else it falls on the other classes by the item's own shares ~ Dirichlet, all classes
alike, of total `focus` (small: an item's wrong answers are one and the same). The label is not taken for
the meant answer: it follows from votes as lucky as any.

The three numbers are uncertain, and are drawn: around the best fit with the curvature of its posterior
(what few items and votes leave open), widened by a jackknife over groups of solvers (what few solvers
leave open: their votes hang together; Efron and Tibshirani, "An Introduction to the Bootstrap", chapter
11). The crowd to come may be another one: two crowds of that many solvers differ by twice that variance,
and so much of it counts as the solvers have changed between the two halves of the votes there are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers

Floats = np.ndarray[Any, Any]
"""float64"""

SLOTS = 8
"""Different answers of an item that are told apart; what is beyond goes into the last one."""

SOLVER_GROUPS = 20
"""Groups of the jackknife; at most as many as there are solvers."""

_CENTRE = np.array([1.0, np.log(6.0), np.log(5.0)])
_WIDTH = np.array([1.5, 1.2, 1.5])
"""Weak priors (normal) of the three numbers as they are fitted: logit of the mean, logs of the others."""


@dataclass(slots=True)
class Answers:
    """Votes of items by slot, an item's own numbering of its answers.

    counts: shape (items, slots), int64. classes: how many answers there can be, at least 2; where there
    are more than slots, the last slot holds all answers that have no slot of their own.
    """

    counts: Integers
    classes: int

    @property
    def lumped(self) -> bool:
        """Whether the last slot is more than one answer."""
        return bool(self.classes > self.counts.shape[1])


def slots_of(item: Codes, answer: Codes, label: Codes, classes: int) -> tuple[Codes, Answers]:
    """Number each item's answers: its label 0, then by how many votes they have, ties by code.

    item, answer: shape (votes,); label: shape (items,), -1 for none. Returns each vote's slot, shape
    (votes,), and the counts.
    """
    items, classes = len(label), max(classes, 2)
    width = max(classes, int(answer.max(initial=0)) + 1, int(label.max(initial=0)) + 1)
    labelled = np.flatnonzero(label >= 0)
    keys = np.concatenate((item.astype(np.int64) * width + answer, labelled * width + label[labelled]))
    pair, where, many = np.unique(keys, return_inverse=True, return_counts=True)
    of, code = np.divmod(pair, width)
    first = code == label[of]
    order = np.lexsort((code, -many, ~first, of))
    opens = np.searchsorted(of[order], np.arange(items))
    slot = np.empty(len(pair), dtype=np.int32)
    slot[order] = np.arange(len(pair)) - opens[of[order]]
    slots = min(classes, SLOTS)
    own = np.minimum(slot, slots - 1)[where[: len(item)]]
    counts = np.bincount(item.astype(np.int64) * slots + own, minlength=items * slots)
    return own.astype(np.int32), Answers(counts.reshape(items, slots), classes)


@dataclass(slots=True)
class Model:
    """What was fitted: best is (logit of the mean over the floor, log spread, log focus).

    covariance: shape (3, 3), of the draws. drift: standard deviation, in logits, of a vote's chance to
    give the meant answer between the crowd until now and the one to come.
    """

    best: Floats
    covariance: Floats
    drift: float
    classes: int

    def draw(self, draws: int, random: np.random.Generator) -> Floats:
        """Parameters (mean, spread, focus) of shape (draws, 3)."""
        drawn = random.multivariate_normal(self.best, self.covariance, draws, method="eigh")
        return _natural(np.clip(drawn, _CENTRE - 5 * _WIDTH, _CENTRE + 5 * _WIDTH), self.classes)

    @property
    def mean(self) -> float:
        """The mean chance that a vote gives the answer that the crowd means."""
        return float(_natural(self.best[np.newaxis], self.classes)[0, 0])


def fit(answers: Answers, without_group: Iterable[Answers], turnover: float) -> Model:
    """Fit the model to the items that have votes.

    without_group: the same items without the votes of one group of solvers each. turnover: the share of
    votes, 0 to 1, that come from other solvers than before.
    """
    from scipy.optimize import minimize

    whole = _patterns(answers)

    def lack(at: Floats) -> float:
        return -_log_posterior(at, whole)

    best = np.asarray(minimize(lack, _CENTRE, method="L-BFGS-B", bounds=_bounds()).x, dtype=float)
    curvature = _hessian(best, whole)
    values, vectors = np.linalg.eigh(curvature)
    inverse = vectors @ np.diag(1 / np.maximum(values, 1 / _WIDTH.max() ** 2)) @ vectors.T
    steps = np.array([inverse @ _gradient(best, _patterns(part)) for part in without_group]).reshape(-1, 3)
    groups = len(steps)
    clustered = np.zeros((3, 3))
    if groups > 1:
        apart = steps - steps.mean(axis=0)
        clustered = (groups - 1) / groups * apart.T @ apart
    # The floor of the mean scales its logit; the drift is wanted on the plain one.
    mean, low = _natural(best[np.newaxis], answers.classes)[0, 0], 1 / answers.classes
    slope = (mean - low) * (1 - mean) / (1 - low) / (mean * (1 - mean))
    drift = float(np.sqrt(2 * turnover * clustered[0, 0]) * slope)
    return Model(best, inverse + clustered, drift, answers.classes)


def draw_shares(answers: Answers, parameters: Floats, drift: float, random: np.random.Generator) -> Floats:
    """The chance of each slot to be an item's next answer, drawn given its votes.

    parameters: mean, spread, focus; drift in logits: one draw of them. Shape (items, slots).
    """
    counts = answers.counts
    mean, spread, focus = parameters.tolist()
    weight = _log_weights(answers, mean, spread, focus)
    meant = (weight + random.gumbel(size=weight.shape)).argmax(axis=1)
    is_meant = np.arange(counts.shape[1]) == meant[:, np.newaxis]

    held, total = counts[np.arange(len(counts)), meant], counts.sum(axis=1)
    rate = np.clip(random.beta(spread * mean + held, spread * (1 - mean) + total - held), 1e-9, 1 - 1e-9)
    rate = 1 / (1 + np.exp(-(np.log(rate / (1 - rate)) + drift)))

    size = np.ones(counts.shape[1])
    size[-1] = answers.classes - counts.shape[1] + 1
    other = np.where(is_meant, 0.0, random.gamma(focus / (answers.classes - 1) * size + counts) + 1e-300)
    other *= ((1 - rate) / other.sum(axis=1))[:, np.newaxis]
    return np.where(is_meant, rate[:, np.newaxis], other)


def _natural(at: Floats, classes: int) -> Floats:
    """Mean (above one in `classes`, so that the meant answer has a name), spread, focus."""
    low = 1 / classes
    return np.stack((low + (1 - low) / (1 + np.exp(-at[:, 0])), np.exp(at[:, 1]), np.exp(at[:, 2])), axis=1)


def _bounds() -> list[tuple[float, float]]:
    return list(zip(_CENTRE - 5 * _WIDTH, _CENTRE + 5 * _WIDTH, strict=True))


@dataclass(slots=True)
class _Patterns(Answers):
    """Items with the same numbers of votes are one row; which answers they are makes no difference here.

    times: how many items each row stands for, shape (rows,).
    """

    times: Integers


def _patterns(answers: Answers) -> _Patterns:
    falling = -np.sort(-answers.counts, axis=1)
    base = int(falling.max(initial=0)) + 1
    slots = falling.shape[1]
    if base**slots < 1 << 62:  # one number an item sorts many times as fast as a row does
        _, first, times = np.unique(falling @ base ** np.arange(slots), return_index=True, return_counts=True)
        rows = falling[first]
    else:
        rows, times = np.unique(falling, axis=0, return_counts=True)
    voted = rows[:, 0] > 0
    return _Patterns(rows[voted], answers.classes, times[voted])


def _log_posterior(at: Floats, answers: _Patterns) -> float:
    (mean, spread, focus) = _natural(at[np.newaxis], answers.classes)[0]
    weight = _log_weights(answers, mean, spread, focus)
    top = weight.max(axis=1)
    likelihood = top + np.log(np.exp(weight - top[:, np.newaxis]).sum(axis=1))
    return float(answers.times @ likelihood - 0.5 * (((at - _CENTRE) / _WIDTH) ** 2).sum())


def _log_weights(answers: Answers, mean: float, spread: float, focus: float) -> Floats:
    """Log of the joint chance of an item's votes and of each slot being what is meant: (items, slots).

    A slot without votes stands for one answer that no one gave; the first of them but the label's stands
    for those too that have no slot of their own.
    """
    from scipy.special import betaln, gammaln

    counts, classes = answers.counts, answers.classes
    rest = counts.sum(axis=1, keepdims=True) - counts
    each = focus / (classes - 1)
    others = gammaln(each + counts) - gammaln(each)
    weight = (
        betaln(spread * mean + counts, spread * (1 - mean) + rest)
        - betaln(spread * mean, spread * (1 - mean))
        + gammaln(focus)
        - gammaln(focus + rest)
        + others.sum(axis=1, keepdims=True)
        - others
        - np.log(classes)
    )
    empty = counts == 0
    if not answers.lumped:
        return np.asarray(weight)
    own = empty.copy()
    own[:, -1] = False
    unnamed = classes - (~empty).sum(axis=1, keepdims=True) - own.sum(axis=1, keepdims=True)
    carries = own.copy()
    carries[:, 0] = False
    carries &= np.cumsum(carries, axis=1) == 1
    weight += np.log1p(carries * np.maximum(unnamed, 0))
    weight[:, -1] = np.where(empty[:, -1], -np.inf, weight[:, -1])
    return np.asarray(weight)


_STEP = 1e-3


def _gradient(at: Floats, answers: _Patterns) -> Floats:
    """Of the log posterior, by central differences."""
    steps = _STEP * np.eye(3)
    return np.array(
        [
            (_log_posterior(at + step, answers) - _log_posterior(at - step, answers)) / (2 * _STEP)
            for step in steps
        ]
    )


def _hessian(at: Floats, answers: _Patterns) -> Floats:
    """Of minus the log posterior."""
    steps = _STEP * np.eye(3)
    rows = [(_gradient(at + step, answers) - _gradient(at - step, answers)) / (2 * _STEP) for step in steps]
    return -(np.array(rows) + np.array(rows).T) / 2
