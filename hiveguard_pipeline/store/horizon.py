"""The horizon: the newest vote_id below which no vote can still appear.

On SQLite writers follow one another, so the newest vote is the horizon. On PostgreSQL a vote may commit
after one with a higher id. A writer takes its ROW EXCLUSIVE lock on `votes` before its ids (parse analysis
opens the table, the identity is drawn when the row is made) and holds it to its end. So: read the newest
committed id, then see who holds that lock; once all of those have ended, every vote at or below that id is
there for all to see. Nobody is made to wait, and SELECT on votes is all it takes (the lock of
FACTS_STORE 2 needs more; its other way, by snapshot xmin, leaves a gap between drawing an id and being
given a transaction id).
"""

import time
from dataclasses import dataclass

import sqlalchemy as sa

_NEWEST = "SELECT coalesce(max(vote_id), 0) FROM votes"
_WRITERS = (
    "SELECT DISTINCT virtualtransaction FROM pg_locks"
    " WHERE relation = CAST('votes' AS regclass) AND locktype = 'relation' AND granted"
    " AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
    " AND pid IS DISTINCT FROM pg_backend_pid()"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

WAIT_SECONDS = 10.0
"""How long a run waits for writers that were open when it began."""

_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Candidate:
    """A newest vote, and the transactions that may still bring older ones."""

    vote_id: int
    writers: frozenset[str]


def candidate(connection: sa.Connection) -> Candidate:
    """The newest vote now. The connection must not be in a REPEATABLE READ snapshot."""
    if connection.dialect.name == "sqlite":
        return Candidate(int(connection.execute(sa.text(_NEWEST)).scalar_one()), frozenset())
    # One statement: its snapshot, of which the newest vote is, is taken before the lock table is read.
    newest, writers = connection.execute(sa.text(f"SELECT ({_NEWEST}), ARRAY({_WRITERS})")).one()
    return Candidate(int(newest), frozenset(writers))


def still_open(connection: sa.Connection, found: Candidate) -> frozenset[str]:
    """Those of a candidate's writers that have not ended."""
    if not found.writers:
        return frozenset()
    return found.writers & frozenset(connection.execute(sa.text(_WRITERS)).scalars())


def safe_horizon(connection: sa.Connection, fallback: int, wait_seconds: float = WAIT_SECONDS) -> int:
    """The newest vote under which none is missing; `fallback` if older writers stay open too long.

    Waits for the writers that are open now, not for those that come while it waits.
    """
    found = candidate(connection)
    deadline = time.monotonic() + wait_seconds
    while found.vote_id > fallback and still_open(connection, found):
        if time.monotonic() > deadline:
            return fallback
        time.sleep(_POLL_SECONDS)
    return max(found.vote_id, fallback)
