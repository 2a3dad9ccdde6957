"""The rows of a CSV file by item, where they need not stand together, in bounded memory.

One pass notes for each row the item it belongs to and where it begins. Where the rows of each item stand
together they are then read on; else they are read again at their places.
"""

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.csv.columns import Columns
from hiveguard_pipeline.formats.names import relative_to_root
from hiveguard_pipeline.formats.text_lines import LONGEST_LINE, lines_of, open_file

LONGEST_ROW = LONGEST_LINE


@dataclass(slots=True)
class RowsByItem:
    """A file's rows, its columns, and the labels in it.

    rebased: the root was taken off absolute names. item: for each row the place of its item among all.
    begin, line: where the row begins.
    """

    path: Path
    columns: Columns
    labels: set[str]
    rebased: bool
    item: "array[int]"
    begin: "array[int]"
    line: "array[int]"

    def items(self) -> Iterator[tuple[str, list[tuple[int, list[str]]]]]:
        """For each item the file's name, and its rows with their lines."""
        import numpy as np

        item = np.frombuffer(self.item, dtype=np.int64)
        together = len(item) == 0 or bool((np.diff(item) >= 0).all())
        order = np.arange(len(item)) if together else np.argsort(item, kind="stable")
        last = -1
        rows: list[tuple[int, list[str]]] = []
        with open_file(self.path) as stream:
            for place in order:
                if item[place] != last and rows:
                    yield str(self.path), rows
                    rows = []
                last = item[place]
                line = self.line[place]
                rows.append((line, self._row(stream, self.begin[place], line)))
        if rows:
            yield str(self.path), rows

    def _row(self, stream: BinaryIO, begin: int, line: int) -> list[str]:
        if stream.tell() != begin:
            stream.seek(begin)
        return next(_records(self.path, stream, line))[2]


def rows_by_item(path: Path, root: str | None) -> RowsByItem:
    """Look through a file. Raises BadInputError, with file and line, for what is no such CSV.

    root: taken off absolute names of images; rows of one image meet under the name that is left.
    """
    with open_file(path) as stream:
        records = _records(path, stream, 1)
        first = next(records, None)
        if first is None or not any(first[2]):
            raise BadInputError(f"{path}: there is no header: the file is empty or begins with a blank line.")
        columns = Columns(first[2], f"{path}, line 1")
        found = RowsByItem(path, columns, set(), False, array("q"), array("q"), array("q"))
        places: dict[str, int] = {}
        items = 0
        for begin, line, row in records:
            if not row:
                continue
            where = f"{path}, line {line}"
            if len(row) != columns.count:
                raise BadInputError(f"{where}: {len(row)} values, and the header has {columns.count}.")
            name = columns.text(row, "item") if columns.names_items else str(line)
            if not name:
                raise BadInputError(f"{where}: the item has no name.")
            if label := columns.text(row, "label"):
                found.labels.add(label)
            if name not in places:
                safe, rebased = name, False
                if not columns.text(row, "text"):
                    safe, rebased = relative_to_root(name, root, where)
                found.rebased |= rebased
                places[name] = places.setdefault(safe, items)
                items += places[name] == items
            found.item.append(places[name])
            found.begin.append(begin)
            found.line.append(line)
    return found


def _records(path: Path, stream: BinaryIO, first_line: int) -> Iterator[tuple[int, int, list[str]]]:
    """Each row from where the stream stands, with the byte and the line where it begins."""
    taken = size = 0
    line = first_line

    def lines() -> Iterator[str]:
        nonlocal taken, size
        for number, text in lines_of(path, stream):
            taken = number
            size += len(text)
            if size > LONGEST_ROW:
                raise BadInputError(f"{path}, line {line}: a row of more than {LONGEST_ROW >> 20} MB.")
            try:
                yield text.decode()
            except UnicodeDecodeError as error:
                where = f"{path}, line {first_line + number - 1}"
                raise BadInputError(f"{where}: not UTF-8 text (byte {error.start}).") from None

    begin = stream.tell()
    reader = csv.reader(lines(), strict=True)
    old_limit = csv.field_size_limit(LONGEST_ROW)
    try:
        while True:
            line = first_line + taken
            size = 0
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise BadInputError(f"{path}, line {line}: not CSV: {error}.") from None
            yield begin, line, row
            begin = stream.tell()
    finally:
        csv.field_size_limit(old_limit)
