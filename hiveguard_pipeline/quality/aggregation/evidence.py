"""Votes as a sparse matrix in an order that hangs on nothing but the votes: by item, then by solver.

A cell is a pair of solver and answer that occurs; a vote puts its item into one. A sum over the votes of
an item is a product with the matrix of items and cells, one over the votes of a cell a product with its
transpose. Nothing is items x solvers, nor solvers x classes x classes: there are at most as many cells as
votes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.aggregation.arrays import Reals, clamped
from hiveguard_pipeline.quality.aggregation.cells import Cells
from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import Crowd

MOST_PROBABILITIES = 1 << 28
"""Items x classes that a fit holds at most: 2 GiB of probabilities."""


@dataclass(slots=True)
class Evidence:
    """The votes of a crowd's items that have any.

    rows: which items of the crowd these are. by_item: sparse, items x cells, 1 where an item has a vote of
    that cell. gold: class of these items, NO_LABEL where it is unknown.
    """

    rows: Integers
    cells: Cells
    by_item: Any
    gold: Codes

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def in_play(self) -> Mask:
        """Classes that a vote, or a gold label of these items, names: shape (classes,)."""
        named = self.cells.answers > 0
        named[self.gold[self.gold != NO_LABEL]] = True
        return np.asarray(named)

    def shares(self) -> Reals:
        """Each item's share of votes by class: shape (items, classes), rows sum to 1; gold items clamped."""
        answers = np.zeros((len(self.cells), self.cells.classes))
        answers[np.arange(len(self.cells)), self.cells.answer] = 1.0
        counts = np.asarray(self.by_item @ answers)
        counts /= np.diff(self.by_item.indptr)[:, None]
        return clamped(counts, self.gold)

    def counts(self, probability: Reals) -> Reals:
        """Expected votes of each cell by true class: shape (cells, classes). probability: of these items."""
        return np.asarray(self.by_item.T @ probability)

    def log_likelihood(self, log_error: Reals) -> Reals:
        """ln P(votes | class) of these items: shape (items, classes).

        log_error: ln P(solver gives answer | class) of each cell, shape (cells, classes).
        """
        return np.asarray(self.by_item @ log_error)


def gather(crowd: Crowd, *, use_gold: bool = True) -> Evidence:
    """The votes of a crowd. Raises BadInputError if items x classes is past MOST_PROBABILITIES."""
    from scipy import sparse

    classes = len(crowd.classes)
    counts = np.diff(crowd.offsets)
    rows = np.flatnonzero(counts)
    if len(crowd.item_ids) * classes > MOST_PROBABILITIES:
        raise BadInputError(
            f"{len(crowd.item_ids):,} items with {classes:,} different answers are too many probabilities to"
            " hold: aggregate answers that people choose from a list (`hiveguard datasets create --classes`)"
        )
    solver, answer, cell = _cells(crowd, classes)
    starts = np.concatenate(([0], np.cumsum(counts[rows])))
    width = np.int32 if len(cell) < np.iinfo(np.int32).max else np.int64
    votes = np.bincount(cell, minlength=len(solver))
    shape = (len(rows), len(solver))
    by_item = sparse.csr_matrix((np.ones(len(cell)), cell, starts.astype(width)), shape=shape)
    by_item.sort_indices()
    gold = crowd.gold[rows] if use_gold else np.full(len(rows), NO_LABEL, dtype=np.int32)
    return Evidence(rows, Cells(solver, answer, votes, len(crowd.solvers), classes), by_item, gold)


def _cells(crowd: Crowd, classes: int) -> tuple[Codes, Codes, Codes]:
    """Solver and answer of each cell, and the cell of each vote."""
    possible = len(crowd.solvers) * classes
    narrow = possible <= np.iinfo(np.int32).max
    keys = crowd.solver * (np.int32(classes) if narrow else np.int64(classes)) + crowd.answer
    if possible <= 4 * len(keys) + (1 << 20):
        there = np.zeros(possible, dtype=bool)
        there[keys] = True
        found = np.flatnonzero(there)
        cell = (np.cumsum(there, dtype=np.int32) - np.int32(1))[keys]
    else:
        found, cell = np.unique(keys, return_inverse=True)
    solver, answer = np.divmod(found, classes or 1)
    return solver.astype(np.int32), answer.astype(np.int32), cell.astype(np.int32, copy=False)
