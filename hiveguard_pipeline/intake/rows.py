"""Rows of a file: blocks of them in columns, and rows gathered one by one where no faster way will do."""

import io
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

LONGEST_ROW_BYTES = 64 << 20

UNREADABLE = "unreadable_row"
BAD_UTF8 = "invalid_utf8"


@dataclass(slots=True)
class Block:
    """Rows of a file: line numbers (from 1), the rows' own text, their values and why not, if so.

    values: column name -> string array, null where the row has no such value. reason: string array,
    null for a readable row.
    """

    line: Any
    row: Any
    values: dict[str, Any]
    reason: Any

    def only(self, mask: Any) -> "Block":
        """The rows at which a mask is true."""
        keep = pa.array(mask)
        return Block(
            line=self.line[mask],
            row=self.row.filter(keep),
            values={name: column.filter(keep) for name, column in self.values.items()},
            reason=self.reason.filter(keep),
        )


class Lines:
    """The lines of a file for one row at a time: a row may take many, and may give them back."""

    _MOST_OF_A_ROW = 10_000

    def __init__(self, data: bytes, read_more: Callable[[], bytes]) -> None:
        self._waiting = deque(io.BytesIO(data))
        self._read_more = read_more
        self._taken: list[str] = []
        self._size = 0

    @property
    def waiting(self) -> bool:
        """Whether there is another line of what was read so far."""
        return bool(self._waiting)

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        too_long = len(self._taken) >= self._MOST_OF_A_ROW or self._size > LONGEST_ROW_BYTES
        if not self._waiting and not too_long:
            self._waiting.extend(io.BytesIO(self._read_more()))
        if too_long or not self._waiting:
            raise StopIteration
        line = self._waiting.popleft()
        self._size += len(line)
        self._taken.append(line.decode("utf-8", "surrogateescape"))
        return self._taken[-1]

    def give_back_all_but_first(self) -> None:
        """Put the lines of a row back, but for its first."""
        for line in reversed(self._taken[1:]):
            self._waiting.appendleft(line.encode("utf-8", "surrogateescape"))
        del self._taken[1:]

    def take(self) -> list[str]:
        """The lines of the row that was read."""
        taken, self._taken, self._size = self._taken, [], 0
        return taken


class Rows:
    """Rows gathered one by one, made into a block."""

    def __init__(self, columns: tuple[str, ...], known: tuple[str, ...]) -> None:
        self._width = len(columns)
        self._known = {name: columns.index(name) for name in known}
        self._line: list[int] = []
        self._row: list[str] = []
        self._fields: list[list[Any] | None] = []
        self._reason: list[str | None] = []

    def __len__(self) -> int:
        return len(self._line)

    def add(self, line: int, text: str, fields: list[Any] | None) -> None:
        """Add a row; without fields, or with another number of them than columns, it is unreadable."""
        if not text.strip():
            return
        reason = None if fields is not None and len(fields) == self._width else UNREADABLE
        try:
            text.encode()
            "".join(value for value in fields or () if value is not None).encode()
        except UnicodeEncodeError:
            text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            reason = BAD_UTF8
        self._line.append(line)
        self._row.append(text)
        self._fields.append(None if reason else fields)
        self._reason.append(reason)

    def block(self) -> Block:
        """The rows so far."""
        return Block(
            line=np.array(self._line, dtype=np.int64),
            row=pa.array(self._row, type=pa.string()),
            values={
                name: pa.array(
                    [fields[position] if fields is not None else None for fields in self._fields],
                    type=pa.string(),
                )
                for name, position in self._known.items()
            },
            reason=pa.array(self._reason, type=pa.string()),
        )


class Number(str):
    """A number of JSON, as it is written."""

    __slots__ = ()


def as_text(value: object) -> str | None:
    """A JSON value as the text it stands for; what is not text or a number, as JSON again."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: object) -> object:
    """A value whose numbers are numbers."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return json.loads(value) if isinstance(value, Number) else value
