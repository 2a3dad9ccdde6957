"""What an ActiveLearner asks of a model: probabilities, and an embedding where it has one.

A model is anything with `predict_proba(X)`; scikit-learn's estimators are. A model that knows how to place
its items has `embed(X)` too, of shape (items, dimensions).
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hiveguard_pipeline.errors import BadInputError

Matrix = NDArray[Any]

PROJECTED = 128
"""Dimensions to which sparse features are projected: distances then hold within some 10 to 20%."""


class Model(Protocol):
    """A classifier. May also have `classes_`, the names of the columns, and `embed`."""

    def predict_proba(self, x: Any, /) -> Any:
        """P(class) of each item: shape (items, classes)."""
        ...


def is_fitted(model: Any) -> bool:
    """Whether a model can be asked. By scikit-learn's convention `fit` sets `classes_`; others always can."""
    return hasattr(model, "classes_") or not hasattr(model, "fit")


def probabilities_of(model: Model, x: Any) -> Matrix:
    """P(class) of each item. Raises BadInputError where the model gives another number of rows."""
    found = np.asarray(model.predict_proba(x))
    if not found.ndim or len(found) != count(x):
        raise BadInputError(f"predict_proba gave shape {found.shape} for {count(x)} items")
    return found


def committee_of(models: Sequence[Model], x: Any) -> list[Matrix]:
    """The probabilities of several models, with the same columns.

    Models that learnt from different labels may not know the same classes: columns are brought together by
    `classes_`, with 0 for a class that a model does not know.
    """
    found = [probabilities_of(model, x) for model in models]
    names = [getattr(model, "classes_", None) for model in models]
    if any(known is None for known in names):
        return found
    known = [np.asarray(classes) for classes in names]
    every = np.unique(np.concatenate(known))
    aligned = [np.zeros((len(rows), len(every))) for rows in found]
    for rows, into, classes in zip(found, aligned, known, strict=True):
        into[:, np.searchsorted(every, classes)] = rows
    return aligned


def embedding_of(model: Any, x: Any, seed: int) -> Matrix | None:
    """Where the model places the items, or their own features; None where items are not numbers (texts).

    Sparse features are projected at random to PROJECTED dimensions (Johnson and Lindenstrauss 1984).
    """
    if model is not None and hasattr(model, "embed"):
        return _dense(model.embed(x), seed)
    if hasattr(x, "toarray"):
        return _dense(x, seed)
    array = np.asarray(x)
    return array if array.ndim == 2 and array.dtype.kind in "fiu" else None


def count(x: Any) -> int:
    """How many items there are in a list or an array, sparse or not."""
    shape = getattr(x, "shape", None)
    return int(shape[0]) if shape else len(x)


def take(x: Any, positions: NDArray[np.int64]) -> Any:
    """Some of the items, in whatever holds them: an array, a sparse matrix, a data frame or a list."""
    if hasattr(x, "iloc"):
        return x.iloc[positions]
    if hasattr(x, "shape"):
        return x[positions]
    return [x[position] for position in positions.tolist()]


def _dense(x: Any, seed: int) -> Matrix:
    if not hasattr(x, "toarray"):
        return np.asarray(x)
    width = int(x.shape[1])
    if width <= PROJECTED:
        return np.asarray(x.toarray())
    directions = np.random.default_rng(seed).standard_normal((width, PROJECTED), dtype=np.float32)
    return np.asarray(x @ (directions / np.sqrt(np.float32(PROJECTED))))
