"""Contested items: unlabeled, with votes enough for a label. Runs note them, so that nobody looks for them.

The table holds each item without a label that had at least CONSENSUS_THRESHOLD votes when a run looked at it.
It may hold others, and some that have a label by now: whoever reads it looks at each. What is read in its
place would be the votes of every item that waits for its first label.
"""

from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t


def note_worked(connection: sa.Connection, dataset_id: str, policy: Policy) -> None:
    """Note what a run has just looked at, the items of `work`; those that it labelled are dropped."""
    names = {"dataset": dataset_id, "least": policy.consensus_threshold}
    _run(
        connection,
        _NOTE.format(chosen="SELECT item_id, through FROM work", through="AND v.vote_id <= c.through"),
        names,
    )
    _run(
        connection,
        # Not a join of work and labels: SQLite, which has no figures of work, would go through all labels.
        "DELETE FROM contested_items WHERE dataset_id = :dataset AND item_id IN (SELECT w.item_id FROM work w"
        " WHERE EXISTS (SELECT 1 FROM labels l WHERE l.item_id = w.item_id AND l.label IS NOT NULL))",
        names,
    )


def note_all(connection: sa.Connection, dataset_id: str, policy: Policy) -> None:
    """Note all contested items of a dataset, looked at or not: the cost is that of all its items."""
    _run(
        connection,
        _NOTE.format(
            chosen="SELECT item_id FROM items WHERE dataset_id = :dataset AND gold_label IS NULL", through=""
        ),
        {"dataset": dataset_id, "least": policy.consensus_threshold},
    )


def note_one(connection: sa.Connection, dataset_id: str, item_id: str) -> None:
    """Note an item that has lost its label."""
    _run(
        connection,
        "INSERT INTO contested_items (item_id, dataset_id) VALUES (:item, :dataset)"
        " ON CONFLICT (item_id) DO NOTHING",
        {"dataset": dataset_id, "item": item_id},
    )


_NOTE = (  # CASE: PostgreSQL would count the votes of all items, and look for their labels then
    "INSERT INTO contested_items (item_id, dataset_id) SELECT c.item_id, :dataset FROM ({chosen}) c"
    " LEFT JOIN labels l ON l.item_id = c.item_id WHERE CASE WHEN l.label IS NULL THEN"
    " (SELECT count(v.vote_id) FROM votes v WHERE v.item_id = c.item_id {through}) >= :least ELSE false END"
    " ON CONFLICT (item_id) DO NOTHING"
)


def _run(connection: sa.Connection, statement: str, values: dict[str, Any]) -> None:
    typed = [sa.bindparam(name, type_=t.Uuid) for name in ("dataset", "item") if f":{name}" in statement]
    known = {name: value for name, value in values.items() if f":{name}" in statement}
    connection.execute(sa.text(statement).bindparams(*typed), known)
