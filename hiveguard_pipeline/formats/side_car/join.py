"""A folder's files joined with its side-car: unedited items come back whole, edited rows as they stand.

Items are matched by file, in files of several items by what they say; rows by their digests, never by
position. The side-car's order holds; items of which it knows nothing come last.
"""

import itertools
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hiveguard_pipeline.formats.format import Read, Reading
from hiveguard_pipeline.formats.json_text import json_line, json_value
from hiveguard_pipeline.formats.model import Annotation, Header, Item, Source
from hiveguard_pipeline.formats.names import distinct_names
from hiveguard_pipeline.formats.serialised import item_from_json, item_to_json
from hiveguard_pipeline.formats.side_car.files import (
    SIDE_CAR,
    BrokenSideCarError,
    KeptItem,
    SideCar,
    file_digest,
    row_digest,
    rows_digest,
    shape_digest,
)

_GONE, _INTACT = -2, -1


def joined(side_car: SideCar, reading: Reading) -> Source:
    """The items of a folder, restored. Reads the folder once at once, and keeps edited items on disk.

    Raises BrokenSideCarError if the side-car is that of other files: none in common, or no row.
    """
    join = _Join(side_car, reading)
    join.match()
    return Source(join.header, join.items)


class _Join:
    def __init__(self, side_car: SideCar, reading: Reading) -> None:
        self._kept, self._reading = side_car, reading
        self.header, self._categories = _merged(side_car.header, reading.header)
        side_car.same_classes = self._categories == list(range(len(side_car.header.categories)))
        # Of each line: the read that changed it, or one of the two above.
        self._state = np.full(len(side_car), _GONE, dtype=np.int64)
        self._changed = _ReadSpill(distinct_names(reading.header.categories))
        self._new: list[int] = []

    def match(self) -> None:
        """Find the line of each read."""
        by_check = _Lookup(self._kept.files, self._kept.checks)
        read_any = rows_read = rows_intact = 0
        for read in self._reading.reads():
            read_any = 1
            if read.unchanged:
                line = self._kept.position(read.file)
                assert line is not None
                self._state[line] = _INTACT
                written = min(int(self._kept.rows[line]), 1)
                rows_read += written
                rows_intact += written
                continue
            rows_read += len(read.rows)
            file = file_digest(read.file)
            line = by_check.take(file, rows_digest(read.about, read.rows))
            if line is None:
                self._changed.add(read, file)
            else:
                self._state[line] = _INTACT
                rows_intact += len(read.rows)
        self._match_changed()
        if not read_any or not len(self._kept):
            return
        if not (self._state != _GONE).any():
            raise BrokenSideCarError("it names none of the files here, so it is another folder's")
        if rows_read and not rows_intact and int(self._kept.rows.sum()) > 1 and not self._looks_alike():
            raise BrokenSideCarError("not one row of the files is as it says, so it is another folder's")

    def items(self) -> Iterator[Item]:
        """All items, in the side-car's order and then the new ones."""
        for line, state in enumerate(self._state.tolist()):
            if state == _INTACT:
                yield self._kept.kept(line).item
            elif state >= 0:
                yield self._edited(self._kept.kept(line), self._changed.at(state))
        for number in self._new:
            item = self._changed.at(number).item
            item.annotations = [self._as_read(one) for one in item.annotations]
            item.labels = tuple(self._categories[label] for label in item.labels)
            yield item

    def _match_changed(self) -> None:
        """Of the lines that are left: the only one of a file, or one that says the same of its item."""
        left = self._state == _GONE
        alone = _Lookup(self._kept.files, np.zeros(len(left), dtype=np.uint64), _only_ones(self._kept.files))
        by_about = _Lookup(self._kept.files, self._kept.abouts, left)
        for number in range(len(self._changed)):
            file, about = self._changed.keys(number)
            line = alone.take(file, 0)
            if line is None or not left[line]:
                line = by_about.take(file, about)
            if line is None or self._state[line] != _GONE:
                self._new.append(number)
            else:
                self._state[line] = number

    def _looks_alike(self) -> bool:
        """Whether some item whose file changed still has a row that it had, or only other classes."""
        for line in np.flatnonzero(self._state >= 0).tolist():
            kept, changed = self._kept.kept(line), self._changed.at(int(self._state[line]))
            rows = {row for row in kept.rows if row is not None}
            if rows and (kept.shape == changed.shape or rows.intersection(changed.rows)):
                return True
        return False

    def _edited(self, kept: KeptItem, changed: KeptItem) -> Item:
        """An item whose file was edited: what is still said is restored, the rest is as it stands."""
        if changed.shape == kept.shape:
            item = self._with_classes(kept, changed)
        else:
            item = self._with_rows(kept, changed)
        if changed.about != kept.about:
            now = changed.item
            item.width = item.width if now.width is None else now.width
            item.height = item.height if now.height is None else now.height
            item.text = item.text if now.text is None else now.text
            item.split = item.split if now.split is None else now.split
            item.labels = tuple(self._categories[label] for label in now.labels)
            item.extra = {**item.extra, **now.extra}
        return item

    def _with_classes(self, kept: KeptItem, changed: KeptItem) -> Item:
        """An item of which at most the classes of rows were changed."""
        annotations = list(kept.item.annotations)
        written = [place for place, row in enumerate(kept.rows) if row is not None]
        for place, read in zip(written, changed.item.annotations, strict=True):
            annotations[place] = replace(annotations[place], category=self._categories[read.category])
        return replace(kept.item, annotations=annotations)

    def _with_rows(self, kept: KeptItem, changed: KeptItem) -> Item:
        """An item with rows that were edited, added or taken away; those that are as they were are known."""
        waiting: dict[str, list[int]] = {}
        for place, row in enumerate(kept.rows):
            if row is not None:
                waiting.setdefault(row, []).append(place)
        stays = {place for place, row in enumerate(kept.rows) if row is None}
        added = []
        for row, annotation in zip(changed.rows, changed.item.annotations, strict=True):
            if row is not None and (places := waiting.get(row)):
                stays.add(places.pop(0))
            else:
                added.append(self._as_read(annotation))
        stayed = [kept.item.annotations[place] for place in sorted(stays)]
        return replace(kept.item, annotations=stayed + added)

    def _as_read(self, annotation: Annotation) -> Annotation:
        return replace(annotation, category=self._categories[annotation.category], order=None)


class _Lookup:
    """Positions by two keys (uint64), each given once, in their order."""

    def __init__(
        self, first: NDArray[Any], second: NDArray[Any], chosen: NDArray[np.bool_] | None = None
    ) -> None:
        rows = np.arange(len(first)) if chosen is None else np.flatnonzero(chosen)
        self._rows = rows[np.lexsort((second[rows], first[rows]))]
        self._first, self._second = first[self._rows], second[self._rows]
        self._taken = np.zeros(len(self._rows), dtype=np.int32)

    def take(self, first: int, second: int) -> int | None:
        """The next position of these keys, or None."""
        low = int(np.searchsorted(self._first, np.uint64(first)))
        high = int(np.searchsorted(self._first, np.uint64(first), side="right"))
        at = low + int(np.searchsorted(self._second[low:high], np.uint64(second)))
        if at == high:
            return None
        place = at + int(self._taken[at])
        if place == high or self._second[place] != second:
            return None
        self._taken[at] += 1
        return int(self._rows[place])


class _ReadSpill:
    """Items as they were read, on disk."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._ends = array("q", [0])
        self._keys = array("Q")

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, read: Read, file: int) -> None:
        """Put one down."""
        about = row_digest(read.about)
        shape = shape_digest(read.rows, read.item.annotations, self._names)
        said = [item_to_json(read.item), [row_digest(row) for row in read.rows], about, shape]
        line = json_line(said)
        self._file.seek(self._ends[-1])
        self._file.write(line)
        self._ends.append(self._ends[-1] + len(line))
        self._keys.extend((file, int(about, 16)))

    def keys(self, number: int) -> tuple[int, int]:
        """The digests of its file and of what that says of the item."""
        return self._keys[2 * number], self._keys[2 * number + 1]

    def at(self, number: int) -> KeptItem:
        """Take one up again."""
        start, end = self._ends[number], self._ends[number + 1]
        self._file.seek(start)
        item, rows, about, shape = json_value(self._file.read(end - start), SIDE_CAR, depth_known=True)
        return KeptItem(item_from_json(item, SIDE_CAR, len(self._names)), rows, about, shape)


def _only_ones(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Of each value whether it stands there once."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    only: NDArray[np.bool_] = counts[inverse] == 1
    return only


def _merged(kept: Header, read: Header) -> tuple[Header, list[int]]:
    """The side-car's header with the classes that are new in the files, and where each of the files' is."""
    places = {name: place for place, name in enumerate(distinct_names(kept.categories))}
    merged = replace(kept, categories=list(kept.categories))
    found = []
    for name, category in zip(distinct_names(read.categories), read.categories, strict=True):
        if name not in places:
            places[name] = len(merged.categories)
            merged.categories.append(category)
        found.append(places[name])
    # Ids of the files' own counting could be those of other classes already.
    taken = {category.id for category in kept.categories}
    after = itertools.count(max([0, *(number for number in taken if number is not None)]) + 1)
    for place in range(len(kept.categories), len(merged.categories)):
        number = next(after) if taken - {None} else merged.categories[place].id
        merged.categories[place] = replace(merged.categories[place], id=number)
    return merged, found
