"""The side-car: `hiveguard.jsonl` in an output folder, which keeps for the way back what files cannot hold.

Its first line is the header, then comes one line an item (file, digests of what was written, the item
itself as serialised.py has it), then a line that closes it with their number and a digest of all before.
Restoring is in side_car/join.py.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import numpy as np
import orjson

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.format import Written
from hiveguard_pipeline.formats.json_text import json_line, json_text, json_value
from hiveguard_pipeline.formats.model import Annotation, Header, Item
from hiveguard_pipeline.formats.names import checked_name, distinct_names
from hiveguard_pipeline.formats.serialised import (
    header_from_json,
    header_to_json,
    item_from_json,
    item_to_json,
)

SIDE_CAR = "hiveguard.jsonl"
_VERSION = 1
_ITEM = b',"item":'
_LONGEST_LINE = 256 << 20
_ROW = (str, type(None))
_BLOCK = 1 << 20


def row_digest(row: str) -> str:
    """What the side-car keeps of a written row: 64 bits."""
    return blake2b(row.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def rows_digest(about: str, rows: Sequence[str]) -> int:
    """One number for all that a file says of an item: 64 bits over `about` and the rows in their order."""
    text = "\n".join([about, *rows])
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def shape_digest(rows: Sequence[str | None], annotations: Sequence[Annotation], names: Sequence[str]) -> str:
    """64 bits over the rows without the names of their classes: the same when a class was only renamed."""
    shapes = [
        row.replace(names[annotation.category], "", 1)
        for row, annotation in zip(rows, annotations, strict=True)
        if row is not None
    ]
    return row_digest("\n".join(shapes))


def file_digest(name: str) -> int:
    """A file's relative path as a number of 64 bits."""
    return content_digest(name.encode("utf-8", "surrogatepass"))


def content_digest(content: bytes) -> int:
    """What is in a file as a number of 64 bits."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


class SideCarWriter:
    """Writes a side-car beside the files of a conversion; to be used as a context."""

    def __init__(self, folder: Path, format_name: str, header: Header) -> None:
        self._file: BinaryIO = (folder / SIDE_CAR).open("xb", buffering=_BLOCK)
        self._hash = blake2b(digest_size=16)
        self._items = 0
        self._names = distinct_names(header.categories)
        first = {"side_car": _VERSION, "format": format_name, "header": header_to_json(header)}
        self._put(json_line(first))

    def add(self, written: Written) -> None:
        """One item. Raises BadInputError for one that JSON cannot say."""
        rows = [row for row in written.rows if row is not None]
        said = {
            "about": row_digest(written.about),
            "check": f"{rows_digest(written.about, rows):016x}",
            "content": None if written.content is None else f"{content_digest(written.content):016x}",
            "file": written.file,
            "rows": [None if row is None else row_digest(row) for row in written.rows],
            "shape": shape_digest(written.rows, written.item.annotations, self._names),
            "size": [written.item.width, written.item.height],
        }
        try:
            # Not sorted: the order of keys in an entry comes back too.
            item = json_text(item_to_json(written.item))
            start = json_line(said)
        except (ValueError, TypeError, RecursionError) as error:
            raise BadInputError(f"{written.item.name}: cannot be kept in {SIDE_CAR}: {error}.") from None
        self._put(start[:-2] + _ITEM + item + b"}\n")
        self._items += 1

    def finish(self) -> None:
        """Close it with its number of items and its digest."""
        self._file.write(json_line({"digest": self._hash.hexdigest(), "items": self._items}))
        self.close()

    def close(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def _put(self, line: bytes) -> None:
        self._hash.update(line)
        self._file.write(line)


class BrokenSideCarError(Exception):
    """A side-car that cannot be trusted; the message says why."""


@dataclass(slots=True)
class KeptItem:
    """A line of a side-car: the item and digests: of each row (None: not written), `about` and the shapes."""

    item: Item
    rows: list[str | None]
    about: str
    shape: str


class SideCar:
    """An opened side-car, checked whole. Held in memory: some numbers an item.

    header: as it was written. files, checks, abouts: of each item the digests of its path and of what was
    written of it (uint64). sizes: width and height (int32, items x 2; 0: not known). rows: how many were
    written. same_classes: the files' classes are still those it was written with; the joiner sets it.
    """

    def __init__(self, folder: Path, format_name: str) -> None:
        """Open and check the side-car of a folder. Raises BrokenSideCarError if it was changed or cut off."""
        self._shown = folder / SIDE_CAR
        self._file = self._shown.open("rb")
        self._starts = array("q")
        columns = [array("Q"), array("Q"), array("Q"), array("i"), array("i"), array("q"), array("Q")]
        self.same_classes = False
        try:
            self.header = self._read_columns(format_name, columns)
        except (BadInputError, LookupError, AttributeError, TypeError, ValueError, OverflowError) as error:
            raise BrokenSideCarError(f"it cannot be read ({error})") from None
        files, checks, abouts, widths, heights, rows, contents = columns
        self.files, self.checks, self.abouts = (np.array(column) for column in (files, checks, abouts))
        self.sizes = np.stack([np.array(widths), np.array(heights)], axis=1)
        self.rows, self._contents = np.array(rows), np.array(contents)
        self._by_file = np.argsort(self.files, kind="stable")
        self._sorted_files = self.files[self._by_file]

    def __len__(self) -> int:
        return len(self.files)

    def known_size(self, file: str) -> tuple[int, int] | None:
        """Width and height of the item in an annotation file, if the side-car knows them."""
        position = self.position(file)
        if position is None:
            return None
        width, height = self.sizes[position].tolist()
        return (width, height) if width and height else None

    def unchanged(self, file: str, content: bytes) -> bool:
        """Whether an annotation file holds what was written, and that still means what it meant."""
        position = self.position(file) if self.same_classes else None
        # An item with no digest has 0 here, which no content has but once in 2**64.
        return position is not None and int(self._contents[position]) == content_digest(content)

    def position(self, file: str) -> int | None:
        """The first line of a file, or None."""
        digest = np.uint64(file_digest(file))
        at = int(np.searchsorted(self._sorted_files, digest))
        return int(self._by_file[at]) if at < len(self) and self._sorted_files[at] == digest else None

    def kept(self, position: int) -> KeptItem:
        """The item of a line. Raises BadInputError for what was never written so."""
        self._file.seek(self._starts[position])
        line = self._file.readline(_LONGEST_LINE)
        where = f"{self._shown}, line {position + 2}"
        start, _, rest = line.partition(_ITEM)
        said = orjson.loads(start + b"}")
        value = json_value(rest.rstrip()[:-1], where, depth_known=True)
        item = item_from_json(value, where, len(self.header.categories))
        if item.text is None:
            checked_name(item.name, where)
        if len(said["rows"]) != len(item.annotations):
            raise BadInputError(f"{where}: {len(said['rows'])} rows of {len(item.annotations)} annotations.")
        return KeptItem(item, said["rows"], said["about"], said["shape"])

    def _read_columns(self, format_name: str, columns: list["array[int]"]) -> Header:
        files, checks, abouts, widths, heights, row_counts, contents = columns
        first = self._file.readline(_LONGEST_LINE)
        said = json_value(first, f"{SIDE_CAR}, line 1")
        if said["side_car"] != _VERSION or said["format"] != format_name:
            raise BrokenSideCarError(f"it is of {said['format']}, version {said['side_car']}")
        header = header_from_json(said["header"], f"{SIDE_CAR}, line 1")
        digest = blake2b(first, digest_size=16)
        at = len(first)
        last = b""
        while line := self._file.readline(_LONGEST_LINE):
            start, found, _ = line.partition(_ITEM)
            if not found:
                last = line
                break
            digest.update(line)
            said = orjson.loads(start + b"}")
            if type(said["shape"]) is not str or not all(type(row) in _ROW for row in said["rows"]):
                raise BrokenSideCarError(f"line {len(files) + 2} has other digests than were ever written")
            self._starts.append(at)
            at += len(line)
            files.append(file_digest(said["file"]))
            checks.append(int(said["check"], 16))
            abouts.append(int(said["about"], 16))
            widths.append(said["size"][0] or 0)
            heights.append(said["size"][1] or 0)
            row_counts.append(len(said["rows"]) - said["rows"].count(None))
            contents.append(int(said["content"] or "0", 16))
        end = json_value(last, "its last line")
        if end != {"digest": digest.hexdigest(), "items": len(files)} or self._file.read(1):
            raise BrokenSideCarError("it was changed since it was written, or is cut off")
        return header
