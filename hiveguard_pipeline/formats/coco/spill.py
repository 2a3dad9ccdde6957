"""Entries of one list of a document on disk, until their order and all ids are known."""

import os
import tempfile
from array import array
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.coco.entries import LARGEST_ID
from hiveguard_pipeline.formats.json_text import json_text

# JSON text never holds a raw control character, so these cannot stand in an entry by chance.
_ID, _IMAGE_ID = b"\x01", b"\x02"
_LAST = LARGEST_ID
"""The order of what has no place of its own in the document."""
_BLOCK = 4096


class Spill:
    """Entries in the order they come, and of each its id, its image and its place in the document.

    Memory: 28 bytes an entry.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self._what = what
        self._file = tempfile.TemporaryFile(dir=folder, prefix=".")  # noqa: SIM115
        self._lengths = array("i")
        self._ids = array("q")
        self._orders = array("q")
        self._images = array("i")
        self._without_id = array("b")

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, entries: list[dict[str, Any]], image: int, orders: list[int | None], where: str) -> None:
        """Put entries of one image down; ids that are no whole numbers of 64 bits are given at the end.

        image: the place of the image among the images. orders: places in the document; None: after all.
        Raises BadInputError with `where` for what JSON cannot say.
        """
        known = [is_id(entry["id"]) for entry in entries]
        plain = all(known) and all(is_id(entry.get("image_id", 0)) for entry in entries)
        try:
            texts = list(map(json_text if plain else _text, entries))
        except (ValueError, TypeError, RecursionError) as error:
            raise BadInputError(f"{where}: cannot be written as JSON: {error}.") from None
        self._file.write(b"".join(texts))
        self._lengths.extend(map(len, texts))
        self._ids.extend([entry["id"] if own else 0 for entry, own in zip(entries, known, strict=True)])
        self._without_id.extend([not own for own in known])
        self._images.extend([image] * len(entries))
        self._orders.extend([_LAST if order is None else order for order in orders])

    def given_ids(self) -> NDArray[np.int64]:
        """The ids of all entries: their own, or for those without the next ones after the largest.

        BadInputError for an id that stands twice.
        """
        ids = np.array(self._ids, dtype=np.int64)
        missing = np.frombuffer(self._without_id, dtype=np.bool_) if len(ids) else np.empty(0, np.bool_)
        own = np.sort(ids[~missing])
        twice = np.flatnonzero(np.diff(own) == 0)
        if len(twice):
            raise BadInputError(
                f"two {self._what} have the same id {own[twice[0]]}; give each an id of its own."
            )
        if missing.any():
            after = max(int(own[-1]), 0) if len(own) else 0
            order = self._order()
            order = order[missing[order]]
            if after + len(order) > LARGEST_ID:
                raise BadInputError(
                    f"{len(order)} {self._what} have no id for COCO, and after the largest, {after}, "
                    "no number of 64 bits is left for them; give each an id of its own."
                )
            ids[order] = np.arange(after + 1, after + 1 + len(order), dtype=np.int64)
        return ids

    def copy(self, target: BinaryIO, ids: NDArray[np.int64], image_ids: NDArray[np.int64]) -> None:
        """Write all entries as a JSON list, in the order of the document."""
        self._file.flush()
        ends = np.cumsum(np.array(self._lengths, dtype=np.int64))
        order = self._order()
        images = np.frombuffer(self._images, dtype=np.int32) if len(order) else np.empty(0, np.int32)
        before = b"[\n"
        for first in range(0, len(order), _BLOCK):
            rows = order[first : first + _BLOCK]
            texts = self._texts(rows, ends)
            for place, text in enumerate(texts):
                if b"\x01" in text or b"\x02" in text:
                    row = rows[place]
                    text = text.replace(_ID, b"%d" % ids[row])
                    texts[place] = text.replace(_IMAGE_ID, b"%d" % image_ids[images[row]])
            target.write(before + b",\n".join(texts))
            before = b",\n"
        target.write(b"\n]" if len(order) else b"[]")

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def _order(self) -> NDArray[np.intp]:
        return np.argsort(np.array(self._orders, dtype=np.int64), kind="stable")

    def _texts(self, rows: NDArray[np.intp], ends: NDArray[np.int64]) -> list[bytes]:
        file = self._file.fileno()
        lengths = np.frombuffer(self._lengths, dtype=np.int32)[rows]
        starts = ends[rows] - lengths
        if (np.diff(rows) == 1).all():
            first = int(starts[0])
            text = os.pread(file, int(ends[rows[-1]]) - first, first)
            cuts = (starts - first).tolist()
            return [text[cut : cut + length] for cut, length in zip(cuts, lengths.tolist(), strict=True)]
        return [
            os.pread(file, length, start)
            for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
        ]


def _text(entry: dict[str, Any]) -> bytes:
    """The JSON of an entry with marks in place of ids that are not known."""
    pieces = []
    for key, value in entry.items():
        if key in ("id", "image_id") and not is_id(value):
            text = _ID if key == "id" else _IMAGE_ID
        else:
            text = json_text(value)
        pieces.append(json_text(key) + b":" + text)
    return b"{" + b",".join(pieces) + b"}"


def is_id(value: Any) -> bool:
    """Whether a value can stand as an id: a whole number of 64 bits."""
    return type(value) is int and -LARGEST_ID <= value <= LARGEST_ID
