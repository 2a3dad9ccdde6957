"""The review queue as the dashboard walks it: the flagged items in one order, some at a time, by cursor.

Which items are flagged is counted at most every half minute for all reviewers of a dataset, and beside them
where that takes long; that an item still is, is looked up whenever it is shown.
"""

import bisect
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.review import QueueHead, queue_head, standing_token
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.status import find_item
from hiveguard_pipeline.web.pages.figures import Figure
from hiveguard_pipeline.web.pages.shown_item import Shown, shown
from hiveguard_pipeline.web.pages.site import Site

MOST_QUEUED = 5_000
_FRESH_SECONDS = 30.0
_AGAIN_SECONDS = 5.0

_LONGEST_PAUSE = 600.0
"""Seconds between two decisions of one person after which he was elsewhere."""

_OPEN = (STATES[State.NEEDS_REVIEW], STATES[State.UNLABELED])

Key = tuple[int, str]
"""Where an item stands in the queue: its confidence in millionths (0 without one), its item_id."""


@dataclass(frozen=True, slots=True)
class Task:
    """An item to decide on. expected: how it stands, which a decision repeats; cursor: to go on behind."""

    shown: Shown
    expected: str
    cursor: str


def next_tasks(site: Site, dataset: Dataset, cursor: str, many: int) -> tuple[list[Task], int]:
    """The next items behind a cursor (empty: from the beginning), and how many were flagged in all."""
    entries = _entries(site, dataset, _FRESH_SECONDS, site.figures.get_soon)
    tasks = _open_tasks(site, dataset, entries, cursor, many)
    if len(tasks) < many:
        again = _entries(site, dataset, _AGAIN_SECONDS, site.figures.get)
        if again is not entries:
            entries, tasks = again, _open_tasks(site, dataset, again, cursor, many)
    return tasks, entries.total


def task_of(site: Site, dataset: Dataset, item_id: str) -> Task:
    """One item of the queue, whether it is flagged or not: what was decided may have been undone."""
    with site.database.read() as connection:
        item = find_item(connection, item_id, dataset.name)
        return Task(
            shown(connection, site.settings, dataset, item),
            standing_token(connection, item),
            _written((item.confidence or 0, item.item_id)),
        )


def is_open(task: Task) -> bool:
    """Whether an item still waits for a decision."""
    return task.shown.item.state in _OPEN


def _entries(site: Site, dataset: Dataset, seconds: float, get: Callable[..., Figure]) -> QueueHead:
    def read() -> QueueHead:
        with site.database.read() as connection:
            return queue_head(connection, dataset, MOST_QUEUED)

    found: QueueHead = get(("review", dataset.dataset_id), read, seconds).value
    return found


def _open_tasks(site: Site, dataset: Dataset, entries: QueueHead, cursor: str, many: int) -> list[Task]:
    keys = entries.keys
    start = bisect.bisect_right(keys, _read(cursor)) if cursor else 0
    tasks: list[Task] = []
    with site.database.read() as connection:
        while start < len(keys) and len(tasks) < many:
            chunk = keys[start : start + many]
            start += len(chunk)
            states = _states(connection, [item_id for _, item_id in chunk])
            for key in chunk:
                if states.get(key[1]) not in _OPEN or len(tasks) == many:
                    continue
                item = find_item(connection, key[1], dataset.name)
                tasks.append(
                    Task(
                        shown(connection, site.settings, dataset, item),
                        standing_token(connection, item),
                        _written(key),
                    )
                )
    return tasks


def _states(connection: sa.Connection, items: list[str]) -> dict[str, str]:
    statement = sa.text("SELECT item_id, state FROM item_status WHERE item_id IN :items").bindparams(
        sa.bindparam("items", expanding=True, type_=t.Uuid)
    )
    return {str(item): str(state) for item, state in connection.execute(statement, {"items": items})}


def _written(key: Key) -> str:
    return f"{key[0]}.{key[1]}"


def _read(cursor: str) -> Key:
    """The place of a cursor; what is none is before all."""
    confidence, _, item_id = cursor.partition(".")
    return (int(confidence), item_id) if confidence.isascii() and confidence.isdigit() else (-1, "")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a person decides: decisions that followed another one, and the median seconds between two."""

    decisions: int
    median: float | None


def pace_of(connection: sa.Connection, reviewer: str) -> Pace:
    """Of a person's newest decisions, among the last thousands of all."""
    rows: Any = connection.execute(
        sa.text(
            "SELECT created_at FROM (SELECT review_id, reviewer, created_at FROM reviews"
            " ORDER BY review_id DESC LIMIT 5000) r"
            " WHERE reviewer = :reviewer ORDER BY review_id DESC LIMIT 501"
        ).columns(created_at=t.UtcTime),
        {"reviewer": reviewer},
    )
    times = [datetime.fromisoformat(row.created_at).timestamp() for row in rows]
    gaps = [newer - older for newer, older in pairwise(times)]
    worked = [gap for gap in gaps if 0 <= gap <= _LONGEST_PAUSE]
    return Pace(len(worked), statistics.median(worked) if worked else None)
