"""bndbox elements and boxes of the model: where counting begins, and what a coordinate may be."""

import math
from typing import TYPE_CHECKING

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.model import Box
from hiveguard_pipeline.formats.serialised import LARGEST
from hiveguard_pipeline.formats.voc.elements import Node

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def box_of(bndbox: "Element", origin: int, where: str) -> Box:
    """The box of a bndbox element; origin: the coordinate of the first pixel, 0 or 1.

    Whole numbers and decimals are read. Raises BadInputError for what is no number, for a box that ends
    before it begins, and for a coordinate 0 where counting is said to begin at 1.
    """
    texts = {child.tag: child.text for child in reversed(bndbox)}  # of repeated ones the first counts
    xmin, ymin, xmax, ymax = [_coordinate(texts, corner, where) for corner in CORNERS]
    if origin and (xmin == 0 or ymin == 0):
        corner = "xmin" if xmin == 0 else "ymin"
        raise BadInputError(
            f"{where}: {corner} is 0, so these files count pixels from 0; read them with --voc-origin 0."
        )
    x, y = xmin - origin, ymin - origin
    # The way to counting from 1 and back costs the last bit: an empty box may come out as less than empty.
    slack = 1e-15 * (1e6 + abs(xmax) + abs(ymax))
    if xmax < x - slack or ymax < y - slack:
        raise BadInputError(
            f"{where}: the box ends ({xmax:g}, {ymax:g}) before it begins ({xmin:g}, {ymin:g})."
        )
    return x, y, max(xmax - x, 0.0), max(ymax - y, 0.0)


def bndbox_of(box: Box, origin: int, whole: bool, where: str) -> Node:
    """The bndbox element of a box, as decimals that read back the same, or rounded to whole pixels."""
    x, y, width, height = box
    values = (x + origin, y + origin, x + width, y + height)
    if origin and (values[0] == 0 or values[1] == 0):
        raise BadInputError(
            f"{where}: the box begins one pixel outside the image ({x:g}, {y:g}), which Pascal VOC cannot "
            "say where it counts from 1; write with --voc-origin 0, or correct the box."
        )
    if whole:
        return "bndbox", [
            (corner, str(value)) for corner, value in zip(CORNERS, rounded(box, origin), strict=True)
        ]
    return "bndbox", [(corner, decimal(float(value))) for corner, value in zip(CORNERS, values, strict=True)]


def rounded(box: Box, origin: int) -> tuple[int, int, int, int]:
    """The corners as whole numbers: each edge at the nearest border between pixels, ties to even."""
    x, y, width, height = box
    left, top = max(round(x), 0), max(round(y), 0)
    # Counted from 1 a box holds its last pixel, so it cannot end before it begins; from 0 it may be empty.
    right, bottom = max(round(x + width), left + origin), max(round(y + height), top + origin)
    return left + origin, top + origin, right, bottom


def decimal(value: float) -> str:
    """The shortest text that reads back as this number; whole numbers without a point, as the devkit has."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def number(text: str, what: str, where: str) -> float:
    """A finite number within the limits of the model, or BadInputError."""
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST:
        raise BadInputError(f"{where}: {what}: a number within 2**31 is wanted, not '{text[:40]}'.")
    return value


def _coordinate(texts: dict[str, str | None], corner: str, where: str) -> float:
    if corner not in texts:
        raise BadInputError(f"{where}: its bndbox has no {corner}.")
    return number(texts[corner] or "", corner, where)
