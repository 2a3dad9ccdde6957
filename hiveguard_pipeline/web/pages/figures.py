"""Figures that take time to count: kept for some minutes, with the time they were counted."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from hiveguard_pipeline.store.datasets import now_text
from hiveguard_pipeline.web.problems import report_unasked

KEPT_SECONDS = 600.0
LEAST_SECONDS = 5.0
"""A figure that is asked for anew is not counted again sooner than that."""

SLOW_SECONDS = 0.5
"""Who asks waits for a figure that took less than that last time."""

MOST_KEPT = 400


@dataclass(frozen=True, slots=True)
class Figure:
    """What was counted, and when. took: seconds of counting."""

    value: Any
    at: str
    counted: float
    took: float


class FigureCache:
    """Counted once for all who ask at a time, one after the other: each may hold all votes in memory."""

    def __init__(self, without_secrets: Callable[[str], str]) -> None:
        self._without_secrets = without_secrets
        self._kept: OrderedDict[Hashable, Figure] = OrderedDict()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()
        self._counting = threading.BoundedSemaphore(1)
        self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hiveguard-figures")
        self._coming: set[Hashable] = set()

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
                started = time.monotonic()
                value = count()
                counted = time.monotonic()
                figure = Figure(value, now_text(), counted, counted - started)
            self._keep(key, figure)
        return figure

    def get_soon(self, key: Hashable, count: Callable[[], Any], seconds: float) -> Figure:
        """As `get`; but of a figure that is slow to count the one before it, while it is counted anew."""
        found = self._fresh(key, max(seconds, LEAST_SECONDS))
        before = found or self.peek(key)
        if before is None or (found is None and before.took < SLOW_SECONDS):
            return self.get(key, count, seconds)
        if found is None:
            with self._lock:
                is_coming = key in self._coming
                self._coming.add(key)
            if not is_coming:
                self._beside.submit(self._recount, key, count, seconds)
        return before

    def _recount(self, key: Hashable, count: Callable[[], Any], seconds: float) -> None:
        try:
            self.get(key, count, seconds)
        except Exception as error:  # noqa: BLE001 - whoever asks once the one before is too old is told
            report_unasked(error, f"figure {key} could not be counted", self._without_secrets)
        finally:
            with self._lock:
                self._coming.discard(key)

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
