"""Reading a COCO document: columns of ids and places first, then image after image with its annotations.

Annotations may stand in any order and before the images; they are found again by their places in the file.
"""

import itertools
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.coco.arrays import JsonArrays
from hiveguard_pipeline.formats.coco.entries import (
    ARRAYS,
    KEY_ORDERS,
    annotation,
    header_of,
    image_item,
    whole_id,
)
from hiveguard_pipeline.formats.format import Options, Read, Reading

Column = NDArray[np.int64]


class CocoDocument:
    """An opened document. Held in memory: some numbers an image and an annotation, no entry of either."""

    def __init__(self, path: Path, options: Options) -> None:
        """Read it once. BadInputError for ids missing, given twice or not known, with both places."""
        self._shown = path.name
        self._root = options.rebase_paths
        self._rebased = False
        self._document = JsonArrays(path, self._shown, ARRAYS)
        rest = self._document.rest
        if "images" not in rest:
            raise BadInputError(
                f'{self._shown}: no "images": this is no COCO dataset. Name its format with --from.'
            )
        self._header = header_of(rest, self._shown)
        self._places = {category.id or 0: at for at, category in enumerate(self._header.categories)}
        image_ids = self._image_ids()
        self._by_image, self._first = self._grouped(image_ids, self._image_of_each(image_ids))

    def reading(self) -> Reading:
        """The document as the converter takes it."""
        return Reading(self._header, self._reads, rebased=self._rebased)

    def _reads(self) -> Iterator[Read]:
        place = 0
        for block in self._document.elements("images"):
            for entry in block:
                item, _ = image_item(entry, f"{self._shown}: images[{place}]", self._root)
                orders = self._by_image[self._first[place] : self._first[place + 1]]
                for order, found in zip(
                    orders.tolist(), self._document.at("annotations", orders), strict=True
                ):
                    where = f"{self._shown}: annotations[{order}] (id {found.get('id')})"
                    item.annotations.append(annotation(found, where, self._places, order))
                yield Read(item)
                place += 1

    def _image_ids(self) -> Column:
        count = self._document.count("images")
        ids, names = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.uint64)
        place = 0
        for block in self._document.elements("images"):
            if not place:
                self._note_keys("image", block[0])
            for entry in block:
                where = f"{self._shown}: images[{place}]"
                ids[place] = whole_id(entry, "id", where)
                item, rebased = image_item(entry, where, self._root)
                self._rebased |= rebased
                names[place] = int.from_bytes(blake2b(item.name.encode(), digest_size=8).digest(), "big")
                place += 1
        _refuse_twins(ids, self._shown, "images", "id")
        _refuse_twins(names, self._shown, "images", "file_name")
        return ids

    def _image_of_each(self, image_ids: Column) -> Column:
        """The image of each annotation, as a position. Also looks for annotation ids that stand twice."""
        count = self._document.count("annotations")
        ids, images = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
        has_id = np.ones(count, dtype=np.bool_)
        place = 0
        for block in self._document.elements("annotations"):
            if not place:
                self._note_keys("annotation", block[0])
            try:
                _take_ids(block, slice(place, place + len(block)), ids, images)
            except (KeyError, TypeError, OverflowError):
                for row, entry in enumerate(block, place):
                    where = f"{self._shown}: annotations[{row}]"
                    images[row] = whole_id(entry, "image_id", where)
                    has_id[row] = entry.get("id") is not None
                    if has_id[row]:
                        ids[row] = whole_id(entry, "id", where)
            place += len(block)
        _refuse_twins(ids if has_id.all() else ids[has_id], self._shown, "annotations", "id", has_id)
        return self._positions(images, image_ids)

    def _positions(self, images: Column, image_ids: Column) -> Column:
        order = np.argsort(image_ids, kind="stable")
        sorted_ids = image_ids[order]
        at = np.searchsorted(sorted_ids, images)
        known = at < len(sorted_ids)
        known[known] = sorted_ids[at[known]] == images[known]
        if not known.all():
            place = int(np.argmin(known))
            raise BadInputError(
                f"{self._shown}: annotations[{place}]: image_id {images[place]} is not among the images."
            )
        return order[at]

    def _grouped(self, image_ids: Column, images: Column) -> tuple[Column, Column]:
        """Annotations in the order of their images, and where those of each image begin."""
        counts = np.bincount(images, minlength=len(image_ids)) if len(images) else np.zeros(len(image_ids))
        first = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return np.argsort(images, kind="stable"), first

    def _note_keys(self, what: str, entry: Any) -> None:
        if isinstance(entry, dict):
            self._header.layout[KEY_ORDERS][what] = list(entry)


def _take_ids(block: list[Any], rows: slice, ids: Column, images: Column) -> None:
    """The ids of a block, when all are plain; TypeError, KeyError or OverflowError when not."""
    found = [entry["id"] for entry in block], [entry["image_id"] for entry in block]
    if set(map(type, itertools.chain(*found))) != {int}:
        raise TypeError
    ids[rows], images[rows] = found


def _refuse_twins(
    values: NDArray[Any], shown: str, what: str, key: str, present: NDArray[np.bool_] | None = None
) -> None:
    order = np.argsort(values, kind="stable")
    alike = np.flatnonzero(np.diff(values[order]) == 0)
    if not len(alike):
        return
    row = alike[np.argmin(order[alike + 1])]
    first, second = int(order[row]), int(order[row + 1])
    if present is not None:
        first, second = (int(place) for place in np.flatnonzero(present)[[first, second]])
    value = f" {values[order[row]]}" if key == "id" else ""
    raise BadInputError(
        f"{shown}: {what}[{first}] and {what}[{second}] have the same {key}{value}; give each its own."
    )
