"""What every format is read into and written from: items with annotations, an item at a time.

Coordinates are pixels from the top left, 0-based, as floats; text offsets are Unicode code points,
half-open. Values of a source that the model has no field for stand in `extra`, under the source's names.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Box = tuple[float, float, float, float]
"""x, y, width, height."""


@dataclass(slots=True)
class Category:
    """A class that things are labelled with. id: the source's own, where it has one."""

    name: str
    id: int | None = None
    supercategory: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Annotation:
    """One labelled thing in an item: a box, a mask or a span of text.

    category: position in Header.categories. segmentation: COCO's polygons or RLE, as they came. rotation:
    degrees clockwise about the box's top left. span: first and past-the-last code point. order: place
    among all annotations of the source. annotator: who made it, where a source holds several people's.
    """

    category: int
    bbox: Box | None = None
    segmentation: Any = None
    rotation: float | None = None
    span: tuple[int, int] | None = None
    id: Any = None
    area: float | None = None
    crowd: bool | None = None
    score: float | None = None
    annotator: str | None = None
    order: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Item:
    """One image or text with all its annotations.

    name: its file name or key, with forward slashes, unique in its source. labels: positions in
    Header.categories of the classes of the whole item. split: train, validation, test, or None.
    reviewed: somebody has looked at it, so that no annotation means empty; None where that is not known.
    """

    name: str
    annotations: list[Annotation] = field(default_factory=list)
    labels: tuple[int, ...] = ()
    id: Any = None
    width: int | None = None
    height: int | None = None
    text: str | None = None
    split: str | None = None
    reviewed: bool | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Header:
    """What a source says of itself as a whole.

    layout: by format, how its file was laid out (the order of keys), for the way back; none of it is data.
    """

    categories: list[Category]
    task_type: str | None = None
    info: dict[str, Any] = field(default_factory=dict)
    licences: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    layout: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Source:
    """An opened input: its header, and its items each time they are asked for, in the source's order."""

    header: Header
    items: Callable[[], Iterator[Item]]
