"""A model that is ready to score, wherever it came from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hiveguard_pipeline.errors import BadInputError

_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready: its classes, and probabilities for rows as its features describe them.

    predict_proba(rows) -> float array of shape (n, classes). The attribute `classes_` is what
    scikit-learn's own models have.
    """

    classes: tuple[str, ...]
    predict: Callable[[Any], Any]
    estimator: Any = field(default=None, repr=False)

    @property
    def classes_(self) -> Any:
        """The classes as an array of texts."""
        return np.array(self.classes)

    def predict_proba(self, rows: Any) -> Any:
        """Probabilities, shape (n, classes); raises BadInputError where the model gives something else."""
        try:
            found = np.asarray(self.predict(rows), dtype=np.float64)
        except BadInputError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's model may raise anything
            raise BadInputError(
                f"the model cannot score its features: {type(error).__name__}: {one_line(error)}"
            ) from None
        shape = (_length(rows), len(self.classes))
        if found.shape != shape:
            raise BadInputError(
                f"the model gives an array of shape {found.shape}, not {shape} (rows, classes)"
            )
        if len(found) and (
            not np.isfinite(found).all()
            or found.min() < -_TOLERANCE
            or np.abs(found.sum(axis=1) - 1).max() > _TOLERANCE
        ):
            raise BadInputError(
                "the model's outputs are no probabilities (each row from 0 to 1, with the sum 1); for scores"
                " of an ONNX model there is --logits"
            )
        return np.clip(found, 0, 1)


def _length(rows: Any) -> int:
    return int(rows.shape[0]) if hasattr(rows, "shape") else len(rows)


def one_line(error: BaseException) -> str:
    """What an error of others says, short and in one line."""
    return " ".join(str(error).split())[:300]
