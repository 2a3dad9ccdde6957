"""Items of a dataset as draws look at them: their tier, confidence and votes, by ranges of ids or by keys."""

from collections.abc import Mapping

import sqlalchemy as sa

from hiveguard_pipeline.store.bulk import Columns, read_columns
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.exclusions import counted

TIER_1, TIER_2, GOLD = 1, 2, 3
LEAST_ID = "00000000-0000-0000-0000-000000000000"

_TIERS = (
    f"CASE WHEN i.gold_label IS NOT NULL THEN {GOLD} WHEN coalesce(l.state, 'unlabeled') = 'unlabeled'"
    f" THEN {TIER_1} WHEN l.state = 'in_revalidation' THEN {TIER_2} ELSE 0 END"
)


def rows_after(connection: sa.Connection, dataset: Dataset, item_id: str, most: int) -> Columns:
    """The items with the next ids, in their order: item_id, tier (0: in none), confidence, votes."""
    which = "i.item_id > :after ORDER BY i.item_id LIMIT :items"
    return read_rows(connection, dataset, which, {"after": item_id, "items": most})


def read_rows(
    connection: sa.Connection, dataset: Dataset, which: str, names: Mapping[str, object]
) -> Columns:
    """Items i of a dataset, by id. which: SQL, a condition on them; names: its parameters.

    PostgreSQL is made to take each item's label by key: it cannot tell how many items a range of ids holds,
    and would go through all labels for each range.
    """
    by_key = "LATERAL (SELECT * FROM labels x WHERE x.item_id = i.item_id OFFSET 0) l ON true"
    label = "labels l ON l.item_id = i.item_id" if connection.dialect.name == "sqlite" else by_key
    votes = f"(SELECT count(*) FROM votes v WHERE v.item_id = i.item_id{counted(connection, dataset)})"
    applied = "coalesce(l.vote_count + l.revalidation_vote_count, 0)"
    return read_columns(
        connection,
        f"SELECT i.item_id AS item_id, {_TIERS} AS tier, coalesce(l.confidence, 0) AS confidence,"
        f" CASE WHEN {_TIERS} = {TIER_1} THEN {votes} ELSE {applied} END AS votes"
        f" FROM (SELECT i.item_id, i.gold_label FROM items i WHERE i.dataset_id = :dataset AND {which}) i"
        f" LEFT JOIN {label} ORDER BY i.item_id",
        {"dataset": dataset.dataset_id, **names},
        {"item_id": str, "tier": int, "confidence": int, "votes": int},
    )
