"""Why a structured answer cannot be taken for an item, as one word for the quarantine."""

from collections.abc import Set

from hiveguard_pipeline.rules.structured.answer import GRID, Answer

MALFORMED = "malformed_answer"
OUTSIDE_CLASSES = "answer_not_in_classes"
OUTSIDE_IMAGE = "box_outside_image"
OUTSIDE_TEXT = "span_outside_text"

ROUNDING = 1
"""Pixels by which a box may stick out of its image: tools round to whole pixels, and count from 0 or 1."""


def fault(
    answer: Answer,
    classes: Set[str] | None,
    size: tuple[int, int] | None = None,
    characters: int | None = None,
) -> str | None:
    """What is wrong with an answer, None if nothing is.

    classes: those that there are, None for any. size: width and height of the image in pixels, characters:
    length of the text in code points, where they are known.
    """
    if classes is not None and not answer.names <= classes:
        return OUTSIDE_CLASSES
    if size is not None and answer.boxes:
        least, (most_x, most_y) = -ROUNDING * GRID, ((side + ROUNDING) * GRID for side in size)
        for box in answer.boxes:
            left, top, right, bottom = box.edges
            if left < least or top < least or right > most_x or bottom > most_y:
                return OUTSIDE_IMAGE
    if characters is not None and any(span.end > characters for span in answer.spans or ()):
        return OUTSIDE_TEXT
    return None
