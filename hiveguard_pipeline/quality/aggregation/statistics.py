"""Sufficient statistics of a running fit: expected votes of each cell by true class. They only add up."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hiveguard_pipeline.quality.aggregation.arrays import Reals, add_rows
from hiveguard_pipeline.quality.aggregation.cells import Cells
from hiveguard_pipeline.quality.aggregation.models import Model
from hiveguard_pipeline.quality.aggregation.names import name_codes
from hiveguard_pipeline.quality.aggregation.steps import skills
from hiveguard_pipeline.rules.arithmetic import Codes, Integers


@dataclass(slots=True)
class Statistics:
    """solver, answer, votes: of each cell, as they came, shape (cells,); counts: shape (cells, classes).

    solvers: names by code; new ones come at the end.
    """

    solver: Codes
    answer: Codes
    votes: Integers
    counts: Reals
    solvers: list[str]
    _codes: dict[str, int] = field(init=False, repr=False, compare=False)
    _cell: Codes = field(init=False, repr=False, compare=False)
    """The cell of solver x classes + answer, -1 where there is none."""

    def __post_init__(self) -> None:
        self._codes = {name: code for code, name in enumerate(self.solvers)}
        self._cell = np.full(len(self.solvers) * self.classes, -1, dtype=np.int32)
        self._cell[self.solver.astype(np.int64) * self.classes + self.answer] = np.arange(len(self.votes))

    @classmethod
    def of(cls, cells: Cells, counts: Reals, solvers: list[str]) -> "Statistics":
        """From the cells of a fit."""
        votes = cells.votes.astype(np.int64)
        return cls(cells.solver, cells.answer, votes, counts, list(solvers))

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.counts.shape[1])

    def solver_codes(self, names: list[str]) -> Codes:
        """The code of each solver, a new one for a new solver: shape (names,), int32."""
        known = self._codes
        codes = name_codes(names, known)
        for place in np.flatnonzero(codes < 0).tolist():
            codes[place] = known[names[place]] = len(known)
            self.solvers.append(names[place])
        new = len(known) * self.classes - len(self._cell)
        self._cell = np.append(self._cell, np.full(new, -1, dtype=np.int32)) if new else self._cell
        return codes

    def add(self, solver: Codes, answer: Codes, probability: Reals) -> None:
        """Votes, and the probabilities of their items: shapes (votes,), (votes,), (votes, classes)."""
        cell = self._cells(solver.astype(np.int64) * self.classes + answer)
        add_rows(self.counts, cell, probability)
        np.add.at(self.votes, cell, 1)

    def _cells(self, keys: Integers) -> Codes:
        """The cell of each vote; makes those that are not there."""
        missing = keys[self._cell[keys] < 0]
        if len(missing):
            new = np.unique(missing)
            self._cell[new] = len(self.votes) + np.arange(len(new))
            solver, answer = np.divmod(new, self.classes)
            self.solver = np.append(self.solver, solver.astype(np.int32))
            self.answer = np.append(self.answer, answer.astype(np.int32))
            self.votes = np.append(self.votes, np.zeros(len(new), dtype=np.int64))
            self.counts = np.append(self.counts, np.zeros((len(new), self.classes)), axis=0)
        return np.asarray(self._cell[keys])

    def model(self, fitted: Model) -> Model:
        """The parameters that an M-step gives, of the method and prior of a model."""
        cells, counts = self._sorted()
        prior, classes = fitted.prior, fitted.classes
        return fitted.estimated(cells, counts, fitted.class_prior, prior, list(self.solvers), classes)

    def accuracy(self, fitted: Model) -> Reals:
        """Expected share of right votes of each of `solvers`, with the prior of a model."""
        cells, counts = self._sorted()
        return skills(cells, counts, fitted.class_prior, fitted.prior)

    def _sorted(self) -> tuple[Cells, Reals]:
        order = np.lexsort((self.answer, self.solver))
        sizes = len(self.solvers), self.classes
        cells = Cells(self.solver[order], self.answer[order], self.votes[order], *sizes)
        return cells, self.counts[order]

    def arrays(self) -> dict[str, Any]:
        """What there is to write, but for the names."""
        names = ("solver", "answer", "votes", "counts")
        return {f"statistics_{name}": getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], solvers: list[str]) -> "Statistics":
        """What `arrays` gave."""
        names = ("solver", "answer", "votes", "counts")
        return cls(**{name: arrays[f"statistics_{name}"] for name in names}, solvers=solvers)
