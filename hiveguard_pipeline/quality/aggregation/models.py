"""The parameters of a fit, by name, so that votes to come can be read under them."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.aggregation.arrays import Reals
from hiveguard_pipeline.quality.aggregation.cells import Cells
from hiveguard_pipeline.quality.aggregation.priors import Prior
from hiveguard_pipeline.quality.aggregation.serial import pack, unpack
from hiveguard_pipeline.quality.aggregation.steps import (
    average_skill,
    coin_log_errors,
    dawid_skene_step,
    skills,
)
from hiveguard_pipeline.rules.arithmetic import Codes

MOST_CONFUSIONS = 1 << 28
"""Solvers x classes x classes that `confusion` makes at most: 2 GiB."""


@dataclass(slots=True)
class DawidSkene:
    """A confusion matrix for each solver, held as the cells (solver, answer) that occurred.

    class_prior: shape (classes,); 0 for a class that no vote and no gold label names. solver, answer: of
    each cell, by solver, then by answer, shape (cells,). log_error: ln P(solver gives answer | true class),
    shape (cells, classes). log_pooled: the same of the whole crowd, shape (answers, classes). total:
    expected votes of each solver by true class, shape (solvers, classes).
    """

    method: ClassVar[str] = "dawid_skene"
    solvers: list[str]
    classes: list[str]
    class_prior: Reals
    prior: Prior
    solver: Codes
    answer: Codes
    log_error: Reals
    log_pooled: Reals
    total: Reals
    _cell: Codes = field(init=False, repr=False, compare=False)
    """The cell of solver x classes + answer, -1 where there is none; and one -1 more."""

    def __post_init__(self) -> None:
        self._cell = np.full(len(self.solvers) * len(self.classes) + 1, -1, dtype=np.int32)
        places = self.solver.astype(np.int64) * len(self.classes) + self.answer
        self._cell[places] = np.arange(len(places), dtype=np.int32)

    @classmethod
    def estimated(
        cls,
        cells: Cells,
        counts: Reals,
        class_prior: Reals,
        prior: Prior,
        solvers: list[str],
        classes: list[str],
    ) -> "DawidSkene":
        """The model that an M-step on expected votes gives. counts: shape (cells, classes)."""
        pooled = cells.by_answer(counts)
        return cls(
            solvers,
            classes,
            class_prior,
            prior,
            cells.solver,
            cells.answer,
            dawid_skene_step(cells, counts, class_prior, prior),
            np.log(pooled) - np.log(pooled.sum(axis=0)),
            cells.by_solver(counts),
        )

    def log_errors(self, solver: Codes, answer: Codes) -> Reals:
        """ln P(answer | true class) of any solvers and answers: shape (n, classes).

        A solver that the fit has not seen (code -1) is taken for the crowd's average. An answer that a
        solver had never given has what the prior leaves it; without a prior it is the crowd's average too.
        """
        place = solver.astype(np.int64) * len(self.classes) + answer
        cell = self._cell[np.maximum(place, -1)]  # the last one is -1
        missing = np.flatnonzero(cell < 0)
        if not len(missing):
            return np.asarray(self.log_error[cell])
        found = self.log_pooled[answer]
        if self.prior.correct or self.prior.wrong:
            known = missing[solver[missing] >= 0]
            found[known] = np.log(self._unseen(solver[known], answer[known]))
        there = np.flatnonzero(cell >= 0)
        found[there] = self.log_error[cell[there]]
        return np.asarray(found)

    @property
    def confusion(self) -> Reals:
        """P(answer | true class) of each solver: shape (solvers, true classes, answers), made when asked for.

        Rows sum to 1 (but for rounding); a solver without votes has the prior's, or the crowd's average.
        Raises BadInputError where it would be past MOST_CONFUSIONS: read `log_error` there.
        """
        solvers, classes = len(self.solvers), len(self.classes)
        if solvers * classes * classes > MOST_CONFUSIONS:
            raise BadInputError(
                f"the confusion of {solvers:,} solvers over {classes:,} classes is too large to hold: read it"
                " by cells (log_error)"
            )
        every = np.arange(solvers * classes, dtype=np.int64)
        solver, answer = np.divmod(every, classes)
        found = np.zeros((len(every), classes))
        if self.prior.correct or self.prior.wrong:
            found = self._unseen(solver, answer)
        else:
            idle = np.bincount(self.solver, minlength=solvers)[solver] == 0
            found[idle] = np.exp(self.log_pooled)[answer[idle]]
        found[self.solver.astype(np.int64) * classes + self.answer] = np.exp(self.log_error)
        return found.reshape(solvers, classes, classes).transpose(0, 2, 1)

    def _unseen(self, solver: Codes, answer: Codes) -> Reals:
        """P(answer | true class) of answers that a solver never gave: pseudo-votes alone."""
        pseudo = np.full((len(answer), len(self.classes)), self.prior.wrong)
        pseudo[np.arange(len(answer)), answer] = self.prior.correct
        pseudo = np.maximum(pseudo, np.finfo(np.float64).tiny)
        others = np.count_nonzero(self.class_prior) - 1
        whole = self.total[solver] + self.prior.correct + others * self.prior.wrong
        return np.asarray(pseudo / whole)

    def to_bytes(self) -> bytes:
        """The model as bytes that `model_from_bytes` reads; no pickle."""
        return pack(
            {
                "class_prior": self.class_prior,
                "solver": self.solver,
                "answer": self.answer,
                "log_error": self.log_error,
                "log_pooled": self.log_pooled,
                "total": self.total,
                "prior": [self.prior.correct, self.prior.wrong, self.prior.classes],
            },
            method=self.method,
            solvers=self.solvers,
            classes=self.classes,
        )


@dataclass(slots=True)
class OneCoin:
    """One accuracy for each solver; errors fall on the other classes alike.

    skill: P(right answer), shape (solvers,). average: that of the whole crowd. class_prior: as DawidSkene's.
    """

    method: ClassVar[str] = "one_coin"
    solvers: list[str]
    classes: list[str]
    class_prior: Reals
    prior: Prior
    skill: Reals
    average: float

    @classmethod
    def estimated(
        cls,
        cells: Cells,
        counts: Reals,
        class_prior: Reals,
        prior: Prior,
        solvers: list[str],
        classes: list[str],
    ) -> "OneCoin":
        """The model that an M-step on expected votes gives. counts: shape (cells, classes)."""
        skill = skills(cells, counts, class_prior, prior)
        return cls(solvers, classes, class_prior, prior, skill, average_skill(cells, counts, class_prior))

    def log_errors(self, solver: Codes, answer: Codes) -> Reals:
        """ln P(answer | true class) of any solvers and answers: shape (n, classes).

        A solver that the fit has not seen (code -1) is taken for the crowd's average.
        """
        skill = np.where(solver >= 0, np.append(self.skill, self.average)[solver], self.average)
        return coin_log_errors(skill, answer, self.class_prior)

    def to_bytes(self) -> bytes:
        """The model as bytes that `model_from_bytes` reads; no pickle."""
        return pack(
            {
                "class_prior": self.class_prior,
                "skill": self.skill,
                "average": [self.average],
                "prior": [self.prior.correct, self.prior.wrong, self.prior.classes],
            },
            method=self.method,
            solvers=self.solvers,
            classes=self.classes,
        )


Model = DawidSkene | OneCoin


def model_from_bytes(data: bytes) -> Model:
    """What `to_bytes` of a model wrote. Raises BadInputError for other bytes."""
    arrays, said = unpack(data)
    return model_of(arrays, said)


def model_of(arrays: dict[str, np.ndarray], said: dict[str, object]) -> Model:
    """A model from the parts that its `to_bytes` packed."""
    try:
        prior = Prior(*arrays.pop("prior").tolist())
        names = {"solvers": said["solvers"], "classes": said["classes"], "prior": prior}
        if said["method"] == OneCoin.method:
            return OneCoin(**names, **arrays | {"average": float(arrays["average"][0])})  # type: ignore[arg-type]
        return DawidSkene(**names, **arrays)  # type: ignore[arg-type]
    except (KeyError, TypeError, IndexError) as error:
        raise BadInputError(f"these bytes are no fit of HiveGuard ({error}): fit again") from None
