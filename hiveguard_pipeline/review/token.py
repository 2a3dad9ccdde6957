"""How an item stands, as a short token: who decides on it says which standing they were shown."""

from collections.abc import Sequence

import sqlalchemy as sa

from hiveguard_pipeline.errors import ConflictError
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.status import ItemStatus


def standing_token(connection: sa.Connection, item: ItemStatus) -> str:
    """A token that changes with an item's generation, with every row of its ledger, and with its state.

    Votes that only wait do not change it: they take nothing from a decision.
    """
    return standing_tokens(connection, [item.item_id])[item.item_id]


def standing_tokens(connection: sa.Connection, item_ids: Sequence[str]) -> dict[str, str]:
    """The tokens of some items, by item_id; of those that are there."""
    found: dict[str, str] = {}
    query = sa.text(
        "SELECT s.item_id, s.generation, s.state,"
        " (SELECT max(b.batch_id) FROM batches b WHERE b.item_id = s.item_id) AS newest"
        " FROM item_status s WHERE s.item_id IN :items"
    ).bindparams(sa.bindparam("items", expanding=True, type_=t.Uuid))
    for start in range(0, len(item_ids), 10_000):
        for row in connection.execute(query, {"items": list(item_ids[start : start + 10_000])}):
            found[str(row.item_id)] = f"{row.generation}-{row.newest or 0}-{row.state}"
    return found


def refuse_changed(connection: sa.Connection, item: ItemStatus, expected: str | None) -> None:
    """Raise ConflictError if an item stands otherwise than expected; None expects nothing.

    To be asked in the transaction that decides, with the dataset locked.
    """
    if expected is None or expected == standing_token(connection, item):
        return
    newest = connection.execute(
        sa.select(t.reviews.c.reviewer, t.reviews.c.decision, t.reviews.c.created_at)
        .where(t.reviews.c.item_id == item.item_id)
        .order_by(t.reviews.c.review_id.desc())
        .limit(1)
    ).first()
    by = (
        f"; the newest decision is {newest.decision} by {newest.reviewer} at {newest.created_at}"
        if newest
        else ""
    )
    raise ConflictError(
        f"item {item.external_id} has changed since it was shown: it is {item.state} now{by};"
        " look at it again, nothing was written"
    )
