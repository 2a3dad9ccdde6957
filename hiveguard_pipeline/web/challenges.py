"""Pools in memory, one a dataset that somebody asked about, kept up by a thread of the process.

A pool is there at once from its first items, which are a fair sample, while the rest is read. What nobody
asked for in a quarter of an hour is given up. Each process of a server has its own.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from hiveguard_pipeline.pool.next_items import Next, next_items
from hiveguard_pipeline.pool.served import ITEMS_AT_ONCE, Marks, ServedPool, read_pool, refresh
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.web.problems import report_unasked

log = logging.getLogger("hiveguard.web")

REFRESH_SECONDS = 2.0
RELOAD_SECONDS = 900.0
"""After so long a pool is read anew in any case: items may have come by ways that leave no mark."""

IDLE_SECONDS = 900.0


@dataclass(slots=True)
class _Held:
    pool: ServedPool
    marks: Marks
    read_seconds: float
    asked_at: float


class Challenges:
    """What to ask next, for every dataset of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self._first: dict[str, threading.Lock] = {}
        self._ended = threading.Event()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._keep_up, name="hiveguard-pools", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def next(self, dataset: Dataset, n: int, gold: int, solver: str | None) -> Next:
        """Up to n items for a solver and some gold among them, as the store has them at this moment."""
        random = np.random.default_rng()
        held = self._of(dataset)
        found = next_items(self._database, held.pool, n, gold, solver, random)
        if found.is_short and held.pool.is_whole:
            # Before anybody is told that there is nothing: look whether something has come since.
            self._bring_up(held)
            found = next_items(self._database, held.pool, n, gold, solver, random)
        return found

    def _of(self, dataset: Dataset) -> _Held:
        held = self._held.get(dataset.dataset_id)
        if held is None:
            with self._lock:
                first = self._first.setdefault(dataset.dataset_id, threading.Lock())
            with first:
                held = self._held.get(dataset.dataset_id)
                if held is None:
                    held = self._read(dataset, ITEMS_AT_ONCE)
                    self._held[dataset.dataset_id] = held
                    self._wanted.set()
        held.asked_at = time.monotonic()
        return held

    def _read(self, dataset: Dataset, most: int | None = None) -> _Held:
        start = time.monotonic()
        pool, marks = read_pool(self._database, dataset, most)
        return _Held(pool, marks, time.monotonic() - start, time.monotonic())

    def _keep_up(self) -> None:
        while not self._ended.is_set():
            self._wanted.wait(REFRESH_SECONDS)
            self._wanted.clear()
            for key, held in list(self._held.items()):
                if self._ended.is_set():
                    return
                if time.monotonic() - held.asked_at > IDLE_SECONDS:
                    del self._held[key]
                    continue
                try:
                    self._bring_up(held)
                except Exception as error:  # noqa: BLE001 - the thread goes on, and the log says it
                    what = f"the pool of {held.pool.dataset.name} could not be read"
                    report_unasked(error, what, self._database.without_secrets)

    def _bring_up(self, held: _Held) -> None:
        """Bring a pool up to now, or read it anew. The thread's reading and a request's may both do so."""
        age = time.monotonic() - held.pool.loaded_at
        marks = None
        if held.pool.is_whole and age < max(RELOAD_SECONDS, 30 * held.read_seconds):
            marks = refresh(self._database, held.pool, held.marks)
        if marks is not None:
            held.marks = marks
            return
        fresh = self._read(held.pool.dataset)
        if not held.pool.is_whole:
            log.info(
                "all %d items of %s are in the pool, after %.1f s",
                len(fresh.pool),
                fresh.pool.dataset.name,
                fresh.read_seconds,
            )
        held.pool, held.marks, held.read_seconds = fresh.pool, fresh.marks, fresh.read_seconds


def described(found: Next) -> list[dict[str, Any]]:
    """Items as they are served: nothing in them tells what is gold, or how others answered."""
    return [
        {
            "item_id": item.item_id,
            "external_id": item.external_id,
            "data_ref": item.data_ref,
            "modality": item.modality,
            "text": item.text,
        }
        for item in found.items
    ]
