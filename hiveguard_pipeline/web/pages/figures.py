"""Figures that take time to count: kept for some minutes, with the time they were counted."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from hiveguard_pipeline.store.datasets import now_text

KEPT_SECONDS = 600.0
LEAST_SECONDS = 5.0
"""A figure that is asked for anew is not counted again sooner than that."""

MOST_KEPT = 400


@dataclass(frozen=True, slots=True)
class Figure:
    """What was counted, and when."""

    value: Any
    at: str
    counted: float


class FigureCache:
    """Counted once for all who ask at a time, one after the other: each may hold all votes in memory."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Figure] = OrderedDict()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()
        self._counting = threading.BoundedSemaphore(1)

    def peek(self, key: Hashable) -> Figure | None:
        """A figure that is there and not old."""
        return self._fresh(key, KEPT_SECONDS)

    def get(self, key: Hashable, count: Callable[[], Any], seconds: float = KEPT_SECONDS) -> Figure:
        """A figure at most so many seconds old, counted now if there is none."""
        if found := self._fresh(key, max(seconds, LEAST_SECONDS)):
            return found
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if found := self._fresh(key, max(seconds, LEAST_SECONDS)):
                return found
            with self._counting:
                figure = Figure(count(), now_text(), time.monotonic())
            self._keep(key, figure)
        return figure

    def drop(self, key: Hashable) -> None:
        """Forget a figure that something has changed."""
        with self._lock:
            self._kept.pop(key, None)

    def _fresh(self, key: Hashable, seconds: float) -> Figure | None:
        with self._lock:
            found = self._kept.get(key)
        return found if found is not None and time.monotonic() - found.counted < seconds else None

    def _keep(self, key: Hashable, figure: Figure) -> None:
        with self._lock:
            self._kept[key] = figure
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_KEPT:
                gone, _ = self._kept.popitem(last=False)
                self._locks.pop(gone, None)
