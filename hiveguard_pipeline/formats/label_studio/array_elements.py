"""The elements of a JSON array, one at a time: a file of tasks is read without holding more than one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.json_text import DEEPEST, json_value
from hiveguard_pipeline.formats.text_lines import open_file

LARGEST_TASK = 64 << 20
"""Bytes of one task."""
_CHUNK = 1 << 18
_ESCAPED = re.compile(rb"\\.", re.DOTALL)


def elements(path: Path) -> Iterator[tuple[int, Any]]:
    """Each element of the array in a file with its number from 1; a file of one object is its only one.

    Raises BadInputError for what is no such JSON, cut off, nested too deep, or has an element of more than
    LARGEST_TASK bytes.
    """
    with open_file(path) as stream:
        start = stream.read(3)
        stream.seek(3 if start == b"\xef\xbb\xbf" else 0)
        first = _first_byte(stream)
        if first == b"{":
            text = stream.read(LARGEST_TASK + 1)
            if len(text) > LARGEST_TASK:
                raise BadInputError(f"{path}: one object of more than {LARGEST_TASK >> 20} MB.")
            yield 1, json_value(b"{" + text, str(path))
            return
        if first != b"[":
            raise BadInputError(f"{path}: a JSON array of tasks is wanted.")
        for number, text in enumerate(_Splitter(path, stream).texts(), start=1):
            yield number, json_value(text, f"{path}, task {number}", depth_known=True)


def _first_byte(stream: BinaryIO) -> bytes:
    while (byte := stream.read(1)).isspace():
        pass
    return byte


class _Splitter:
    """Cuts what follows the opening bracket of an array at the commas between its elements."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path, self._stream = path, stream
        self._depth = 1
        self._in_string = False
        self._number = 1

    def texts(self) -> Iterator[bytes]:
        pending: list[bytes] = []
        size = 0
        held = b""
        while chunk := self._stream.read(_CHUNK):
            chunk = held + chunk
            held = b""
            slashes = len(chunk) - len(chunk.rstrip(b"\\"))
            if slashes % 2:
                # An escape that the chunk cuts in two is looked at with the next one.
                held, chunk = b"\\", chunk[:-1]
            begin = 0
            for place in self._cuts(chunk):
                text = b"".join([*pending, chunk[begin:place]])
                begin = place + 1
                pending, size = [], 0
                if self._depth_at_cut == 0:
                    yield from self._last(text, chunk[begin:] + held)
                    return
                yield text
                self._number += 1
            pending.append(chunk[begin:])
            size += len(pending[-1])
            if size > LARGEST_TASK:
                raise self._refuse(f"it has more than {LARGEST_TASK >> 20} MB")
        raise self._refuse("the file is cut off: the array does not end")

    def _last(self, text: bytes, after: bytes) -> Iterator[bytes]:
        while after:
            if after.strip():
                raise self._refuse("something follows the end of the array")
            after = self._stream.read(_CHUNK)
        if text.strip() or self._number > 1:
            yield text

    def _cuts(self, chunk: bytes) -> Iterator[int]:
        """The places of commas at depth 1 and of the bracket that ends the array."""
        import numpy as np

        # Of the same length, so that places stay what they are.
        plain = _ESCAPED.sub(b"  ", chunk) if b"\\" in chunk else chunk
        data = np.frombuffer(plain, dtype=np.uint8)
        kinds = _kinds()[data]
        places = np.flatnonzero(kinds)
        kinds = kinds[places]
        quotes = np.cumsum(kinds == _QUOTE) + self._in_string
        kinds[(quotes % 2 == 1) & (kinds != _QUOTE)] = 0
        depths = np.cumsum(np.array([0, 0, 1, -1, 0], dtype=np.int64)[kinds]) + self._depth
        if len(depths):
            self._in_string = bool(quotes[-1] % 2)
            self._depth = int(depths[-1])
        if len(depths) and depths.max() > DEEPEST:
            raise self._refuse(f"JSON nested more than {DEEPEST} levels")
        cuts = ((kinds == _COMMA) & (depths == 1)) | ((kinds == _CLOSE) & (depths == 0))
        for row in np.flatnonzero(cuts).tolist():
            self._depth_at_cut = int(depths[row])
            yield int(places[row])

    def _refuse(self, why: str) -> BadInputError:
        return BadInputError(f"{self._path}, task {self._number}: {why}.")


_QUOTE, _OPEN, _CLOSE, _COMMA = 1, 2, 3, 4


def _kinds() -> Any:
    import numpy as np

    kinds = np.zeros(256, dtype=np.uint8)
    kinds[ord('"')] = _QUOTE
    kinds[[ord("["), ord("{")]] = _OPEN
    kinds[[ord("]"), ord("}")]] = _CLOSE
    kinds[ord(",")] = _COMMA
    return kinds
