"""From probabilities to labels, with a rule for ties."""

import numpy as np

from hiveguard_pipeline.quality.aggregation.arrays import Reals, over_classes
from hiveguard_pipeline.rules.arithmetic import Codes
from hiveguard_pipeline.rules.columns import NO_LABEL

TIE = 1e-9
"""Probabilities that differ by no more are equal: rounding decides no label."""


def decide(probability: Reals) -> Codes:
    """The most probable class of each item: shape (items,), int32; of those that tie (TIE) the first one.

    probability: shape (items, classes), classes in the dataset's order, the others after it by text.
    """
    if not probability.shape[1]:
        return np.full(len(probability), NO_LABEL, dtype=np.int32)
    top = over_classes(np.maximum, probability)
    return np.asarray(np.argmax(probability >= (top - TIE)[:, None], axis=1), dtype=np.int32)
