"""The rows of a label file as annotations in pixels.

A row is `class` and 4 numbers for a box (centre, size), 5 with a confidence, or 6 and more, in pairs, for a
polygon; where data.yaml says so, 8 are the corners of a turned box (OBB), or a box is followed by keypoints.
All are shares of the image's sides, 0 to 1.
"""

import math
from dataclasses import dataclass

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.images.geometry import envelope, polygon_area
from hiveguard_pipeline.formats.model import Annotation, Box

MOST_ROWS = 200_000
"""Rows of one image."""
_SQUARE = 1e-3
"""Share of a side by which the corners of a turned box may miss a right angle: six decimals are usual."""


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads the rows of one data set. names: of its classes; clip: cut what sticks out of the image."""

    names: list[str]
    obb: bool
    keypoints: tuple[int, int] | None
    clip: bool

    def read(self, data: bytes, width: int, height: int, file: str) -> tuple[list[Annotation], list[str]]:
        """The annotations of a label file and, for each, its row with the name of the class in front.

        Raises BadInputError, with file and line, for rows that are none of the kinds above, classes that
        are not declared, and numbers outside 0 to 1 unless they are clipped.
        """
        if not data.isascii() or b"_" in data:
            data = data.removeprefix(b"\xef\xbb\xbf")
            self._refuse_other_text(data, file)
        if data.count(b"\n") > MOST_ROWS:
            raise BadInputError(f"{file}: more than {MOST_ROWS:,} rows for one image; split it up.")
        annotations: list[Annotation] = []
        rows: list[str] = []
        names, classes = self.names, len(self.names)
        only_boxes = self.keypoints is None and not self.clip
        for number, line in enumerate(data.decode("ascii").split("\n"), 1):
            tokens = line.split()
            if not tokens:
                continue
            try:
                category = int(tokens[0]) if tokens[0].isdigit() else _from_decimal(tokens[0])
                values = list(map(float, tokens[1:]))
            except ValueError:
                raise BadInputError(
                    f"{file}, line {number}: numbers are wanted, not '{line[:60]}'."
                ) from None
            if category >= classes:
                raise BadInputError(
                    f"{file}, line {number}: class {category}, and only 0 to {classes - 1} have names."
                )
            if only_boxes and len(values) == 4:
                x, y, w, h = values
                if not (0 <= x <= 1 and 0 <= y <= 1 and 0 <= w <= 1 and 0 <= h <= 1):
                    raise _outside(values, file, number)
                w *= width
                h *= height
                annotation = Annotation(category, (x * width - w / 2, y * height - h / 2, w, h))
            else:
                annotation = self._annotation(category, values, width, height, file, number)
            annotations.append(annotation)
            rows.append(" ".join((names[category], *tokens[1:])))
        return annotations, rows

    def _annotation(
        self, category: int, values: list[float], width: int, height: int, file: str, line: int
    ) -> Annotation:
        count = len(values)
        if self.keypoints is not None:
            points, each = self.keypoints
            if count - 4 - points * each in (0, 1):
                made = Annotation(category, self._box(values[:4], width, height, file, line))
                made.extra = {"keypoints": _keypoints(values[4 : 4 + points * each], each, width, height)}
                rest = values[4 + points * each :]
            else:
                raise BadInputError(
                    f"{file}, line {line}: {count} numbers; a box and {points} keypoints of {each} are due."
                )
        elif count in (4, 5):
            made, rest = Annotation(category, self._box(values[:4], width, height, file, line)), values[4:]
        elif self.obb and count in (8, 9):
            made, rest = self._turned(category, values[:8], width, height, file, line), values[8:]
        elif count >= 6 and count % 2 == 0:
            made, rest = self._polygon(category, values, width, height, file, line), []
        else:
            raise BadInputError(
                f"{file}, line {line}: {count} numbers after the class; 4 (a box), 5 (and its confidence) or "
                "6, 8, 10 ... (a polygon) are wanted."
            )
        if rest:
            if not math.isfinite(rest[0]):
                raise BadInputError(f"{file}, line {line}: the confidence is no finite number.")
            made.score = rest[0]
        return made

    def _box(self, values: list[float], width: int, height: int, file: str, line: int) -> Box:
        x, y, w, h = values
        inside = 0 <= x <= 1 and 0 <= y <= 1 and 0 <= w <= 1 and 0 <= h <= 1
        if not self.clip:
            if not inside:
                raise _outside(values, file, line)
            return (x - w / 2) * width, (y - h / 2) * height, w * width, h * height
        if not all(map(math.isfinite, values)) or w < 0 or h < 0:
            raise _outside(values, file, line)
        left, right = _within(x - w / 2), _within(x + w / 2)
        top, bottom = _within(y - h / 2), _within(y + h / 2)
        if inside and (left, right, top, bottom) == (x - w / 2, x + w / 2, y - h / 2, y + h / 2):
            return x * width - w * width / 2, y * height - h * height / 2, w * width, h * height
        return left * width, top * height, (right - left) * width, (bottom - top) * height

    def _points(
        self, values: list[float], width: int, height: int, file: str, line: int
    ) -> list[tuple[float, float]]:
        if self.clip and all(map(math.isfinite, values)):
            values = [_within(value) for value in values]
        if not all(0 <= value <= 1 for value in values):
            raise _outside(values, file, line)
        return [(x * width, y * height) for x, y in zip(values[::2], values[1::2], strict=True)]

    def _polygon(
        self, category: int, values: list[float], width: int, height: int, file: str, line: int
    ) -> Annotation:
        points = self._points(values, width, height, file, line)
        return Annotation(
            category,
            envelope(points),
            segmentation=[[side for point in points for side in point]],
            area=polygon_area(points),
        )

    def _turned(
        self, category: int, values: list[float], width: int, height: int, file: str, line: int
    ) -> Annotation:
        """A box turned about its first corner; as a polygon where the corners are no rectangle."""
        points = self._points(values, width, height, file, line)
        (x, y), (right, right_y), (far, far_y), (down, down_y) = points
        along, across = (right - x, right_y - y), (down - x, down_y - y)
        long, short = math.hypot(*along), math.hypot(*across)
        slack = _SQUARE * (long + short)
        if (
            math.hypot(far - x - along[0] - across[0], far_y - y - along[1] - across[1]) > slack
            or abs(along[0] * across[0] + along[1] * across[1]) > slack * min(long, short)
            or along[0] * across[1] - along[1] * across[0] < 0
        ):
            return self._polygon(category, values, width, height, file, line)
        turn = math.degrees(math.atan2(along[1], along[0]))
        return Annotation(category, (x, y, long, short), rotation=turn)

    def _refuse_other_text(self, data: bytes, file: str) -> None:
        for number, line in enumerate(data.split(b"\n"), 1):
            if not line.isascii() or b"_" in line:
                raise BadInputError(f"{file}, line {number}: numbers are wanted, not {line[:60]!r}.")


def _from_decimal(token: str) -> int:
    """A class written as a decimal, as some tools do: `2.0`."""
    value = float(token)
    if not (value.is_integer() and 0 <= value < 2**31):
        raise ValueError(token)
    return int(value)


def _keypoints(values: list[float], each: int, width: int, height: int) -> list[float]:
    """x, y, v of each point in pixels, as COCO has them; v is 2 (visible) where rows do not say."""
    points: list[float] = []
    for start in range(0, len(values), each):
        points += [values[start] * width, values[start + 1] * height, values[start + 2] if each == 3 else 2]
    return points


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _outside(values: list[float], file: str, line: int) -> BadInputError:
    """The error for numbers of a box (4) or of points; --clip mends neither nan nor a side below 0."""
    beyond = [value for value in values if not math.isfinite(value)]
    if len(values) == 4:
        beyond += [side for side in values[2:] if side < 0]
    wrong = next(iter(beyond), None)
    if wrong is None:
        wrong = next(value for value in values if not 0 <= value <= 1)
    advice = "correct the row" if beyond else "where rounding made it, read with --clip"
    return BadInputError(f"{file}, line {line}: {wrong:g} is no share of an image's side (0 to 1); {advice}.")
