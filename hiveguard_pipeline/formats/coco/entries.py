"""Entries of a COCO document to the model, checked: categories, images, annotations.

A key whose value is null, or that is not known, goes into `extra` as it came.
"""

import math
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.model import Annotation, Box, Category, Header, Item
from hiveguard_pipeline.formats.names import relative_to_root
from hiveguard_pipeline.formats.serialised import LARGEST, shown

KEY_ORDERS = "coco"
"""Under this name Header.layout holds the key orders: document, category, image, annotation."""
ARRAYS = ("images", "annotations")
LARGEST_ID = 2**63 - 1


def header_of(document: dict[str, Any], where: str) -> Header:
    """The header of a document without its images and annotations."""
    rest = dict(document)
    for name in ARRAYS:
        rest.pop(name, None)
    categories = [
        _category(entry, f"{where}: categories[{place}]")
        for place, entry in enumerate(_list(rest.pop("categories", []), f"{where}: categories"))
    ]
    seen: dict[int, int] = {}
    for place, category in enumerate(categories):
        assert category.id is not None
        if category.id in seen:
            raise BadInputError(
                f"{where}: categories[{seen[category.id]}] and categories[{place}] have the same id "
                f"{category.id}; give each category an id of its own."
            )
        seen[category.id] = place
    header = Header(categories, extra=rest)
    if isinstance(rest.get("info"), dict):
        header.info = rest.pop("info")
    licences = rest.get("licenses")
    if isinstance(licences, list) and all(isinstance(one, dict) for one in licences):
        header.licences = rest.pop("licenses")
    orders: dict[str, Any] = {"document": list(document)}
    if categories:
        orders["category"] = list(document["categories"][0])
    header.layout[KEY_ORDERS] = orders
    return header


def whole_id(entry: Any, key: str, where: str) -> int:
    """An id of an entry: a whole number of 64 bits."""
    if type(entry) is not dict:
        raise BadInputError(f"{where}: an object is wanted, not {shown(entry)}.")
    value = entry.get(key)
    if type(value) is not int or not -LARGEST_ID <= value <= LARGEST_ID:
        raise BadInputError(f"{where}: {key}: a whole number of 64 bits is wanted, not {shown(value)}.")
    return value


def image_item(entry: dict[str, Any], where: str, root: str | None) -> tuple[Item, bool]:
    """The item of an image, without annotations, and whether the root was taken off its name."""
    rest = dict(entry)
    name, rebased = relative_to_root(rest.pop("file_name", None), root, where)
    item = Item(name, id=rest.pop("id"), extra=rest)
    if rest.get("width") is not None:
        item.width = _size(rest.pop("width"), f"{where}: width")
    if rest.get("height") is not None:
        item.height = _size(rest.pop("height"), f"{where}: height")
    return item, rebased


def annotation(entry: dict[str, Any], where: str, places: dict[int, int], order: int) -> Annotation:
    """The annotation of an entry. places: position in the header by category id."""
    rest = dict(entry)
    take = rest.pop
    del rest["image_id"]
    read = Annotation(0, id=take("id", None), order=order)
    category = take("category_id", None)
    if (box := take("bbox", None)) is not None:
        read.bbox = _box(box, where)
    if (segmentation := take("segmentation", None)) is not None:
        if type(segmentation) is not list and type(segmentation) is not dict:
            raise BadInputError(
                f"{where}: segmentation: polygons or an RLE is wanted, not {shown(segmentation)}."
            )
        read.segmentation = segmentation
    if (area := take("area", None)) is not None:
        read.area = _positive(area, f"{where}: area")
    if (crowd := take("iscrowd", None)) is not None:
        if (type(crowd) is not int and type(crowd) is not bool) or crowd not in (0, 1):
            raise BadInputError(f"{where}: iscrowd: 0 or 1 is wanted, not {shown(crowd)}.")
        read.crowd = bool(crowd)
    if (score := take("score", None)) is not None:
        if type(score) is not int and type(score) is not float:
            raise BadInputError(f"{where}: score: a number is wanted, not {shown(score)}.")
        read.score = score
    if rest or None in entry.values():
        # A null stands for itself; but an id or area of null is a missing one, and is given anew.
        read.extra = {
            key: value
            for key, value in entry.items()
            if key in rest or (value is None and key not in ("id", "area"))
        }
    if type(category) is not int:
        raise BadInputError(
            f"{where}: category_id: a whole number is wanted, not {shown(category)} (a file of captions, "
            "which have none, is not taken)."
        )
    if category not in places:
        raise BadInputError(f"{where}: category_id {category} is not among the categories.")
    read.category = places[category]
    return read


def _category(entry: Any, where: str) -> Category:
    number = whole_id(entry, "id", where)
    rest = dict(entry)
    del rest["id"]
    name = rest.pop("name", None)
    if type(name) is not str:
        raise BadInputError(f"{where}: name: a text is wanted, not {shown(name)}.")
    category = Category(name, number, extra=rest)
    if type(rest.get("supercategory")) is str:
        category.supercategory = rest.pop("supercategory")
    return category


def _box(value: Any, where: str) -> Box:
    if type(value) is not list or len(value) != 4:
        raise BadInputError(
            f"{where}: bbox: four numbers x, y, width, height are wanted, not {shown(value)}."
        )
    for one in value:
        if (type(one) is not float and type(one) is not int) or not -LARGEST <= one <= LARGEST:
            raise BadInputError(f"{where}: bbox: {shown(value)}: numbers within 2**31 are wanted.")
    if value[2] < 0 or value[3] < 0:
        raise BadInputError(f"{where}: bbox: {shown(value)}: a width or height below zero.")
    return (value[0], value[1], value[2], value[3])


def _positive(value: Any, where: str) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf or value >= 1 << 1000:
        raise BadInputError(f"{where}: a number of at least 0 is wanted, not {shown(value)}.")
    number: float = value
    return number


def _size(value: Any, where: str) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 1 <= value < LARGEST:
        raise BadInputError(
            f"{where}: a whole number of pixels from 1 to 2**31 is wanted, not {shown(value)}."
        )
    return value


def _list(value: Any, where: str) -> list[Any]:
    if type(value) is not list:
        raise BadInputError(f"{where}: a list is wanted, not {shown(value)}.")
    return value
