"""What the databases' own errors become, whichever way they come."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.errors import DeadlockError, StoreUnavailableError
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.schema import open_database


@pytest.mark.parametrize("bare", [False, True])
def test_of_two_that_wait_for_each_other_one_is_ended_and_told_so(
    new_postgres: Callable[..., str], bare: bool
) -> None:
    database = open_database(new_postgres())
    for name in "ab":
        create_dataset(database, name, Policy())
    both_hold_one = threading.Barrier(2)

    def write(names: str) -> str:
        with database.write() as connection:
            for name in names:
                # A bare error is the driver's, as a bulk path meets it.
                touch = "SELECT 1 AS n FROM datasets WHERE name = :name FOR UPDATE"
                if bare:
                    with connection.connection.cursor() as cursor:
                        cursor.execute(touch.replace(":name", "%(name)s"), {"name": name})
                else:
                    connection.execute(sa.text(touch), {"name": name})
                if name == names[0]:
                    both_hold_one.wait(30)
        return names

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(write, names) for names in ("ab", "ba")]
    (error,) = [one.exception() for one in asked if one.exception()]
    assert isinstance(error, DeadlockError)
    assert "others wrote the same rows" in str(error)
    database.engine.dispose()


def test_a_bulk_read_that_the_database_ends_is_told_as_any_other(
    new_postgres: Callable[..., str],
) -> None:
    database: Database = open_database(new_postgres())

    def read_too_long() -> None:
        with database.read() as connection:
            connection.execute(sa.text("SET LOCAL statement_timeout = 20"))
            read_columns(connection, "SELECT 1 AS n FROM (SELECT pg_sleep(20)) s", {}, {"n": int})

    with pytest.raises(StoreUnavailableError, match="statement timeout"):
        read_too_long()
