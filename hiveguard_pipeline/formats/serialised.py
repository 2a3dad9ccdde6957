"""The model as JSON values and back, losslessly: what the JSONL format and the side-car are made of.

Fields that are not set are left out, keys are sorted, floats are the shortest that read back the same. What
is read is checked: types, ranges, no NaN, no lone surrogates; keys that are not known go into `extra`.
"""

import math
from collections.abc import Mapping
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.model import Annotation, Box, Category, Header, Item

LARGEST = 2.0**31
"""Neither a coordinate nor a size may lie beyond this."""
SPLITS = ("train", "validation", "test")

_MARK = "hiveguard"
_VERSION = 1


def header_to_json(header: Header) -> dict[str, Any]:
    """A header as a JSON object, which `is_header` tells from an item."""
    written: dict[str, Any] = {
        _MARK: _VERSION,
        "categories": [_category_to_json(category) for category in header.categories],
    }
    if header.task_type is not None:
        written["task_type"] = header.task_type
    if header.info:
        written["info"] = header.info
    if header.licences:
        written["licences"] = header.licences
    if header.extra:
        written["extra"] = header.extra
    if header.layout:
        written["layout"] = header.layout
    return written


def is_header(value: Any) -> bool:
    """Whether a JSON value is what `header_to_json` gives."""
    return isinstance(value, dict) and type(value.get(_MARK)) is int and "categories" in value


def header_from_json(value: Any, where: str) -> Header:
    """The header of a JSON object. Raises BadInputError if it is none, or of a newer version."""
    try:
        return _header(value)
    except _FieldError as error:
        raise BadInputError(f"{where}: {error}") from None


def _header(value: Any) -> Header:
    found = dict(_object(value, "a header"))
    version = found.pop(_MARK, None)
    if version != _VERSION:
        raise _FieldError(f"a header of version {shown(version)}; this release reads {_VERSION}")
    categories = _list(found.pop("categories", None), "categories")
    licences = _list(found.pop("licences", []), "licences")
    return Header(
        categories=[_category(one, f"categories[{place}]") for place, one in enumerate(categories)],
        task_type=_optional_text(found.pop("task_type", None), "task_type"),
        info=dict(_object(found.pop("info", {}), "info")),
        licences=[dict(_object(one, f"licences[{place}]")) for place, one in enumerate(licences)],
        layout=dict(_object(found.pop("layout", {}), "layout")),
        extra=_extra(found),
    )


def item_to_json(item: Item) -> dict[str, Any]:
    """An item as a JSON object; categories as positions in the header."""
    written: dict[str, Any] = {"name": item.name}
    if item.annotations:
        written["annotations"] = [annotation_to_json(one) for one in item.annotations]
    if item.labels:
        written["labels"] = list(item.labels)
    for key, value in (
        ("id", item.id),
        ("width", item.width),
        ("height", item.height),
        ("text", item.text),
        ("split", item.split),
        ("reviewed", item.reviewed),
    ):
        if value is not None:
            written[key] = value
    if item.extra:
        written["extra"] = item.extra
    return written


def annotation_to_json(annotation: Annotation) -> dict[str, Any]:
    """An annotation as a JSON object; its category as a position in the header."""
    written: dict[str, Any] = {"category": annotation.category}
    if annotation.bbox is not None:
        written["bbox"] = annotation.bbox
    if annotation.segmentation is not None:
        written["segmentation"] = annotation.segmentation
    if annotation.rotation is not None:
        written["rotation"] = annotation.rotation
    if annotation.span is not None:
        written["span"] = annotation.span
    if annotation.id is not None:
        written["id"] = annotation.id
    if annotation.area is not None:
        written["area"] = annotation.area
    if annotation.crowd is not None:
        written["crowd"] = annotation.crowd
    if annotation.score is not None:
        written["score"] = annotation.score
    if annotation.annotator is not None:
        written["annotator"] = annotation.annotator
    if annotation.order is not None:
        written["order"] = annotation.order
    if annotation.extra:
        written["extra"] = annotation.extra
    return written


def item_from_json(value: Any, where: str, categories: int | None = None) -> Item:
    """The item of a JSON object.

    categories: how many the header has; a category beyond them is refused. Raises BadInputError with
    `where` and the field.
    """
    try:
        return _item(value, where, LARGEST if categories is None else categories)
    except _FieldError as error:
        raise BadInputError(f"{where}: {error}") from None


def annotation_from_json(value: Any, where: str, categories: int | None = None) -> Annotation:
    """The annotation of a JSON object, checked as `item_from_json` does."""
    try:
        return _annotation(value, LARGEST if categories is None else categories)
    except _FieldError as error:
        raise BadInputError(f"{where}: {error}") from None


class _FieldError(Exception):
    """What is wrong in a value, without the place; known further up."""


def _item(value: Any, where: str, categories: float) -> Item:
    found = dict(_object(value, "an item"))
    pop = found.pop
    name = pop("name", None)
    if type(name) is not str or not name:
        raise _FieldError(f"name: a text that is not empty is wanted, not {shown(name)}")
    annotations = []
    for place, one in enumerate(_list(pop("annotations", []), "annotations")):
        try:
            annotations.append(_annotation(one, categories))
        except _FieldError as error:
            raise BadInputError(f"{where}: annotations[{place}]: {error}") from None
    split = pop("split", None)
    if split is not None and split not in SPLITS:
        raise _FieldError(f"split: one of {', '.join(SPLITS)} is wanted, not {shown(split)}")
    return Item(
        name=name,
        annotations=annotations,
        labels=tuple(_position(one, "labels", categories) for one in _list(pop("labels", []), "labels")),
        id=_id(pop("id", None)),
        width=_size(pop("width", None), "width"),
        height=_size(pop("height", None), "height"),
        text=_optional_text(pop("text", None), "text"),
        split=split,
        reviewed=_truth(pop("reviewed", None), "reviewed"),
        extra=_extra(found) if found else {},
    )


def _annotation(value: Any, categories: float) -> Annotation:
    if type(value) is not dict:
        raise _FieldError(f"an object is wanted, not {shown(value)}")
    found = dict(value)
    pop = found.pop
    read = Annotation(_position(pop("category", None), "category", categories))
    if (one := pop("bbox", None)) is not None:
        read.bbox = box(one)
    if (one := pop("id", None)) is not None:
        read.id = _id(one)
    if (one := pop("area", None)) is not None:
        read.area = _number(one, "area")
    if (one := pop("crowd", None)) is not None:
        read.crowd = _truth(one, "crowd")
    if (one := pop("order", None)) is not None:
        if type(one) is not int or abs(one) >= 1 << 63:
            raise _FieldError(f"order: a whole number of 64 bits is wanted, not {shown(one)}")
        read.order = one
    if (one := pop("segmentation", None)) is not None:
        if type(one) not in (list, dict):
            raise _FieldError(f"segmentation: polygons or an RLE is wanted, not {shown(one)}")
        read.segmentation = one
    if found:
        read.score = _number(pop("score", None), "score")
        read.rotation = _number(pop("rotation", None), "rotation")
        read.annotator = _optional_text(pop("annotator", None), "annotator")
        if (one := pop("span", None)) is not None:
            read.span = _span(one)
        read.extra = _extra(found)
    return read


def box(value: Any) -> Box:
    """A box of four numbers x, y, width, height: finite, within LARGEST, no side below zero."""
    if type(value) is list and len(value) == 4:
        x, y, width, height = value
        for one in value:
            if type(one) is not float and type(one) is not int:
                break
        else:
            if (
                -LARGEST <= x <= LARGEST
                and -LARGEST <= y <= LARGEST
                and 0 <= width <= LARGEST
                and 0 <= height <= LARGEST
            ):
                return x, y, width, height
            raise _FieldError(f"bbox: {shown(value)}: width and height are at least 0, and all within 2**31")
    raise _FieldError(f"bbox: four numbers x, y, width, height are wanted, not {shown(value)}")


def _category_to_json(category: Category) -> dict[str, Any]:
    written: dict[str, Any] = {"name": category.name}
    if category.id is not None:
        written["id"] = category.id
    if category.supercategory is not None:
        written["supercategory"] = category.supercategory
    if category.extra:
        written["extra"] = category.extra
    return written


def _category(value: Any, what: str) -> Category:
    found = dict(_object(value, what))
    name = found.pop("name", None)
    if type(name) is not str:
        raise _FieldError(f"{what}: name: a text is wanted, not {shown(name)}")
    number = found.pop("id", None)
    if number is not None and type(number) is not int:
        raise _FieldError(f"{what}: id: a whole number is wanted, not {shown(number)}")
    return Category(
        name=name,
        id=number,
        supercategory=_optional_text(found.pop("supercategory", None), f"{what}: supercategory"),
        extra=_extra(found),
    )


def shown(value: Any) -> str:
    """A value as an error shows it: short."""
    text = repr(value) if not isinstance(value, dict | list) or len(value) <= 8 else f"{str(value)[:60]}..."
    return text if len(text) <= 80 else f"{text[:77]}..."


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if type(value) is not dict:
        raise _FieldError(f"{what}: an object is wanted, not {shown(value)}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if type(value) is not list:
        raise _FieldError(f"{what}: a list is wanted, not {shown(value)}")
    return value


def _extra(found: dict[str, Any]) -> dict[str, Any]:
    """What stands under `extra`, and keys that are not known."""
    extra = dict(_object(found.pop("extra", {}), "extra"))
    return {**found, **extra}


def _optional_text(value: Any, field: str) -> str | None:
    if value is None or type(value) is str:
        return value
    raise _FieldError(f"{field}: a text is wanted, not {shown(value)}")


def _truth(value: Any, field: str) -> bool | None:
    if value is None or type(value) is bool:
        return value
    raise _FieldError(f"{field}: true or false is wanted, not {shown(value)}")


def _id(value: Any) -> Any:
    if value is None or type(value) is int or type(value) is str:
        return value
    raise _FieldError(f"id: a whole number or a text is wanted, not {shown(value)}")


def _number(value: Any, field: str) -> float | None:
    if value is None:
        return None
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and abs(value) < 1 << 1000:
        return value
    raise _FieldError(f"{field}: a finite number is wanted, not {shown(value)}")


def _size(value: Any, field: str) -> int | None:
    if value is None:
        return None
    if type(value) is int and 0 <= value < LARGEST:
        return value
    raise _FieldError(f"{field}: a whole number of pixels below 2**31 is wanted, not {shown(value)}")


def _position(value: Any, field: str, categories: float) -> int:
    if type(value) is int and 0 <= value < categories:
        return value
    raise _FieldError(f"{field}: a position in the header's list of categories is wanted, not {shown(value)}")


def _span(value: Any) -> tuple[int, int]:
    if type(value) is list and len(value) == 2 and type(value[0]) is int and type(value[1]) is int:
        start, end = value
        if 0 <= start <= end < LARGEST:
            return start, end
    raise _FieldError(f"span: first and past-the-last character are wanted, not {shown(value)}")
