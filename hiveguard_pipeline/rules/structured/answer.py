"""A structured answer and its one JSON form.

`{"boxes":[{"label":"car","bbox":[10.0,20.0,30.0,40.0]}]}`: x, y, width and height in pixels from the top
left; a box may hold `segmentation` (COCO's polygons or RLE, kept as it came) and `attributes` (any object).
`{"spans":[{"start":0,"end":3,"label":"PER"}]}`: code points, half-open. `{"classes":["a","b"]}`. An answer
may have several of the three, and is a set: what is said twice counts once.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hiveguard_pipeline.errors import BadInputError

MOST_MARKS = {"boxes": 1_000, "spans": 10_000, "classes": 10_000}
"""How many of each an answer can have; boxes are compared each with each."""

DEEPEST = 50
"""Levels that an answer's JSON may be nested."""

LARGEST = 2.0**31
"""No coordinate and no offset lies beyond this."""

GRID = 1_000_000
"""Steps of a pixel on which geometry is judged, in whole numbers: the same result on every machine."""


@dataclass(frozen=True, slots=True)
class Box:
    """A labelled box. bbox: x, y, width, height in pixels. rest: segmentation and attributes, as JSON values.

    edges: left, top, right, bottom in whole steps of GRID. text: its JSON form.
    """

    label: str
    bbox: tuple[float, float, float, float]
    rest: Mapping[str, Any] = field(default_factory=dict, compare=False)
    edges: tuple[int, int, int, int] = field(init=False, compare=False)
    text: str = field(init=False)

    def __post_init__(self) -> None:
        x, y, width, height = (round(value * GRID) for value in self.bbox)
        object.__setattr__(self, "edges", (x, y, x + width, y + height))
        # In the order of their names, as a JSON encoder would, which takes several times as long.
        numbers = ",".join(map(repr, self.bbox))
        parts = [f'"bbox":[{numbers}],"label":{_json(self.label)}']
        if "attributes" in self.rest:
            parts.insert(0, f'"attributes":{_json(self.rest["attributes"])}')
        if "segmentation" in self.rest:
            parts.append(f'"segmentation":{_json(self.rest["segmentation"])}')
        object.__setattr__(self, "text", f"{{{','.join(parts)}}}")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A labelled part of a text: code points start <= position < end."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What one answer marks, each part in its one order; None: it does not speak of that at all."""

    boxes: tuple[Box, ...] | None = None
    spans: tuple[Span, ...] | None = None
    classes: tuple[str, ...] | None = None

    @property
    def names(self) -> set[str]:
        """The classes that it names."""
        drawn = {box.label for box in self.boxes or ()}
        return drawn | {span.label for span in self.spans or ()} | set(self.classes or ())

    def of_task(self, part: str) -> "Answer":
        """The answer as its task type has it: with that part always, with others that are not empty."""
        return Answer(**{name: getattr(self, name) or (() if name == part else None) for name in MOST_MARKS})


def ordered(
    boxes: list[Box] | None = None, spans: list[Span] | None = None, classes: list[str] | None = None
) -> Answer:
    """An answer of marks in any order."""
    return Answer(
        None if boxes is None else tuple({box.text: box for box in sorted(boxes, key=_place)}.values()),
        None if spans is None else tuple(sorted(set(spans))),
        None if classes is None else tuple(sorted(set(classes))),
    )


def _place(box: Box) -> tuple[str, tuple[float, ...], str]:
    return box.label, box.bbox, box.text


def answer_text(answer: Answer) -> str:
    """The one JSON form: keys sorted, no spaces, floats as the shortest decimals that read back the same."""
    parts = []
    if answer.boxes is not None:
        parts.append(f'"boxes":[{",".join(box.text for box in answer.boxes)}]')
    if answer.classes is not None:
        parts.append(f'"classes":{_json(list(answer.classes))}')
    if answer.spans is not None:
        spans = [{"end": span.end, "label": span.label, "start": span.start} for span in answer.spans]
        parts.append(f'"spans":{_json(spans)}')
    return "{" + ",".join(parts) + "}"


def canonical(text: str) -> str:
    """The one form of an answer's text; raises BadInputError for what is no answer."""
    return answer_text(read_answer(text))


def renamed(text: str, names: Mapping[str, str]) -> str:
    """An answer's text with its classes renamed, in its one form; a text that is no answer as it is."""
    try:
        answer = read_answer(text)
    except BadInputError:
        return text

    def now(name: str) -> str:
        return names.get(name, name)

    return answer_text(
        ordered(
            None
            if answer.boxes is None
            else [Box(now(box.label), box.bbox, box.rest) for box in answer.boxes],
            None
            if answer.spans is None
            else [Span(span.start, span.end, now(span.label)) for span in answer.spans],
            None if answer.classes is None else [now(name) for name in answer.classes],
        )
    )


def read_answer(text: str) -> Answer:
    """The answer of a JSON text. Raises BadInputError with the place in it and what is wrong there."""
    return answer_of(_parsed(text))


def read_given(text: str, part: str) -> Answer:
    """An answer as it comes in, for a task type whose answers always have `part`; raises BadInputError.

    Stricter than `read_answer`, which reads what is stored: a key that is there twice, an answer that does
    not speak of `part`, and a box that covers nothing are refused.
    """
    answer = answer_of(_parsed(text, _refuse_doubled))
    if getattr(answer, part) is None:
        raise BadInputError(f'there is no {part}; an answer that marks nothing is {{"{part}":[]}}')
    for box in answer.boxes or ():
        left, top, right, bottom = box.edges
        if left == right or top == bottom:
            raise BadInputError(
                f"the box {_shown(list(box.bbox))} of {_shown(box.label)} has no width or no height"
            )
    return answer.of_task(part)


def _parsed(text: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    if text.count("[") + text.count("{") > DEEPEST and _is_too_deep(text):
        raise BadInputError(f"JSON nested more than {DEEPEST} levels")
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"not JSON: {str(error)[:100]}") from None


def answer_of(value: Any) -> Answer:
    """The answer of a JSON value; raises BadInputError as `read_answer` does."""
    if type(value) is not dict:
        raise BadInputError("an object with boxes, spans or classes is wanted")
    if unknown := value.keys() - {"boxes", "spans", "classes"}:
        raise BadInputError(f"unknown key {_shown(min(unknown))}; an answer has boxes, spans, classes")
    if not value:
        raise BadInputError('it says nothing; an answer that marks nothing is {"boxes":[]} or {"spans":[]}')
    answer = ordered(
        _marks(value, "boxes", _box), _marks(value, "spans", _span), _marks(value, "classes", _name)
    )
    try:
        answer_text(answer).encode()
    except UnicodeEncodeError:
        raise BadInputError("half of a surrogate pair, which is no character") from None
    except ValueError:
        raise BadInputError("NaN, an infinity, or a number too large to be held") from None
    return answer


def _marks(value: dict[str, Any], part: str, read: Callable[[Any], Any]) -> list[Any] | None:
    if part not in value:
        return None
    marks = value[part]
    if type(marks) is not list:
        raise BadInputError(f"{part}: a list is wanted, not {_shown(marks)}")
    if len(marks) > (most := MOST_MARKS[part]):
        raise BadInputError(f"{part}: {len(marks):,} are more than the {most:,} that an answer can have")
    found = []
    for place, mark in enumerate(marks):
        try:
            found.append(read(mark))
        except ValueError as error:
            raise BadInputError(f"{part}[{place}]: {error}") from None
    return found


def _box(value: Any) -> Box:
    _check_keys(value, {"label", "bbox"}, {"segmentation", "attributes"})
    numbers = value["bbox"]
    if type(numbers) is not list or len(numbers) != 4 or not all(map(_is_number, numbers)):
        raise ValueError(f"bbox: four numbers x, y, width, height are wanted, not {_shown(numbers)}")
    x, y, width, height = (float(number) + 0.0 for number in numbers)
    if width < 0 or height < 0:
        raise ValueError(f"bbox: width and height are at least 0, not {_shown(numbers)}")
    rest = {key: value[key] for key in ("segmentation", "attributes") if value.get(key) is not None}
    if "segmentation" in rest:
        _check_segmentation(rest["segmentation"])
    if type(rest.get("attributes", {})) is not dict:
        raise ValueError(f"attributes: an object is wanted, not {_shown(rest['attributes'])}")
    return Box(_name(value["label"]), (x, y, width, height), rest)


def _span(value: Any) -> Span:
    _check_keys(value, {"start", "end", "label"}, {"text"})
    start, end = value["start"], value["end"]
    if type(start) is not int or type(end) is not int or not 0 <= start < end < LARGEST:
        raise ValueError(
            f"start and end are whole numbers with 0 <= start < end, not {_shown(start)} and {_shown(end)}"
        )
    return Span(start, end, _name(value["label"]))


def _name(value: Any) -> str:
    if type(value) is not str or not value.strip() or "\0" in value:
        raise ValueError(f"the name of a class is wanted, not {_shown(value)}")
    return value


def _check_keys(value: Any, wanted: set[str], further: set[str]) -> None:
    if type(value) is not dict:
        raise ValueError(f"an object is wanted, not {_shown(value)}")
    if missing := wanted - value.keys():
        raise ValueError(f"there is no {min(missing)}")
    if unknown := value.keys() - wanted - further:
        raise ValueError(
            f"unknown key {_shown(min(unknown))}; what else is known of a box goes in attributes"
        )


def _check_segmentation(value: Any) -> None:
    """COCO's: polygons (lists of x, y, x, y, ...), or a run-length encoding of counts and size."""
    if type(value) is list:
        if not all(
            type(polygon) is list and len(polygon) % 2 == 0 and all(map(_is_number, polygon))
            for polygon in value
        ):
            raise ValueError("segmentation: a polygon is a list of numbers x, y, x, y, ...")
        return
    is_rle = type(value) is dict and type(value.get("counts")) in (str, list)
    size = value.get("size") if is_rle else None
    if type(size) is not list or len(size) != 2 or not all(map(_is_number, size)):
        raise ValueError("segmentation: polygons, or an RLE with counts and size, are wanted")


def _is_number(value: Any) -> bool:
    if type(value) is int:
        return -LARGEST <= value <= LARGEST
    return type(value) is float and math.isfinite(value) and -LARGEST <= value <= LARGEST


def _is_too_deep(text: str) -> bool:
    depth, inside, escaped = 0, False, False
    for character in text:
        if inside:
            inside, escaped = escaped or character != '"', character == "\\" and not escaped
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            if depth > DEEPEST:
                return True
        elif character in "]}":
            depth -= 1
    return False


_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _refuse_doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadInputError(f"the key {_shown(twice)} is there twice")
    return found


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
