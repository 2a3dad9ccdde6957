"""The work of a run: which items to look at, their unprocessed votes, and what the rules make of them.

Reading and deciding only; the ledger writes. The sensor uses the same code to ask whether a run would
write anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.rules.arithmetic import Integers
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE, NO_LABEL, Folded, Items, Votes
from hiveguard_pipeline.rules.fold import fold
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store.bulk import Columns, read_columns
from hiveguard_pipeline.store.datasets import Dataset, RecordedPolicy, current_policy

ITEMS_AT_ONCE = 200_000
"""Items that are folded together; bounds the memory of a run."""

_WORK_COLUMNS = {
    "item_id": str,
    "label": str,
    "confidence": int,
    "state": int,
    "vote_count": int,
    "revalidation_vote_count": int,
    "revalidation_epochs": int,
    "applied_through": int,
    "generation": int,
}


def would_write(connection: sa.Connection, dataset: Dataset, since: int | None, horizon: int) -> bool:
    """Whether a run would write to the ledger for items that got votes in (since, horizon].

    since None: for any item of the pool. Changes nothing; uses temporary tables.
    """
    recorded = current_policy(connection, dataset)
    count = gather_work(connection, dataset, since, horizon)
    due = any(len(part.folded.ledger) for part in fold_work(connection, count, horizon, recorded))
    drop_work(connection)
    return due


def gather_work(connection: sa.Connection, dataset: Dataset, since: int | None, horizon: int) -> int:
    """Fill the temporary table `work` with the items of the pool to look at; returns how many.

    Rows are numbered n = 0, 1, ... in item_id order.
    """
    key = "INTEGER PRIMARY KEY" if connection.dialect.name == "sqlite" else "bigint PRIMARY KEY"
    connection.execute(sa.text("DROP TABLE IF EXISTS work"))
    uuid_type = "TEXT" if connection.dialect.name == "sqlite" else "uuid"
    connection.execute(
        sa.text(
            f"CREATE TEMPORARY TABLE work (n {key}, item_id {uuid_type} NOT NULL, label text, confidence int,"
            " state int, vote_count int, revalidation_vote_count int, revalidation_epochs int,"
            " applied_through bigint, generation int)"
        )
    )
    if since is None:
        chosen = "items i"
        looked_at = (
            "EXISTS (SELECT 1 FROM votes v WHERE v.item_id = i.item_id AND v.vote_id <= :horizon"
            " AND v.vote_id > coalesce(l.applied_through, 0))"
        )
    else:
        chosen = (
            "(SELECT item_id FROM votes WHERE vote_id > :since AND vote_id <= :horizon"
            " UNION SELECT item_id FROM recheck_items WHERE dataset_id = :dataset) chosen"
            " JOIN items i ON i.item_id = chosen.item_id"
        )
        looked_at = "true"
    labelled = STATES[State.IN_REVALIDATION]
    connection.execute(
        sa.text(
            "INSERT INTO work SELECT row_number() OVER (ORDER BY i.item_id) - 1, i.item_id, l.label,"
            f" coalesce(l.confidence, {NO_CONFIDENCE}),"
            f" CASE WHEN l.state = '{labelled}' THEN {int(State.IN_REVALIDATION)}"
            f" ELSE {int(State.UNLABELED)} END,"
            " coalesce(l.vote_count, 0), coalesce(l.revalidation_vote_count, 0),"
            " coalesce(l.revalidation_epochs, 0), coalesce(l.applied_through, 0), coalesce(l.generation, 1)"
            f" FROM {chosen} LEFT JOIN labels l ON l.item_id = i.item_id"
            " WHERE i.dataset_id = :dataset AND i.gold_label IS NULL"
            f" AND coalesce(l.state, 'unlabeled') IN ('unlabeled', '{labelled}') AND {looked_at}"
        ),
        {"dataset": dataset.dataset_id, "horizon": horizon} | ({} if since is None else {"since": since}),
    )
    if connection.dialect.name != "sqlite":
        connection.execute(sa.text("ANALYZE work"))
    return int(connection.execute(sa.text("SELECT count(*) FROM work")).scalar_one())


def drop_work(connection: sa.Connection) -> None:
    """Drop the temporary table of `gather_work`."""
    connection.execute(sa.text("DROP TABLE work"))


@dataclass(slots=True)
class Part:
    """Some items of the work, their unprocessed votes, and what the rules made of them."""

    first: int
    work: Columns
    vote_ids: Any
    answers: Any
    folded: Folded


def fold_work(
    connection: sa.Connection, count: int, horizon: int, recorded: RecordedPolicy
) -> Iterator[Part]:
    """Fold the items of `work` under a policy, some at a time."""
    for first in range(0, count, ITEMS_AT_ONCE):
        window = {"first": first, "end": first + ITEMS_AT_ONCE}
        work = read_columns(
            connection,
            f"SELECT {', '.join(_WORK_COLUMNS)} FROM work WHERE n >= :first AND n < :end ORDER BY n",
            window,
            _WORK_COLUMNS,
        )
        # CROSS JOIN keeps SQLite's loop order: from the few items to their votes by index.
        joined = "CROSS JOIN votes v ON" if connection.dialect.name == "sqlite" else "JOIN votes v ON"
        votes = read_columns(
            connection,
            f"SELECT w.n, v.vote_id, v.answer FROM work w {joined}"
            " v.item_id = w.item_id AND v.vote_id > w.applied_through AND v.vote_id <= :horizon"
            " WHERE w.n >= :first AND w.n < :end",
            window | {"horizon": horizon},
            {"n": int, "vote_id": int, "answer": str},
        )
        yield _fold_part(first, work, votes, recorded)


def _fold_part(first: int, work: Columns, votes: Columns, recorded: RecordedPolicy) -> Part:
    items = len(work["state"])
    answers = pa.chunked_array([work["label"], votes["answer"]]).combine_chunks().dictionary_encode()
    codes = answers.indices.fill_null(NO_LABEL).to_numpy(zero_copy_only=False).astype(np.int32)
    number, vote_ids, given = votes["n"] - first, votes["vote_id"], codes[items:]
    if not np.all(
        (number[1:] > number[:-1]) | ((number[1:] == number[:-1]) & (vote_ids[1:] > vote_ids[:-1]))
    ):
        order = _in_order(number, vote_ids)
        number, vote_ids, given = number[order], vote_ids[order], given[order]
    offsets = np.searchsorted(number, np.arange(items + 1)).astype(np.int64)
    before = Items(
        label=codes[:items],
        confidence=work["confidence"],
        vote_count=work["vote_count"],
        revalidation_vote_count=work["revalidation_vote_count"],
        state=work["state"].astype(np.uint8),
    )
    folded = fold(Votes(offsets, given), before, recorded.policy)
    return Part(first, work, vote_ids, answers.dictionary, folded)


def _in_order(number: Integers, vote_ids: Integers) -> Integers:
    """Positions by item, then vote: one key where that fits 64 bits, which sorts several times as fast."""
    lowest = int(vote_ids.min())
    span = int(vote_ids.max()) - lowest + 1
    if span * (int(number.max()) + 1) < 1 << 63:
        return np.argsort(number * span + (vote_ids - lowest), kind="stable")
    return np.lexsort((vote_ids, number))
