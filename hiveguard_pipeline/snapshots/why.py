"""Who or what gave or took a label, and why: rows of the ledger with their reviews, for some items."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Why:
    """A row of the ledger: what wrote it (votes, or the decision of a person), who, why, which run, when."""

    source: str
    actor: str | None
    reason: str | None
    run_id: str | None
    state: str
    label: str | None
    at: str


_SELECTED = (
    "SELECT b.batch_id, CAST(b.item_id AS text) AS item_id, b.generation, b.kind, b.label, b.state_after,"
    " b.run_id, b.applied_at, r.decision, r.reviewer, r.reason FROM batches b"
    " LEFT JOIN reviews r ON r.review_id = b.review_id WHERE b.batch_id IN ({})"
)
_AT_ONCE = 10_000


def why_of_batches(connection: sa.Connection, batch_ids: Iterable[int]) -> dict[int, Why]:
    """Rows of the ledger by their ids."""
    wanted = sorted({int(batch_id) for batch_id in batch_ids})
    found = {}
    for start in range(0, len(wanted), _AT_ONCE):
        listed = ", ".join(map(str, wanted[start : start + _AT_ONCE]))
        for row in _rows(connection, listed):
            found[int(row.batch_id)] = _why(row)
    return found


def why_of_items(connection: sa.Connection, item_ids: Iterable[str], through: int) -> dict[str, Why]:
    """Each item's newest row of the ledger up to a position."""
    wanted = sorted({str(uuid.UUID(item_id)) for item_id in item_ids})
    found = {}
    for start in range(0, len(wanted), _AT_ONCE):
        listed = ", ".join(f"'{item_id}'" for item_id in wanted[start : start + _AT_ONCE])
        newest = (
            f"SELECT max(n.batch_id) FROM batches n WHERE n.item_id IN ({listed})"
            f" AND n.batch_id <= {through:d} GROUP BY n.item_id"
        )
        for row in _rows(connection, newest):
            found[str(row.item_id)] = _why(row)
    return found


def _rows(connection: sa.Connection, batch_ids: str) -> Any:
    from hiveguard_pipeline.store import tables as t

    statement = sa.text(_SELECTED.format(batch_ids)).columns(applied_at=t.UtcTime)
    return connection.execute(statement)


def _why(row: Any) -> Why:
    recounted = row.generation > 1 and row.decision is None
    return Why(
        source=row.decision or ("recount" if recounted else "votes"),
        actor=row.reviewer,
        reason=row.reason,
        run_id=row.run_id,
        state=row.state_after,
        label=row.label,
        at=row.applied_at,
    )
