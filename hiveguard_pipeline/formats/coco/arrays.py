"""The large arrays of a JSON document, read some elements at a time, in order or by position.

The standard library's JSON parser is run over a few hundred kilobytes of whole elements at once: measured,
that takes a third of the time of a streaming parser (ijson), and the places of elements are known, so that
they can be read again in another order without a copy.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.coco.keys import may_have_equal_keys, refuse_equal_keys
from hiveguard_pipeline.formats.coco.survey import LargeArray, survey
from hiveguard_pipeline.formats.json_text import json_value

_BLOCK = 1 << 17
_BOM = b"\xef\xbb\xbf"


class JsonArrays:
    """An open document. rest: the document, its large arrays empty."""

    def __init__(self, path: Path, shown: str, names: tuple[str, ...]) -> None:
        """Open and survey it; BadInputError with the file and the place for what is no such document."""
        self.shown = shown
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise BadInputError(f"{shown}: {error.strerror}.") from None
        self._refuse_other_files()
        found = survey(self._file, shown, names)
        self._arrays = found.arrays
        text = b"".join(self._bytes(start, end) for start, end in found.rest).removeprefix(_BOM)
        where = f"{shown}: beside {' and '.join(names)}"
        self.rest: dict[str, Any] = json_value(text, where, depth_known=True)
        refuse_equal_keys(text, self.rest, where)
        if not isinstance(self.rest, dict):
            raise BadInputError(f"{shown}: a JSON object is wanted.")
        for name in names:
            if self.rest.get(name):
                raise BadInputError(f"{shown}: '{name}' is not a list.")

    def count(self, name: str) -> int:
        """How many elements an array has; 0 where it is missing."""
        return len(self._arrays[name].starts) if name in self._arrays else 0

    def elements(self, name: str) -> Iterator[list[Any]]:
        """All elements of an array in order, some at a time. Checks what stands between them, too."""
        array = self._arrays.get(name)
        if array is None:
            return
        starts, ends = array.starts, array.ends
        before = array.begin
        first, total = 0, len(starts)
        while first < total:
            last = max(int(np.searchsorted(ends, starts[first] + _BLOCK)), first + 1)
            self._check_between(name, first, before, int(starts[first]))
            before = int(ends[last - 1])
            yield self._block(name, array, first, last)
            first = last
        self._check_between(name, total, before, array.end)

    def at(self, name: str, positions: NDArray[np.int64]) -> list[Any]:
        """The elements at some positions, in the order given; they must have been read in order before."""
        if not len(positions):
            return []
        array = self._arrays[name]
        first, last = int(positions[0]), int(positions[-1])
        if last - first + 1 == len(positions) and (len(positions) < 3 or (np.diff(positions) == 1).all()):
            text = self._bytes(int(array.starts[first]), int(array.ends[last]))
        else:
            pairs = zip(array.starts[positions].tolist(), array.ends[positions].tolist(), strict=True)
            text = b",".join(itertools.starmap(self._bytes, pairs))
        found: list[Any] = json_value(b"[%s]" % text, f"{self.shown}: {name}", depth_known=True)
        return found

    def _block(self, name: str, array: LargeArray, first: int, last: int) -> list[Any]:
        text = self._bytes(int(array.starts[first]), int(array.ends[last - 1]))
        where = f"{self.shown}: {name}"
        try:
            found: list[Any] = json_value(b"[%s]" % text, where, depth_known=True)
        except BadInputError:
            # One of them is at fault: name it.
            for place in range(first, last):
                element = self._bytes(int(array.starts[place]), int(array.ends[place]))
                json_value(element, f"{where}[{place}]", depth_known=True)
            raise
        if len(found) != last - first:
            self._refuse_scalar(name, first)
        if may_have_equal_keys(text, found):
            for place, value in enumerate(found, first):
                element = self._bytes(int(array.starts[place]), int(array.ends[place]))
                refuse_equal_keys(element, value, f"{where}[{place}]")
        return found

    def _check_between(self, name: str, place: int, start: int, end: int) -> None:
        """Between two blocks stands one comma; nothing before the first or after the last."""
        between = self._bytes(start, min(end, start + _BLOCK)).strip(b" \t\r\n") if end > start else b""
        outside = place == 0 or place == self.count(name)
        if between != (b"" if outside else b","):
            self._refuse_scalar(name, place)

    def _refuse_scalar(self, name: str, place: int) -> None:
        raise BadInputError(
            f"{self.shown}: {name}: at or after entry {place}: a list of objects with one comma between them "
            "is wanted."
        )

    def _refuse_other_files(self) -> None:
        start = self._bytes(0, 4096)
        text = start.removeprefix(_BOM).lstrip()
        if not text:
            raise BadInputError(f"{self.shown}: the file is empty.")
        if text.startswith(b"["):
            raise BadInputError(
                f"{self.shown}: a bare list. If it holds COCO results (detections), it is no dataset: put it "
                'under "annotations" of a document with the "images" and "categories" it was made for.'
            )
        if not text.startswith(b"{"):
            hint = " It is compressed; unpack it first." if start[:2] in (b"\x1f\x8b", b"PK") else ""
            raise BadInputError(f"{self.shown}: not a JSON document.{hint}")

    def _bytes(self, start: int, end: int) -> bytes:
        return os.pread(self._file.fileno(), end - start, start)
