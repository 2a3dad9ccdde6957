"""Votes that are posted one by one or some thousand at once, each judged as a row of a file is.

Unlike a file, a post takes no lock of the dataset: challenge servers post while a run is at work. What it is
told of each row is the whole record of a row that cannot be a vote: nothing of it goes into quarantine, for
whoever posted it still has it, and a client that tries again for ever must not fill a table.
Posting the same again changes nothing, even at the same time from elsewhere: the vote table's own index
decides which came first.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.errors import DeadlockError, StoreUnavailableError
from hiveguard_pipeline.intake.fitting import misfits
from hiveguard_pipeline.intake.gathered import COLUMNS, checked
from hiveguard_pipeline.intake.judged import DUPLICATE, UNKNOWN_ITEM
from hiveguard_pipeline.intake.resolved import Resolved
from hiveguard_pipeline.intake.rows import Block
from hiveguard_pipeline.intake.structured import stored_form
from hiveguard_pipeline.rules.structured.tasks import STRUCTURED_TASKS
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, now_text
from hiveguard_pipeline.store.schema_versions import accepted_names
from hiveguard_pipeline.store.votes import add_votes, answers_of_pairs

ACCEPTED, KNOWN, CONFLICT, REFUSED = "accepted", "known", "conflict", "refused"
"""A new vote; the vote that the solver gave already; another answer than that; no vote."""

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of the rows, in their order. reason: why one is no vote, None for accepted and known."""

    status: list[str]
    reason: list[str | None]

    def count(self, status: str) -> int:
        """How many rows have a status."""
        return self.status.count(status)


def post_votes(
    database: Database, dataset: Dataset, rows: Sequence[Mapping[str, str | None] | None]
) -> Posted:
    """Take rows as votes, in one transaction.

    rows: with item_id or external_id, solver_id, answer[, duration_ms, created_at], all of them texts as a
    file has them. None: a row that cannot be read.
    """
    for attempt in range(_TRIES):
        try:
            with database.write(check_references=False) as connection:
                if attempt:
                    _wait_in_line(connection, dataset)
                return _taken(connection, dataset, rows)
        except DeadlockError:
            continue
    raise StoreUnavailableError("others post the same votes at the same time, over and over; try again")


def _wait_in_line(connection: sa.Connection, dataset: Dataset) -> None:
    """After two posts had the same votes in another order, and the database ended this one.

    Those that it ended follow one another, so that they cannot end each other again.
    """
    connection.execute(
        sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"hiveguard posts {dataset.dataset_id}"},
    )


def _taken(
    connection: sa.Connection, dataset: Dataset, rows: Sequence[Mapping[str, str | None] | None]
) -> Posted:
    part = STRUCTURED_TASKS.get(dataset.task_type)
    reason, held, _ = checked(_block(rows), accepted_names(connection, dataset), part)
    items = _items_of(connection, dataset, held)
    if part is not None:
        unfit = misfits(connection, held["answer"], pa.chunked_array([reason]), items)
        reason = pc.coalesce(reason, unfit)
    unknown = pa.array(items.of_row < 0)
    reason = pc.if_else(pc.and_(pc.is_null(reason), unknown), pa.scalar(UNKNOWN_ITEM), reason)
    words: list[str | None] = reason.to_pylist()
    status = [ACCEPTED if word is None else REFUSED for word in words]
    good = np.flatnonzero(reason.is_null().to_numpy(zero_copy_only=False))
    if not len(good):
        return Posted(status, words)
    take = pa.array(good)
    item_id = items.item_id.take(pa.array(items.of_row[good])).to_pylist()
    solver, answer = (held[name].take(take).to_pylist() for name in ("solver_id", "answer"))
    pairs = list(zip(item_id, solver, strict=True))
    first: dict[tuple[str, str], int] = {}
    for place, pair in enumerate(pairs):
        first.setdefault(pair, place)
    new = list(first.values())
    columns = {
        "item_id": [item_id[place] for place in new],
        "solver_id": [solver[place] for place in new],
        "answer": [answer[place] for place in new],
        "duration_ms": held["duration_ms"].take(take).take(pa.array(new)).to_pylist(),
        "created_at": pc.fill_null(held["created_at"], now_text()).take(take).take(pa.array(new)).to_pylist(),
    }
    went_in = add_votes(connection, columns)
    standing = {pairs[place]: answer[place] for place in np.array(new)[went_in].tolist()}
    others = [pair for pair, known in zip(first, went_in.tolist(), strict=True) if not known]
    if others:
        there = answers_of_pairs(connection, [item for item, _ in others], [who for _, who in others])
        texts = pa.array(list(there.values()), type=pa.string())
        given = texts if part is None else stored_form(texts)
        standing |= dict(zip(there, given.to_pylist(), strict=True))
    accepted = {place for place, known in zip(new, went_in.tolist(), strict=True) if known}
    for place, (row, pair) in enumerate(zip(good.tolist(), pairs, strict=True)):
        if place not in accepted:
            same = standing.get(pair) == answer[place]
            status[row], words[row] = (KNOWN, None) if same else (CONFLICT, DUPLICATE)
    return Posted(status, words)


def _block(rows: Sequence[Mapping[str, str | None] | None]) -> Block:
    """The rows in columns of texts."""

    def column(name: str) -> Any:
        return pa.array([None if row is None else row.get(name) for row in rows], type=pa.string())

    return Block(
        line=np.arange(1, len(rows) + 1),
        row=pa.nulls(len(rows), pa.string()),
        values={name: column(name) for name in COLUMNS},
        reason=pa.array([None if row is not None else "unreadable_row" for row in rows], type=pa.string()),
    )


def _items_of(connection: sa.Connection, dataset: Dataset, held: dict[str, Any]) -> Resolved:
    """Which item each row is about, by item_id or else external_id; no temporary table: posts are many."""
    ids, names = held["item_id"].to_pylist(), held["external_id"].to_pylist()
    by_id = _found(connection, dataset, "item_id", {key for key in ids if key is not None})
    wanted = {name for key, name in zip(ids, names, strict=True) if key is None and name is not None}
    by_name = _found(connection, dataset, "external_id", wanted)
    of_row = [
        by_id.get(key) if key is not None else by_name.get(name) for key, name in zip(ids, names, strict=True)
    ]
    coded = pa.array(of_row, type=pa.string()).dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Resolved(coded.dictionary, codes, 0)


def _found(
    connection: sa.Connection, dataset: Dataset, column: str, keys: Iterable[str]
) -> dict[str | None, str]:
    wanted = sorted(keys)
    if not wanted:
        return {}
    if connection.dialect.name == "sqlite":
        chosen: str = f"{column} IN (SELECT value FROM json_each(:keys))"
        given: object = json.dumps(wanted)
    else:
        chosen = f"{column} = ANY(CAST(:keys AS {'uuid' if column == 'item_id' else 'text'}[]))"
        given = wanted
    rows = connection.execute(
        sa.text(
            f"SELECT CAST({column} AS text) AS key, CAST(item_id AS text) AS item_id FROM items"
            f" WHERE dataset_id = :dataset AND {chosen}"
        ),
        {"dataset": dataset.dataset_id, "keys": given},
    )
    return {row.key: row.item_id for row in rows}
