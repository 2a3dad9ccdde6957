"""Writing a COCO document: entries go to spill files as items come, and are put in order at the end.

Only then is it known which ids are taken, so ids that are missing are filled in there.
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.coco.area import area_of
from hiveguard_pipeline.formats.coco.entries import ARRAYS, KEY_ORDERS, LARGEST_ID
from hiveguard_pipeline.formats.coco.spill import Spill, is_id
from hiveguard_pipeline.formats.format import Feature, Options, Written
from hiveguard_pipeline.formats.images.geometry import upright
from hiveguard_pipeline.formats.json_text import json_text
from hiveguard_pipeline.formats.losses import Losses
from hiveguard_pipeline.formats.model import Annotation, Category, Header, Item
from hiveguard_pipeline.formats.names import under_root
from hiveguard_pipeline.formats.serialised import shown

_DOCUMENT_KEYS = ["info", "licenses", "images", "annotations", "categories"]
_IMAGE_KEYS = ["id", "file_name", "width", "height"]
_ANNOTATION_KEYS = ["id", "image_id", "category_id", "bbox", "area", "segmentation", "iscrowd", "score"]
_CATEGORY_KEYS = ["id", "name", "supercategory"]


def write_coco(
    header: Header, items: Iterable[Item], target: Path, options: Options, losses: Losses
) -> Iterator[Written]:
    """Write a document. Spill files lie beside the target and are gone when this ends."""
    writer = _Writer(header, target, options, losses)
    try:
        for item in items:
            writer.add(item)
            yield Written(item, rows=[None if _is_span(one) else "" for one in item.annotations])
        writer.finish()
    finally:
        writer.close()


class _Writer:
    def __init__(self, header: Header, target: Path, options: Options, losses: Losses) -> None:
        orders = header.layout.get(KEY_ORDERS)
        self._from_coco = isinstance(orders, dict)
        self._orders = _key_orders(orders) if isinstance(orders, dict) else {}
        self._header, self._target, self._losses = header, target, losses
        self._root = options.rebase_paths
        self._categories = _category_ids(header.categories)
        self._images = Spill(target.parent, "images")
        self._annotations = Spill(target.parent, "annotations")

    def add(self, item: Item) -> None:
        """One image and its annotations."""
        if item.id is not None and not is_id(item.id):
            self._losses.add(Feature.IMAGE_IDS.value, f"{item.name}: {item.id!r} is not a whole number")
        values: dict[str, Any] = {"id": item.id, "file_name": under_root(item.name, self._root)}
        if item.width is not None:
            values["width"] = item.width
        if item.height is not None:
            values["height"] = item.height
        number = len(self._images)
        entry = self._entry("image", _IMAGE_KEYS, values, item.extra, item)
        self._images.add([entry], number, [number], item.name)
        kept = [one for one in item.annotations if not _is_span(one)]
        entries = [self._annotation_entry(one, item) for one in kept]
        self._annotations.add(entries, number, [one.order for one in kept], item.name)

    def finish(self) -> None:
        """Put the document together."""
        images = self._images.given_ids()
        with self._target.open("xb") as file:
            before = b"{"
            for key in self._document_keys():
                file.write(before + _json(key) + b":")
                if key == "images":
                    self._images.copy(file, images, images)
                elif key == "annotations":
                    self._annotations.copy(file, self._annotations.given_ids(), images)
                else:
                    self._write_rest(file, key)
                before = b",\n"
            file.write(b"}\n")

    def close(self) -> None:
        """Take the spill files away."""
        self._images.close()
        self._annotations.close()

    def _annotation_entry(self, annotation: Annotation, item: Item) -> dict[str, Any]:
        if annotation.id is not None and not is_id(annotation.id):
            example = f"{item.name}: {annotation.id!r} is not a whole number"
            self._losses.add(Feature.ANNOTATION_IDS.value, example)
        values: dict[str, Any] = {
            "id": annotation.id,
            "image_id": item.id,
            "category_id": self._categories[annotation.category],
            "area": area_of(annotation) if annotation.area is None else annotation.area,
        }
        if annotation.bbox is not None:
            values["bbox"] = upright(annotation.bbox, annotation.rotation)
        if annotation.segmentation is not None:
            values["segmentation"] = annotation.segmentation
        if annotation.crowd is not None:
            values["iscrowd"] = int(annotation.crowd)
        elif annotation.order is None or not self._from_coco:
            values["iscrowd"] = 0
        if annotation.score is not None:
            values["score"] = annotation.score
        return self._entry("annotation", _ANNOTATION_KEYS, values, annotation.extra, item)

    def _entry(
        self, what: str, keys: list[str], values: dict[str, Any], extra: dict[str, Any], item: Item
    ) -> dict[str, Any]:
        """An entry's keys in the order of the source, where it was COCO; what the model knows comes first."""
        if extra:
            for key in extra:
                if key in keys and values.get(key) is not None:
                    self._losses.add(Feature.EXTRA.value, f"{item.name}: {key}: stands there already")
            values = {**extra, **values}
        order = self._orders.get(what, keys)
        entry = {key: values[key] for key in order if key in values}
        return entry if len(entry) == len(values) else {**entry, **values}

    def _document_keys(self) -> list[str]:
        wanted = {*ARRAYS, "categories", *self._header.extra}
        if self._from_coco:
            wanted -= {"annotations"} if not len(self._annotations) else set()
            wanted -= {"categories"} if not self._categories else set()
        wanted |= {"info"} if self._header.info else set()
        wanted |= {"licenses"} if self._header.licences else set()
        if not self._from_coco:
            return [key for key in _DOCUMENT_KEYS if key in wanted] + [
                key for key in self._header.extra if key not in _DOCUMENT_KEYS
            ]
        order = self._orders.get("document", [])
        return order + [key for key in (*_DOCUMENT_KEYS, *self._header.extra) if key in wanted - set(order)]

    def _write_rest(self, file: BinaryIO, key: str) -> None:
        if key == "categories":
            values: Any = [
                self._category_entry(category, number)
                for category, number in zip(self._header.categories, self._categories, strict=True)
            ]
        elif key == "info":
            values = self._header.info or self._header.extra.get(key, {})
        elif key == "licenses":
            values = self._header.licences or self._header.extra.get(key, [])
        else:
            values = self._header.extra.get(key)
        file.write(_json(values))

    def _category_entry(self, category: Category, number: int) -> dict[str, Any]:
        values = {**category.extra, "id": number, "name": category.name}
        if category.supercategory is not None:
            values["supercategory"] = category.supercategory
        order = self._orders.get("category", _CATEGORY_KEYS)
        return {key: values[key] for key in (*order, *values) if key in values}


def _key_orders(said: dict[str, Any]) -> dict[str, list[str]]:
    """The orders of keys in a header's layout, which a file from elsewhere may have made anything of."""
    return {
        what: list(dict.fromkeys(key for key in keys if isinstance(key, str)))
        for what, keys in said.items()
        if isinstance(keys, list)
    }


def _category_ids(categories: list[Category]) -> list[int]:
    """The ids of categories: their own, or the next ones after the largest."""
    own = [category.id for category in categories if category.id is not None]
    for number in own:
        if not is_id(number):
            name = next(shown(one.name) for one in categories if one.id == number)
            raise BadInputError(
                f"category {name}: its id {number} is no whole number of 64 bits, as COCO wants; change it."
            )
    if len(set(own)) < len(own):
        raise BadInputError("two categories have the same id; give each an id of its own.")
    last = max([0, *own])
    if last + len(categories) - len(own) > LARGEST_ID:
        raise BadInputError(
            f"after the largest category id, {last}, no number of 64 bits is left for the categories without "
            "one; give each an id of its own."
        )
    free = itertools.count(last + 1)
    return [next(free) if category.id is None else category.id for category in categories]


def _json(value: Any) -> bytes:
    try:
        return json_text(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInputError(f"cannot be written as JSON ({error}): {shown(value)}") from None


def _is_span(annotation: Annotation) -> bool:
    """A span of text, of which an image's document can say nothing."""
    return annotation.span is not None and annotation.bbox is None
