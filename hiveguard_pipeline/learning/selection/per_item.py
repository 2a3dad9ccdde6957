"""One score for an item that has many parts: a text of tokens, an image of boxes.

Parts come in one array, with offsets: item i has the rows offsets[i] to offsets[i + 1]. The scores go to
`most_uncertain`, or as `scores` to `select`.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.selection.inputs import (
    Positions,
    Reals,
    column,
    offsets_of,
    scores_of,
)
from hiveguard_pipeline.learning.selection.uncertainty import Method, uncertainty_scores

Reduce = Literal["mean", "max"]

WITHOUT_BOXES = 0.5
"""An image without boxes shows nothing or was missed, and its model does not say which: half way."""


def token_uncertainty(
    probabilities: ArrayLike, offsets: ArrayLike, *, method: Method = "margin", reduce: Reduce = "mean"
) -> Reals:
    """The uncertainty of each text: mean or maximum over its tokens; 0 for one without. Shape (texts,).

    probabilities: of all tokens, shape (tokens, tags). offsets: shape (texts + 1,). The mean is fair to long
    texts, which a sum prefers (Settles and Craven 2008); the maximum finds one hard name in a plain text.
    """
    tokens = uncertainty_scores(probabilities, method)
    return _reduced(tokens, offsets_of(offsets, len(tokens), "offsets"), reduce, empty=0.0)


def box_uncertainty(scores: ArrayLike, offsets: ArrayLike, *, without_boxes: float = WITHOUT_BOXES) -> Reals:
    """The uncertainty of each image: 1 - the score of its least sure box, shape (images,).

    scores: of all boxes, within [0, 1]. offsets: shape (images + 1,). without_boxes: for images without any,
    within [0, 1]; 1 asks them first, 0 last.
    """
    boxes = scores_of(column(scores, "box scores"), "box scores")
    if len(boxes) and boxes.max() > 1.0:
        raise BadInputError(f"box scores: box {int(boxes.argmax())} has {boxes.max()}; expected at most 1")
    if not 0.0 <= without_boxes <= 1.0:
        raise BadInputError(f"without_boxes is {without_boxes}; expected a number from 0 to 1")
    return _reduced(1.0 - boxes, offsets_of(offsets, len(boxes), "offsets"), "max", empty=without_boxes)


def _reduced(parts: Reals, offsets: Positions, reduce: str, *, empty: float) -> Reals:
    ways = {"mean": np.add, "max": np.maximum}
    if reduce not in ways:
        raise BadInputError(f"reduce {reduce!r}: expected {', '.join(ways)}")
    count = np.diff(offsets)
    filled = count > 0
    found = np.full(len(count), empty)
    if filled.any():
        found[filled] = ways[reduce].reduceat(parts, offsets[:-1][filled])
        if reduce == "mean":
            found[filled] /= count[filled]
    return found
