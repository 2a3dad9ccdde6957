"""The migrated database is the one that the tables describe; any other one is refused with what to do."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.schema import REVISION, open_database, upgrade
from hiveguard_pipeline.store.tables import metadata
from hiveguard_pipeline.store.views import VIEWS


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database in which there is nothing, not even a folder."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'folder' / 'hiveguard.db'}"
    make: Callable[..., str] = request.getfixturevalue("new_postgres")
    return make(empty=True)


def test_the_newest_migration_is_the_revision_that_the_code_asks_for() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "hiveguard_pipeline.store:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_an_empty_database_is_set_up_and_opened_again_as_it_is(empty_url: str) -> None:
    database = open_database(empty_url)
    create_dataset(database, "animals", Policy())
    again = open_database(empty_url)
    upgrade(again)
    with again.read() as connection:
        assert connection.execute(sa.text("SELECT name FROM datasets")).scalars().all() == ["animals"]
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == REVISION


def test_the_migrated_database_is_what_the_tables_say(empty_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    database = open_database(empty_url)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        inspector = sa.inspect(connection)
        defaults = {
            (table, column["name"]): str(column["default"])
            for table in metadata.tables
            for column in inspector.get_columns(table)
            if column["default"] is not None and not column.get("identity")
        }
    assert list(defaults) == [("votes", "created_at")]
    assert "now" in defaults["votes", "created_at"]


def test_the_views_are_those_that_the_tables_module_defines(empty_url: str, tmp_path: Path) -> None:
    database = open_database(empty_url)
    with database.read() as connection:
        migrated = {name: _definition(connection, name) for name in sa.inspect(connection).get_view_names()}
    with database.write() as connection:
        for name in reversed(VIEWS):
            connection.execute(sa.text(f"DROP VIEW {name}"))
        for name, query in VIEWS.items():
            connection.execute(sa.text(f"CREATE VIEW {name} AS {query}"))
        defined = {name: _definition(connection, name) for name in VIEWS}
    assert migrated == defined


def _definition(connection: sa.Connection, view: str) -> str:
    return " ".join(str(sa.inspect(connection).get_view_definition(view)).split())


@pytest.mark.parametrize(
    ("revision", "what_to_do"),
    [
        ("0000", "run `hiveguard init` to upgrade"),
        ("9999", "written by a newer version"),
        ("b5c2f0a1d3e4", "written by a newer version"),
    ],
)
def test_another_revision_is_refused_in_one_line_that_says_what_to_do(
    database: Database, database_url: str, revision: str, what_to_do: str
) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :at"), {"at": revision})
    with pytest.raises(BadInputError, match=what_to_do) as refused:
        open_database(database_url)
    assert f"is at revision {revision}" in str(refused.value)
    assert database.address in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(BadInputError, match=f"revision {revision}"):
        upgrade(database)


@pytest.mark.parametrize("table", sorted([*metadata.tables, *VIEWS]))
def test_a_database_with_foreign_tables_of_these_names_is_refused_and_left_alone(
    tmp_path: Path, table: str
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'theirs.db'}")
    _refuses_foreign(database, str(database.url), table)


@pytest.mark.parametrize("table", ["votes", "reviews", "vote_status"])
def test_a_postgres_database_with_foreign_tables_is_refused_and_left_alone(
    new_postgres: Callable[..., str], table: str
) -> None:
    url = new_postgres(empty=True)
    _refuses_foreign(Database(url), url, table)


def _refuses_foreign(database: Database, url: str, table: str) -> None:
    with database.write() as connection:
        connection.execute(sa.text(f"CREATE TABLE {table} (theirs text)"))
    with pytest.raises(BadInputError, match="that HiveGuard did not make"):
        open_database(url)
    with database.read() as connection:
        assert sa.inspect(connection).get_table_names() == [table]


def test_other_peoples_tables_of_other_names_do_not_matter(empty_url: str, tmp_path: Path) -> None:
    (tmp_path / "new" / "folder").mkdir(parents=True)
    database = Database(empty_url)
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE customers (name text)"))
    create_dataset(open_database(empty_url), "animals", Policy())


def test_processes_that_open_an_empty_database_at_once_all_succeed(empty_url: str) -> None:
    code = (
        "import sys; from hiveguard_pipeline.store.schema import open_database\n"
        "sys.stdin.readline(); open_database(sys.argv[1])"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, empty_url],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in started]
    assert ended == [("", 0)] * 3
    create_dataset(open_database(empty_url), "animals", Policy())
