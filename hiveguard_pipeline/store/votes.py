"""Votes into the vote table in bulk, by imports: the challenge server writes its own one by one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

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
