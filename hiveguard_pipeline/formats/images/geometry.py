"""Boxes and polygons as numbers: what formats without rotation or masks put in their place."""

import math
from collections.abc import Sequence

from hiveguard_pipeline.formats.model import Box


def rotated_corners(box: Box, degrees: float) -> list[tuple[float, float]]:
    """The four corners of a box turned clockwise about its top left, from that corner on, clockwise.

    Clockwise on a picture, whose y axis points down: (x, y) -> (x cos a - y sin a, x sin a + y cos a).
    """
    x, y, width, height = box
    turn = math.radians(degrees)
    cos, sin = math.cos(turn), math.sin(turn)
    return [
        (x + right * cos - down * sin, y + right * sin + down * cos)
        for right, down in ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    ]


def envelope(points: Sequence[tuple[float, float]]) -> Box:
    """The smallest upright box around points."""
    xs = [x for x, _ in points]
    ys = [y for _, y in points]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def upright(box: Box, rotation: float | None) -> Box:
    """A box itself, or the envelope of a rotated one."""
    return box if not rotation else envelope(rotated_corners(box, rotation))


def polygon_area(points: Sequence[tuple[float, float]]) -> float:
    """The area a polygon without crossings encloses, by the shoelace formula."""
    following = [*points[1:], points[0]]
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(points, following, strict=True))) / 2
