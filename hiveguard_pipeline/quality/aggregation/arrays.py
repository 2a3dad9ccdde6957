"""Arrays of real numbers by item and class: what all methods do with them."""

from typing import Any

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers
from hiveguard_pipeline.rules.columns import NO_LABEL

Reals = np.ndarray[Any, Any]
"""float64"""

FLOOR = 1e-10
"""A probability or expected count below it is taken for it: no logarithm is infinite. crowd-kit's too."""

_FEW_CLASSES = 16
"""Up to so many, a matrix of items x classes is gone through by class: numpy is slow along a short axis."""


def clamped(probability: Reals, gold: Codes) -> Reals:
    """The same array with the items of known class at probability 1, in place. gold: shape (items,)."""
    known = np.flatnonzero(gold != NO_LABEL)
    probability[known] = 0.0
    probability[known, gold[known]] = 1.0
    return probability


def over_classes(operation: np.ufunc, matrix: Reals) -> Reals:
    """`operation.reduce` over the classes of each item: (items, classes) to (items,)."""
    if not 0 < matrix.shape[1] <= _FEW_CLASSES:
        return np.asarray(operation.reduce(matrix, axis=1))
    reduced = matrix[:, 0].copy()
    for column in matrix.T[1:]:
        operation(reduced, column, out=reduced)
    return reduced


def with_each_item(operation: np.ufunc, matrix: Reals, values: Reals) -> None:
    """`operation(matrix, values)` in place, a value an item. matrix: (items, classes), values: (items,)."""
    if matrix.shape[1] > _FEW_CLASSES:
        operation(matrix, values[:, None], out=matrix)
        return
    for column in matrix.T:
        operation(column, values, out=column)


def of_each_class(matrix: Reals) -> Reals:
    """Sums over the items: (items, classes) to (classes,)."""
    if matrix.shape[1] > _FEW_CLASSES:
        return np.asarray(matrix.sum(axis=0))
    return np.array([column.sum() for column in matrix.T])


def add_rows(matrix: Reals, row: Integers, added: Reals) -> None:
    """Add rows to those of a matrix, in place; several may go to one.

    row: shape (n,); added: shape (n, classes).
    """
    for column, own in zip(matrix.T, added.T, strict=True):
        np.add.at(column, row, own)


def normalised(log_likelihood: Any, class_prior: Reals) -> Reals:
    """P(class | votes), in place: Dawid and Skene 1979, equation 2.5.

    log_likelihood: ln P(votes | class), shape (items, classes). class_prior: shape (classes,).
    """
    found: Reals = log_likelihood
    if not found.size:
        return found
    with np.errstate(divide="ignore"):
        for column, prior in zip(found.T, np.log(class_prior).tolist(), strict=True):
            column += prior
    with_each_item(np.subtract, found, over_classes(np.maximum, found))
    np.exp(found, out=found)
    with_each_item(np.divide, found, over_classes(np.add, found))
    return found
