"""Votes into the vote table: in bulk by imports, and those that are posted beside all else that writes.

A challenge server with a role of its own may also write there by itself, one by one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg2.errors
import sqlalchemy as sa

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import append


def insert_votes(connection: sa.Connection, columns: Mapping[str, Any]) -> bool:
    """Insert new votes, in order; False, and nothing inserted, if a solver has voted on an item meanwhile.

    That can only be on PostgreSQL, where the challenge server writes beside an import.
    """
    rows = len(columns["item_id"])
    if connection.dialect.name == "sqlite":
        with _index_built_anew(connection, rows):
            append(connection, "votes", columns)
        return True
    try:
        with connection.begin_nested():
            append(connection, "votes", columns)
    except psycopg2.errors.UniqueViolation:
        return False
    if rows > 10_000:
        connection.execute(sa.text("ANALYZE votes"))
    return True


def add_votes(connection: sa.Connection, columns: Mapping[str, Sequence[Any]]) -> Any:
    """Insert votes in order, but for those whose solver has voted on the item; returns which went in (rows,).

    columns: item_id, solver_id, answer, duration_ms, created_at, plain Python values, each pair of item and
    solver once. Takes no lock but those of the rows: many may do this at once, and a vote is in once.
    """
    names = ("item_id", "solver_id", "answer", "duration_ms", "created_at")
    given: dict[str, Any] = {name: list(columns[name]) for name in names}
    rows = len(given["item_id"])
    went_in = np.zeros(rows, dtype=bool)
    if not rows:
        return went_in
    place = {pair: row for row, pair in enumerate(zip(given["item_id"], given["solver_id"], strict=True))}
    if connection.dialect.name == "sqlite":
        source = "SELECT " + ", ".join(f"value ->> {n}" for n in range(len(names))) + " FROM json_each(:rows)"
        given = {"rows": json.dumps(list(zip(*given.values(), strict=True)))}
        order = "key"
    else:
        kinds = ("uuid", "text", "text", "bigint", "timestamptz")
        arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in zip(names, kinds, strict=True))
        source = (
            f"SELECT {', '.join(names)} FROM unnest({arrays}) WITH ORDINALITY AS r ({', '.join(names)}, n)"
        )
        order = "n"
    made = connection.execute(
        sa.text(
            f"INSERT INTO votes ({', '.join(names)}) {source} WHERE true ORDER BY {order}"
            " ON CONFLICT (item_id, solver_id) DO NOTHING RETURNING CAST(item_id AS text), solver_id"
        ),
        given,
    )
    went_in[[place[item_id, solver_id] for item_id, solver_id in made]] = True
    return went_in


def answers_of_pairs(
    connection: sa.Connection, item_ids: Sequence[str], solvers: Sequence[str]
) -> dict[tuple[str, str], str]:
    """What solvers answered to items, side by side: (item_id, solver_id) -> answer, where there is a vote."""
    given: dict[str, Any]
    if connection.dialect.name == "sqlite":
        pairs = "(SELECT value ->> 0 AS item_id, value ->> 1 AS solver_id FROM json_each(:pairs)) AS p"
        given = {"pairs": json.dumps(list(zip(item_ids, solvers, strict=True)))}
    else:
        pairs = "unnest(CAST(:items AS uuid[]), CAST(:solvers AS text[])) AS p (item_id, solver_id)"
        given = {"items": list(item_ids), "solvers": list(solvers)}
    # CROSS JOIN keeps SQLite's loop order: from the pairs to their votes by index.
    rows = connection.execute(
        sa.text(
            f"SELECT CAST(v.item_id AS text), v.solver_id, v.answer FROM {pairs} CROSS JOIN votes v"
            " WHERE v.item_id = p.item_id AND v.solver_id = p.solver_id"
        ),
        given,
    )
    return {(item_id, solver_id): answer for item_id, solver_id, answer in rows}


@contextmanager
def _index_built_anew(connection: sa.Connection, rows: int) -> Iterator[None]:
    """SQLite: many rows go in twice as fast if the index is built after them, from sorted rows.

    In the import's transaction, so that no one ever sees the table without it.
    """
    newest = connection.execute(sa.text("SELECT coalesce(max(vote_id), 0) FROM votes")).scalar_one()
    if rows < newest // 2 or rows < 1_000:
        yield
        return
    (index,) = t.votes.indexes
    index.drop(connection)
    yield
    index.create(connection)
