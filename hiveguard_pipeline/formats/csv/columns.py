"""The columns of a CSV of annotations: our names, the names other tools use, and values as text.

Other tools: `filename, width, height, class, xmin, ymin, xmax, ymax` (TensorFlow), where width and height are
the image's, coordinates are taken as 0-based, and an edge is past the last pixel (a box is xmax - xmin wide).
"""

import math
from collections.abc import Callable
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.model import Annotation, Item
from hiveguard_pipeline.formats.serialised import LARGEST, SPLITS, shown

ITEM_COLUMNS = ("item", "item_id", "image_width", "image_height", "split", "reviewed", "text")
PLACE_COLUMNS = ("x", "y", "width", "height", "rotation", "start", "end")
ANNOTATION_COLUMNS = (*PLACE_COLUMNS, "score", "annotator", "annotation_id", "area", "crowd")
COLUMNS = (*ITEM_COLUMNS, "label", *ANNOTATION_COLUMNS)

_EDGES = ("xmin", "ymin", "xmax", "ymax")
UNKNOWN = "csv"
"""The key of `extra` under which cells of columns stand that mean nothing to us."""
_SAYING = ("label", "text", "x", "start", *_EDGES)
_OTHER_NAMES = {
    "item": ("filename", "file_name", "image", "image_path", "path", "file", "image_name", "name"),
    "label": ("class", "category", "class_name", "label_name", "category_name"),
    "item_id": ("image_id",),
    "image_width": ("img_width",),
    "image_height": ("img_height",),
    "score": ("confidence",),
    "xmin": ("x_min", "x1", "left"),
    "ymin": ("y_min", "y1", "top"),
    "xmax": ("x_max", "x2", "right"),
    "ymax": ("y_max", "y2", "bottom"),
}


class Columns:
    """Which cell of a row holds what, by our names."""

    def __init__(self, header: list[str], where: str) -> None:
        given = [name.strip() for name in header]
        if repeated := {name for name in given if name and given.count(name) > 1}:
            raise BadInputError(f"{where}: the column {shown(min(repeated))} stands there twice.")
        lower = {name.lower(): place for place, name in enumerate(given)}
        self._cells: dict[str, int] = {}
        for name in (*COLUMNS, *_EDGES):
            for known in (name, *_OTHER_NAMES.get(name, ())):
                if known in lower:
                    self._cells[name] = lower[known]
                    break
        self.has_edges = all(name in self._cells for name in _EDGES)
        if not self.has_edges:
            for name in _EDGES:
                self._cells.pop(name, None)
        if self.has_edges and "x" not in self._cells:
            # The image's, in files that give boxes by their edges.
            for ours in ("width", "height"):
                if ours in self._cells:
                    self._cells.setdefault(f"image_{ours}", self._cells.pop(ours))
        if "item" not in self._cells and "text" not in self._cells:
            raise BadInputError(
                f"{where}: no column names the item: one of item, {', '.join(_OTHER_NAMES['item'])} or"
                f" text is wanted; there are {shown(', '.join(given))}."
            )
        taken = set(self._cells.values())
        self._unknown = [
            (place, name or f"column {place + 1}") for place, name in enumerate(given) if place not in taken
        ]
        if self._unknown and not any(name in self._cells for name in _SAYING):
            raise BadInputError(
                f"{where}: no column says a label, a box, a span or a text, and what"
                f" {shown(', '.join(name for _, name in self._unknown))} mean is not known; name the columns"
                f" {', '.join(COLUMNS)}, or {', '.join(_EDGES)} for boxes."
            )
        self._own = [self._cells[name] for name in ITEM_COLUMNS[1:] if name in self._cells]
        # In a file of texts without names each row is an item of its own.
        self.count = len(given)
        self.names_items = "item" in self._cells
        self._annotation = [
            self._cells[name] for name in (*ANNOTATION_COLUMNS, *_EDGES) if name in self._cells
        ]

    def __contains__(self, name: str) -> bool:
        return name in self._cells

    def __getitem__(self, name: str) -> int:
        return self._cells[name]

    def text(self, row: list[str], name: str) -> str:
        """The cell of that name, empty where there is no such column."""
        place = self._cells.get(name)
        return "" if place is None else row[place]

    def unknown(self, row: list[str]) -> dict[str, Any]:
        """The cells that are not empty of columns that mean nothing to us, by the names of those."""
        return {name: row[place] for place, name in self._unknown if row[place]}

    def of_item(self, row: list[str]) -> list[str]:
        """The cells that every row of an item repeats."""
        return [row[place] for place in self._own]

    def any_of_annotation(self, row: list[str]) -> bool:
        """Whether a row says anything of an annotation besides its label."""
        return any(row[place] for place in self._annotation)


def row_of_item(item: Item) -> list[str]:
    """The cells of ITEM_COLUMNS."""
    return [
        item.name,
        _id_text(item.id),
        _text(item.width),
        _text(item.height),
        item.split or "",
        "" if item.reviewed is None else str(item.reviewed).lower(),
        # An empty text is a text.
        "" if item.text is None else item.text or _EMPTY,
    ]


def row_of_annotation(annotation: Annotation) -> list[str]:
    """The cells of ANNOTATION_COLUMNS."""
    box = annotation.bbox or ("", "", "", "")
    span = annotation.span or ("", "")
    return [
        *map(_text, box),
        _text(annotation.rotation),
        *map(_text, span),
        _text(annotation.score),
        "" if annotation.annotator is None else annotation.annotator or _EMPTY,
        _id_text(annotation.id),
        _text(annotation.area),
        "" if annotation.crowd is None else str(annotation.crowd).lower(),
    ]


def item_of_row(columns: Columns, row: list[str], line: int, where: str) -> Item:
    """An item, with nothing labelled in it yet; named by its line where no column names it."""
    name = columns.text(row, "item") if columns.names_items else str(line)
    text = columns.text(row, "text")
    split = columns.text(row, "split") or None
    if split is not None and split not in SPLITS:
        raise BadInputError(f"{where}: split: one of {', '.join(SPLITS)} is wanted, not {shown(split)}.")
    return Item(
        name=name,
        id=_id(columns.text(row, "item_id")),
        width=_whole(columns.text(row, "image_width"), where, "image_width"),
        height=_whole(columns.text(row, "image_height"), where, "image_height"),
        split=split,
        reviewed=_truth(columns.text(row, "reviewed"), where, "reviewed"),
        text=None if text == "" else "" if text == _EMPTY else text,
    )


def annotation_of_row(
    columns: Columns, row: list[str], label: int, item: Item, where: str
) -> Annotation | None:
    """What a row with a label says, None where that is a class of the whole item."""
    if not columns.any_of_annotation(row):
        return None
    text = columns.text
    annotator = text(row, "annotator")
    annotation = Annotation(
        label,
        bbox=_box(columns, row, where),
        rotation=_number(text(row, "rotation"), where, "rotation"),
        id=_id(text(row, "annotation_id")),
        area=_number(text(row, "area"), where, "area"),
        crowd=_truth(text(row, "crowd"), where, "crowd"),
        score=_number(text(row, "score"), where, "score"),
        annotator=None if annotator == "" else "" if annotator == _EMPTY else annotator,
    )
    if unknown := columns.unknown(row):
        annotation.extra = {UNKNOWN: unknown}
    start, end = _whole(text(row, "start"), where, "start"), _whole(text(row, "end"), where, "end")
    if (start is None) != (end is None):
        raise BadInputError(f"{where}: start and end are wanted together.")
    if start is not None and end is not None:
        if start > end or (item.text is not None and end > len(item.text)):
            raise BadInputError(f"{where}: span {start} to {end} does not lie in the text.")
        annotation.span = (start, end)
    return annotation


_EMPTY = '""'
"""How a text without characters is told from no text."""


def _box(columns: Columns, row: list[str], where: str) -> tuple[float, float, float, float] | None:
    if columns.has_edges and any(columns.text(row, name) for name in _EDGES):
        left, top, right, bottom = _numbers(columns, row, _EDGES, where)
        x, y, width, height = left, top, right - left, bottom - top
    elif any(columns.text(row, name) for name in ("x", "y", "width", "height")):
        x, y, width, height = _numbers(columns, row, ("x", "y", "width", "height"), where)
    else:
        return None
    if width < 0 or height < 0 or max(map(abs, (x, y, width, height))) > LARGEST:
        raise BadInputError(f"{where}: a box of width {width} and height {height} at {x}, {y} cannot be.")
    return x, y, width, height


def _numbers(columns: Columns, row: list[str], names: tuple[str, ...], where: str) -> list[float]:
    found = []
    for name in names:
        value = _number(columns.text(row, name), where, name)
        if value is None:
            raise BadInputError(f"{where}: {name} is empty, and the box has other sides.")
        found.append(value)
    return found


def _parsed(text: str, kind: Callable[[str], Any], where: str, name: str) -> Any:
    # Underscores and other scripts' digits are Python's own idea of a number.
    if text.isascii() and "_" not in text and len(text) < 400:
        try:
            return kind(text)
        except ValueError:
            pass
    raise BadInputError(f"{where}: {name}: a number is wanted, not {shown(text)}.")


def _number(text: str, where: str, name: str) -> float | None:
    if text == "":
        return None
    value = _parsed(text, float, where, name)
    if not math.isfinite(value):
        raise BadInputError(f"{where}: {name}: a finite number is wanted, not {shown(text)}.")
    return float(value)


def _whole(text: str, where: str, name: str) -> int | None:
    if text == "":
        return None
    value = _parsed(text, float, where, name)
    if not 0 <= value < LARGEST or value != int(value):
        raise BadInputError(f"{where}: {name}: a whole number below 2**31 is wanted, not {shown(text)}.")
    return int(value)


def _truth(text: str, where: str, name: str) -> bool | None:
    if text == "":
        return None
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise BadInputError(f"{where}: {name}: true or false is wanted, not {shown(text)}.")


def _text(value: object) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def _id_text(value: Any) -> str:
    """An id as a cell; text that looks like a number, or like quoted text, is quoted."""
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    return f'"{value}"' if value == "" or value[0] == '"' or _is_whole(value) else str(value)


def _id(text: str) -> Any:
    if text == "":
        return None
    if len(text) > 1 and text[0] == '"' and text[-1] == '"':
        return text[1:-1]
    return int(text) if _is_whole(text) else text


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 300 and str(int(text)) == text
