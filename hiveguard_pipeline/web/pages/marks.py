"""Structured answers as a page shows them: boxes over an image, spans in a text."""

from dataclasses import dataclass, field
from itertools import pairwise

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.structured.answer import Answer, read_answer

COLOURS = 8
"""Classes of the stylesheet, `mark-0` to `mark-7`, given to names in turn."""

MOST_SHOWN = 300
"""Boxes or spans of an answer that are drawn."""


@dataclass(frozen=True, slots=True)
class ShownBox:
    """A box in pixels, with the colour of its name."""

    label: str
    x: float
    y: float
    width: float
    height: float
    colour: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text, and the names of the spans that hold it."""

    text: str
    names: tuple[str, ...]
    colour: int | None


@dataclass(slots=True)
class ShownAnswer:
    """What an answer marks. width, height: of the image, or of all that is drawn. text: as it is."""

    text: str
    boxes: list[ShownBox] = field(default_factory=list)
    width: float = 0
    height: float = 0
    pieces: list[Piece] = field(default_factory=list)
    spans: list[tuple[int, int, str]] = field(default_factory=list)
    classes: tuple[str, ...] = ()
    summary: str = ""
    left_out: int = 0


def shown_answer(
    text: str, size: tuple[int, int] | None = None, content: str | None = None
) -> ShownAnswer | None:
    """A structured answer, ready to be drawn; None for a text that is no answer."""
    try:
        answer = read_answer(text)
    except BadInputError:
        return None
    names = sorted(answer.names)
    colour = {name: position % COLOURS for position, name in enumerate(names)}
    boxes = [ShownBox(box.label, *box.bbox, colour[box.label]) for box in (answer.boxes or ())[:MOST_SHOWN]]
    spans = [(span.start, span.end, span.label) for span in (answer.spans or ())[:MOST_SHOWN]]
    width, height = size or (
        max((box.x + box.width for box in boxes), default=0.0) * 1.05,
        max((box.y + box.height for box in boxes), default=0.0) * 1.05,
    )
    marks = len(answer.boxes or ()) + len(answer.spans or ())
    return ShownAnswer(
        text,
        boxes,
        width,
        height,
        pieces(content, spans, colour) if content is not None and spans else [],
        spans,
        answer.classes or (),
        _summary(answer),
        marks - len(boxes) - len(spans),
    )


def pieces(content: str, spans: list[tuple[int, int, str]], colour: dict[str, int]) -> list[Piece]:
    """A text cut where spans begin and end; spans may overlap. start and end are code points."""
    edges = {0, len(content)}
    for start, end, _ in spans:
        edges |= {min(start, len(content)), min(end, len(content))}
    cuts = sorted(edges)
    found = []
    for start, end in pairwise(cuts):
        names = tuple(sorted({name for first, last, name in spans if first < end and last > start}))
        found.append(Piece(content[start:end], names, colour[names[0]] if names else None))
    return found


def _summary(answer: Answer) -> str:
    """`2 boxes: car, truck`."""
    said = []
    for many, one, marks in (
        ("boxes", "box", answer.boxes),
        ("spans", "span", answer.spans),
    ):
        if marks is not None:
            names = ", ".join(sorted({mark.label for mark in marks}))
            said.append(f"{len(marks)} {one if len(marks) == 1 else many}" + (f": {names}" if names else ""))
    if answer.classes:
        said.append(", ".join(answer.classes))
    return "; ".join(said)
