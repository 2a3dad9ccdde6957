"""The pairs of solver and answer that occur, and sums over them by solver."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.quality.aggregation.arrays import FLOOR, Reals
from hiveguard_pipeline.rules.arithmetic import Codes, Integers


@dataclass(slots=True)
class Cells:
    """By solver, then by answer. solver, answer: codes; votes: how many; each of shape (cells,).

    counts, below, are the expected votes of each cell by true class: shape (cells, classes).
    """

    solver: Codes
    answer: Codes
    votes: Integers
    solvers: int
    classes: int

    def __len__(self) -> int:
        return len(self.solver)

    @property
    def cast(self) -> Integers:
        """Votes of each solver: shape (solvers,)."""
        return np.bincount(self.solver, self.votes, minlength=self.solvers)

    @property
    def answers(self) -> Integers:
        """Votes of each class: shape (classes,), int64."""
        return np.bincount(self.answer, self.votes, minlength=self.classes).astype(np.int64)

    def right(self, counts: Reals) -> Reals:
        """Expected right votes of each solver: shape (solvers,)."""
        own = counts[np.arange(len(self)), self.answer]
        return np.bincount(self.solver, own, minlength=self.solvers)

    def by_solver(self, counts: Reals) -> Reals:
        """Expected votes of each solver by true class, each cell at least FLOOR: (solvers, classes)."""
        found = np.zeros((self.solvers, self.classes))
        starts = np.flatnonzero(np.diff(self.solver, prepend=-1))
        if len(starts):
            found[self.solver[starts]] = np.add.reduceat(np.maximum(counts, FLOOR), starts)
        return found

    def by_answer(self, counts: Reals) -> Reals:
        """Expected votes of the whole crowd by answer and true class, at least FLOOR: (answers, classes)."""
        found = np.full((self.classes, self.classes), FLOOR)
        order = np.argsort(self.answer, kind="stable")
        starts = np.flatnonzero(np.diff(self.answer[order], prepend=-1))
        if len(starts):
            found[self.answer[order][starts]] = np.maximum(np.add.reduceat(counts[order], starts), FLOOR)
        return found
