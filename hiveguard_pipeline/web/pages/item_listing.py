"""Items of a dataset by state, label, confidence and name, some at a time, in item_id order.

Each page goes on behind the last item of the one before. A filter that few items pass is looked for in
windows of the index for a second or so; then the page says how far it came. Nothing counts whole tables.
"""

import time
import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.rules.states import POOL_STATES, STATES, State
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.exclusions import counted

PAGE = 50
SECONDS = 1.0
_FIRST_WINDOW, _LARGEST_WINDOW = 2_000, 50_000
_FIRST_ID = str(uuid.UUID(int=0))

_COLUMNS = (
    "SELECT s.item_id, s.external_id, s.data_ref, s.modality, s.state, s.label, s.gold_label, s.confidence,"
    " s.vote_count + s.revalidation_vote_count AS votes, s.applied_through FROM item_status s"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which items; confidences in millionths, both ends included. search: a part of external_id."""

    state: str | None = None
    label: str | None = None
    low: int | None = None
    high: int | None = None
    search: str | None = None

    @property
    def is_all(self) -> bool:
        """Whether every item is wanted."""
        return self == Wanted()


@dataclass(frozen=True, slots=True)
class Listed:
    """One page. after: the item_id to go on behind, None at the end; looked_at: items that were looked at."""

    rows: list[dict[str, Any]]
    after: str | None
    looked_at: int


def list_items(
    connection: sa.Connection,
    dataset: Dataset,
    wanted: Wanted,
    after: str | None = None,
    seconds: float = SECONDS,
) -> Listed:
    """The next items behind one. One whose external_id or item_id is the text searched for comes first."""
    condition, values = _condition(connection, wanted)
    values |= {"dataset": dataset.dataset_id}
    rows = _exactly(connection, dataset, wanted) if wanted.search and after is None else []
    known = {row["item_id"] for row in rows}
    behind, looked_at, window = after or _FIRST_ID, 0, PAGE + 1 if wanted.is_all else _FIRST_WINDOW
    deadline = time.monotonic() + seconds
    more = True
    while more and len(rows) <= PAGE and (not looked_at or time.monotonic() < deadline):
        end, width = _window(connection, dataset, behind, window)
        if end is None:
            return Listed(_with_waiting(connection, dataset, rows), None, looked_at)
        found = connection.execute(
            sa.text(
                f"{_COLUMNS} WHERE s.dataset_id = :dataset AND s.item_id > :behind AND s.item_id <= :end"
                f"{condition} ORDER BY s.item_id LIMIT :limit"
            ),
            values | {"behind": behind, "end": end, "limit": PAGE + 1 - len(rows) + len(known)},
        )
        rows += [row for row in map(_row, found) if row["item_id"] not in known]
        looked_at += width
        more, behind = width == window, end
        window = min(window * 2, _LARGEST_WINDOW)
    if len(rows) > PAGE:
        rows = rows[:PAGE]
        return Listed(_with_waiting(connection, dataset, rows), rows[-1]["item_id"], looked_at)
    return Listed(_with_waiting(connection, dataset, rows), behind if more else None, looked_at)


def _window(connection: sa.Connection, dataset: Dataset, behind: str, window: int) -> tuple[str | None, int]:
    """The last item_id of the next so many items, and how many there are."""
    row = connection.execute(
        sa.text(
            "SELECT max(CAST(item_id AS text)), count(*) FROM (SELECT item_id FROM items"
            " WHERE dataset_id = :dataset AND item_id > :behind ORDER BY item_id LIMIT :window) w"
        ),
        {"dataset": dataset.dataset_id, "behind": behind, "window": window},
    ).one()
    return row[0], int(row[1])


def _condition(connection: sa.Connection, wanted: Wanted) -> tuple[str, dict[str, Any]]:
    parts, values = [], dict[str, Any]()
    if wanted.state is not None:
        parts.append("s.state = :state")
        values["state"] = wanted.state
    if wanted.label is not None:
        parts.append("coalesce(s.gold_label, s.label) = :label")
        values["label"] = wanted.label
    if wanted.low is not None:
        parts.append("s.confidence >= :low")
        values["low"] = wanted.low
    if wanted.high is not None:
        parts.append("s.confidence <= :high")
        values["high"] = wanted.high
    if wanted.search is not None:
        find = "instr" if connection.dialect.name == "sqlite" else "strpos"
        parts.append(f"{find}(s.external_id, :search) > 0")
        values["search"] = wanted.search
    return "".join(f" AND {part}" for part in parts), values


def _exactly(connection: sa.Connection, dataset: Dataset, wanted: Wanted) -> list[dict[str, Any]]:
    """The item of that very name or id, found by index, if it passes the rest of the filter."""
    assert wanted.search is not None
    rest, values = _condition(connection, Wanted(wanted.state, wanted.label, wanted.low, wanted.high))
    by, given = "s.external_id = :given", wanted.search
    try:
        given = str(uuid.UUID(wanted.search))
        by = "s.item_id = :given"
    except ValueError:
        pass
    found = connection.execute(
        sa.text(f"{_COLUMNS} WHERE s.dataset_id = :dataset AND {by}{rest}"),
        values | {"dataset": dataset.dataset_id, "given": given},
    )
    return [_row(row) for row in found]


def _row(row: Any) -> dict[str, Any]:
    return dict(row._mapping) | {
        "item_id": str(row.item_id),
        "label": row.label if row.gold_label is None else row.gold_label,
        "in_pool": row.state in POOL_STATES,
        "flagged": row.state == STATES[State.NEEDS_REVIEW],
    }


def _with_waiting(
    connection: sa.Connection, dataset: Dataset, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows with the votes that wait: at most a page of look-ups in the index of votes."""
    if not rows:
        return rows
    only = counted(connection, dataset)
    statement = sa.text(
        "SELECT s.item_id, count(*) FROM item_status s JOIN votes v ON v.item_id = s.item_id"
        f" WHERE s.item_id IN :items AND v.vote_id > s.applied_through{only} GROUP BY s.item_id"
    ).bindparams(sa.bindparam("items", expanding=True, type_=_uuid(connection)))
    values = {"items": [row["item_id"] for row in rows]} | ({"dataset": dataset.dataset_id} if only else {})
    waiting = {str(item): int(votes) for item, votes in connection.execute(statement, values)}
    return [row | {"waiting": waiting.get(row["item_id"], 0)} for row in rows]


def _uuid(connection: sa.Connection) -> Any:
    return sa.Text() if connection.dialect.name == "sqlite" else sa.Uuid(as_uuid=False)
