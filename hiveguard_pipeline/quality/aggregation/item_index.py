"""Rows of items by id: found by binary search, and new ones added at the end."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Integers

Texts = np.ndarray[Any, Any]
"""Fixed-width bytes, dtype S."""


@dataclass(slots=True)
class ItemIndex:
    """names: ids in order; row: of each, 0 to len(names) - 1; both of shape (items,)."""

    names: Texts
    row: Integers
    _start: Integers = field(init=False, repr=False, compare=False)
    """The first bytes of each name as a number: it is found several times as fast as the name."""

    def __post_init__(self) -> None:
        self._start = _start_of(self.names)

    @classmethod
    def of(cls, names: Texts) -> "ItemIndex":
        """Names at rows 0, 1, 2, ..."""
        order = np.argsort(names, kind="stable")
        return cls(names[order], order)

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, names: Texts) -> Integers:
        """The row of each name, new rows at the end for new names. names: shape (n,), each once."""
        place, there = self._find(names)
        missing = np.flatnonzero(~there)
        if not len(missing):
            return np.asarray(self.row[place])
        new = np.sort(names[missing])
        at = np.searchsorted(self.names, new)
        width = max(names.itemsize, self.names.itemsize)
        self.row = np.insert(self.row, at, len(self) + np.arange(len(new)))
        self.names = np.insert(self.names.astype(f"S{width}"), at, new)
        self._start = _start_of(self.names)
        place, _ = self._find(names)
        return np.asarray(self.row[place])

    def _find(self, names: Texts) -> tuple[Integers, Integers]:
        """Where each name is, and whether it is."""
        if not len(self):
            return np.zeros(len(names), dtype=np.int64), np.zeros(len(names), dtype=bool)
        last = len(self) - 1
        place = np.minimum(np.searchsorted(self._start, _start_of(names)), last)
        there = self.names[place] == names
        again = np.flatnonzero(~there)
        if len(again):  # another name begins alike
            place[again] = np.minimum(np.searchsorted(self.names, names[again]), last)
            there[again] = self.names[place[again]] == names[again]
        return place, there


def _start_of(names: Texts) -> Integers:
    return names.astype("S8").view(">u8").astype(np.uint64)
