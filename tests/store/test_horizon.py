"""On PostgreSQL a vote may commit after one with a higher id; a run reads only as far as none is missing."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.backlog import Position, look
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.horizon import candidate, safe_horizon, still_open
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database

from .voting import add_items, cast, labels_of, letters, vote_ids

_solver = iter(range(10_000))


@pytest.fixture
def postgres(new_postgres: Callable[..., str]) -> Database:
    return open_database(new_postgres())


@pytest.fixture
def animals(postgres: Database) -> Dataset:
    dataset = create_dataset(postgres, "animals", Policy())
    add_items(postgres, dataset, "a")
    return dataset


@contextmanager
def writer(database: Database, dataset: Dataset, keep: bool = True) -> Iterator[int]:
    """A challenge server in the middle of its transaction: it has drawn an id and not committed."""
    with database.engine.connect() as connection:
        transaction = connection.begin()
        vote_id = connection.execute(
            sa.text(
                "INSERT INTO votes (item_id, solver_id, answer)"
                " SELECT item_id, :solver, 'x' FROM items WHERE dataset_id = :dataset RETURNING vote_id"
            ),
            {"solver": f"open-{next(_solver)}", "dataset": dataset.dataset_id},
        ).scalar_one()
        yield int(vote_id)
        if keep:
            transaction.commit()
        else:
            transaction.rollback()


def horizon(database: Database, fallback: int = 0, wait: float = 0.05) -> int:
    with database.look() as connection:
        return safe_horizon(connection, fallback, wait)


def test_without_open_writers_the_newest_vote_is_the_horizon(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, "a")
    assert horizon(database) == 0
    cast(database, dataset, letters("a", "xxx"))
    assert horizon(database) == vote_ids(database, dataset)[-1]
    assert horizon(database, fallback=10**12) == 10**12, "it never goes back"


@pytest.mark.parametrize("keep", [True, False], ids=["commits", "rolls back"])
def test_a_writer_that_has_drawn_an_id_holds_the_horizon_until_it_ends(
    postgres: Database, animals: Dataset, keep: bool
) -> None:
    cast(postgres, animals, letters("a", "x"))
    first = vote_ids(postgres, animals)[0]
    with writer(postgres, animals, keep) as drawn:
        cast(postgres, animals, letters("a", "x"))
        newest = vote_ids(postgres, animals)[-1]
        assert newest > drawn > first
        assert horizon(postgres, fallback=first) == first
    assert horizon(postgres, fallback=first) == newest
    assert (drawn in vote_ids(postgres, animals)) == keep


def test_a_run_waits_for_open_writers_and_then_takes_their_votes(
    postgres: Database, animals: Dataset
) -> None:
    cast(postgres, animals, letters("a", "x"))
    with ExitStack() as open_writers:
        drawn = open_writers.enter_context(writer(postgres, animals))
        cast(postgres, animals, letters("a", "x"))
        ends = threading.Timer(0.3, open_writers.close)
        ends.start()
        done = apply_votes(postgres, animals.name, run_id="run", wait_seconds=20)
        ends.join()
    assert done.horizon > drawn
    assert labels_of(postgres, animals)["a"][4] == 3


def test_a_run_that_waited_in_vain_skips_nothing_later(postgres: Database, animals: Dataset) -> None:
    with writer(postgres, animals) as drawn:
        cast(postgres, animals, letters("a", "yyx"))
        started = time.monotonic()
        done = apply_votes(postgres, animals.name, run_id="run", wait_seconds=0.2)
        assert 0.2 <= time.monotonic() - started < 5
        assert (done.horizon, done.votes_read) == (0, 0)
    done = apply_votes(postgres, animals.name, run_id="run")
    assert done.horizon > drawn
    assert labels_of(postgres, animals)["a"][:2] == ("y", 666_667)
    assert done.votes_read == 4


def test_a_writer_that_starts_later_does_not_hold_the_horizon(postgres: Database, animals: Dataset) -> None:
    cast(postgres, animals, letters("a", "x"))
    with postgres.look() as connection:
        found = candidate(connection)
        with writer(postgres, animals):
            assert still_open(connection, found) == frozenset()
            assert candidate(connection).writers
    assert found.vote_id == vote_ids(postgres, animals)[0]


def test_readers_writers_of_other_tables_and_of_other_databases_hold_nothing(
    postgres: Database, animals: Dataset, new_postgres: Callable[..., str]
) -> None:
    cast(postgres, animals, letters("a", "x"))
    newest = vote_ids(postgres, animals)[0]
    elsewhere = open_database(new_postgres())
    other = create_dataset(elsewhere, "animals", Policy())
    add_items(elsewhere, other, "a")
    with (
        postgres.engine.connect() as reader,
        postgres.engine.connect() as reviewer,
        writer(elsewhere, other),
    ):
        reader.execute(sa.text("SELECT * FROM votes"))
        reviewer.execute(sa.text("UPDATE datasets SET task_type = 'text'"))
        reviewer.execute(sa.text("SELECT * FROM votes FOR SHARE"))
        assert horizon(postgres) == newest


def test_a_writer_that_queues_behind_a_lock_holds_nothing_back(postgres: Database, animals: Dataset) -> None:
    """It has not drawn its id yet."""
    cast(postgres, animals, letters("a", "x"))
    newest = vote_ids(postgres, animals)[0]
    queued = threading.Thread(target=cast, args=(postgres, animals, letters("a", "x")))
    with postgres.engine.connect() as blocker:
        blocker.execute(sa.text("LOCK TABLE votes IN SHARE MODE"))
        queued.start()
        deadline = time.monotonic() + 10
        while not _waiting(postgres):
            assert time.monotonic() < deadline
        assert horizon(postgres) == newest
    queued.join()


def _waiting(database: Database) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = CAST('votes' AS regclass)"
    with database.look() as connection:
        return bool(connection.execute(sa.text(query)).scalar_one())


def test_looks_advance_past_writers_that_have_ended_although_new_ones_keep_coming(
    postgres: Database, animals: Dataset
) -> None:
    """A busy challenge server always has a transaction open: no look finds the table quiet."""
    position = Position()
    with ExitStack() as first, ExitStack() as second, ExitStack() as third:
        first.enter_context(writer(postgres, animals))
        cast(postgres, animals, letters("a", "xxx"))
        newest = vote_ids(postgres, animals)[-1]
        position = look(postgres, position).position
        assert position.checked_through == 0
        assert position.pending_vote_id == newest
        assert position.due == {}

        second.enter_context(writer(postgres, animals))
        position = look(postgres, Position.parse(position.text())).position
        assert (position.checked_through, position.due) == (0, {}), "the first one is still open"

        first.close()
        third.enter_context(writer(postgres, animals))
        position = look(postgres, Position.parse(position.text())).position
        assert position.checked_through == newest
        assert list(position.due) == [animals.name]
