"""Where the elements of a JSON document's large arrays lie, found in one pass over its bytes.

A document is an object whose large arrays are its own values ({"images": [...], "annotations": [...]}).
The pass looks at quotes and brackets only, some hundred kilobytes at a time; what stands between them is
judged when it is parsed (coco/arrays.py). It bounds what is parsed later: how deep, and how large at once.
"""

import json
import os
import re
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.json_text import DEEPEST

LARGEST_ELEMENT = 8 << 20
"""Bytes of one element of a large array."""
LARGEST_REST = 16 << 20
"""Bytes of a document without its large arrays."""
_CHUNK = 1 << 18
_QUOTE, _OPEN, _CLOSE = 1, 2, 3
_KINDS = np.zeros(256, dtype=np.uint8)
_KINDS[ord('"')] = _QUOTE
_KINDS[[ord("["), ord("{")]] = _OPEN
_KINDS[[ord("]"), ord("}")]] = _CLOSE
_STEPS = np.array([0, 0, 1, -1], dtype=np.int32)
_LONGEST_KEY = 256
_KEY_AND_ARRAY = re.compile(rb'("(?:[^"\\]|\\.)*")\s*:\s*\[')
_ESCAPED = re.compile(rb"\\.", re.DOTALL)


@dataclass(slots=True)
class LargeArray:
    """One array. begin, end: the bytes between its brackets; starts, ends: those of each element (int64)."""

    begin: int
    end: int = 0
    starts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    ends: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))


@dataclass(slots=True)
class Survey:
    """Of a document: its large arrays by name, and the byte ranges of all else."""

    arrays: dict[str, LargeArray] = field(default_factory=dict)
    rest: list[tuple[int, int]] = field(default_factory=list)


def survey(file: BinaryIO, shown: str, names: tuple[str, ...]) -> Survey:
    """Survey an open document for the arrays of these names. shown: the file, as errors name it.

    Raises BadInputError for a document that is cut off, nested more than DEEPEST levels, or holds an
    element or a rest that is too large to be taken at once.
    """
    return _Surveyor(file, shown, names).run()


class _Surveyor:
    def __init__(self, file: BinaryIO, shown: str, names: tuple[str, ...]) -> None:
        self._file, self._shown, self._names = file, shown, names
        self._found = Survey()
        self._depth = 0
        self._in_string = False
        self._string = (0, 0)  # the last string at depth 1: the key of a value that opens
        self._array: LargeArray | None = None
        self._starts: list[NDArray[np.int64]] = []
        self._ends: list[NDArray[np.int64]] = []
        self._rest_from = 0
        self._rest_size = 0

    def run(self) -> Survey:
        """Read the file to its end."""
        at = 0
        held = b""
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            chunk = held + chunk
            held = b""
            if b"\\" in chunk:
                # An escape that the end of the chunk cuts in two is looked at with the next one.
                if (len(chunk) - len(chunk.rstrip(b"\\"))) % 2:
                    held, chunk = b"\\", chunk[:-1]
                chunk = _ESCAPED.sub(b"  ", chunk)
            self._take(chunk, at)
            at += len(chunk)
            if self._array is None and self._rest_size + at - self._rest_from > LARGEST_REST:
                raise BadInputError(
                    f"{self._shown}: more than {LARGEST_REST >> 20} MB beside {' and '.join(self._names)}."
                )
        at += len(held)
        if self._in_string or self._depth or held:
            where = "inside a text" if self._in_string else f"with {self._depth} brackets open"
            raise BadInputError(f"{self._shown}: the file is cut off: it ends at byte {at}, {where}.")
        self._found.rest.append((self._rest_from, at))
        return self._found

    def _take(self, chunk: bytes, at: int) -> None:
        kinds = _KINDS[np.frombuffer(chunk, dtype=np.uint8)]
        places = np.flatnonzero(kinds)
        if not len(places):
            return
        kinds = kinds[places]
        quotes = np.cumsum(kinds == _QUOTE) + self._in_string
        # A bracket that follows an odd number of quotes is part of a text.
        kinds[(quotes % 2 == 1) & (kinds != _QUOTE)] = 0
        depths = np.cumsum(_STEPS[kinds], dtype=np.int64) + self._depth
        places += at
        self._check_depths(depths, places)
        opens = ((kinds == _QUOTE) & (depths == 1)) | ((kinds == _OPEN) & (depths == 2))
        closes = (kinds == _CLOSE) & (depths == 1)
        inside_from = 0
        for row in np.flatnonzero(opens | closes).tolist():
            place = int(places[row])
            if kinds[row] == _QUOTE:
                self._string = (place, 0) if quotes[row] % 2 else (self._string[0], place + 1)
            elif kinds[row] == _OPEN:
                self._open(place)
                inside_from = row + 1
            elif self._array is not None:
                self._gather(kinds[inside_from:row], depths[inside_from:row], places[inside_from:row])
                self._close(place)
        if self._array is not None:
            self._gather(kinds[inside_from:], depths[inside_from:], places[inside_from:])
        self._depth = int(depths[-1])
        self._in_string = bool(quotes[-1] % 2)

    def _check_depths(self, depths: NDArray[np.int64], places: NDArray[np.int64]) -> None:
        if depths.max() > DEEPEST:
            place = places[np.argmax(depths > DEEPEST)]
            raise BadInputError(f"{self._shown}: byte {place}: JSON nested more than {DEEPEST} levels.")
        if depths.min() < 0:
            place = places[np.argmax(depths < 0)]
            raise BadInputError(f"{self._shown}: byte {place}: a bracket is closed that was not opened.")

    def _open(self, place: int) -> None:
        """A value of the document opens; it may be one of the large arrays."""
        name = self._name_before(place)
        if name is None:
            return
        if name in self._found.arrays:
            raise BadInputError(f"{self._shown}: byte {place}: the key '{name}' stands there twice.")
        self._array = self._found.arrays[name] = LargeArray(place + 1)
        self._found.rest.append((self._rest_from, place + 1))
        self._rest_size += place + 1 - self._rest_from

    def _name_before(self, place: int) -> str | None:
        """The name of the large array that opens here, None where another value does."""
        start, end = self._string
        if not 0 < end - start <= _LONGEST_KEY or place - end > _LONGEST_KEY:
            return None
        found = _KEY_AND_ARRAY.fullmatch(os.pread(self._file.fileno(), place + 1 - start, start))
        if found is None:
            return None
        try:
            name = json.loads(found[1])
        except ValueError:
            return None
        return name if name in self._names else None

    def _gather(self, kinds: NDArray[np.uint8], depths: NDArray[np.int64], places: NDArray[np.int64]) -> None:
        self._starts.append(places[(kinds == _OPEN) & (depths == 3)])
        self._ends.append(places[(kinds == _CLOSE) & (depths == 2)] + 1)

    def _close(self, place: int) -> None:
        assert self._array is not None
        array, self._array = self._array, None
        array.end = self._rest_from = place
        array.starts, array.ends = np.concatenate(self._starts), np.concatenate(self._ends)
        self._starts, self._ends = [], []
        if len(array.starts) and (sizes := array.ends - array.starts).max() > LARGEST_ELEMENT:
            raise BadInputError(
                f"{self._shown}: byte {array.starts[np.argmax(sizes)]}: an entry of more than "
                f"{LARGEST_ELEMENT >> 20} MB."
            )
