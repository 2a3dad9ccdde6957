"""What tests share: real databases of both kinds, the real votes, a home of their own."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.schema import open_database
from tests.postgres import Postgres, server


@sa.event.listens_for(sa.Engine, "connect")
def _write_without_waiting(connection: object, _record: object) -> None:
    """Tests kill processes, never the machine, so SQLite need not wait for the disk, ours or Dagster's."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The PostgreSQL server of this test session."""
    with server() as started:
        yield started


@pytest.fixture
def new_postgres(postgres_server: Postgres) -> Iterator[Callable[..., str]]:
    """Makes PostgreSQL databases: at the newest revision, or empty."""
    made = []

    def make(empty: bool = False) -> str:
        url = postgres_server.take(empty)
        made.append((url, empty))
        return url

    yield make
    for url, empty in made:
        postgres_server.give_back(url, empty)


@pytest.fixture(scope="session")
def new_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Makes SQLite databases at the newest revision: copies of one, which takes a twentieth of the time."""
    template = tmp_path_factory.mktemp("template") / "hiveguard.db"
    open_database(f"sqlite:///{template}").engine.dispose()
    assert [path.name for path in template.parent.iterdir()] == [template.name]

    def make(path: Path) -> str:
        shutil.copy(template, path)
        return f"sqlite:///{path}"

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, new_sqlite: Callable[[Path], str], tmp_path: Path) -> str:
    """The address of an empty store at the newest revision, once on each database."""
    if request.param == "sqlite":
        return new_sqlite(tmp_path / "hiveguard.db")
    make: Callable[..., str] = request.getfixturevalue("new_postgres")
    return make()


@pytest.fixture
def database(database_url: str) -> Database:
    return open_database(database_url)


@pytest.fixture
def dataset(database: Database) -> Dataset:
    """A dataset `animals` that takes any answer, under the default policy."""
    return create_dataset(database, "animals", Policy())


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a user with a home in a temporary folder, on each database; also set here."""
    for name in list(os.environ):
        if name.startswith(("HIVEGUARD_", "REVALIDATION_", "CONSENSUS_")) and name != "HIVEGUARD_SHARED":
            monkeypatch.delenv(name)
    own = {
        "HIVEGUARD_HOME": str(tmp_path / "home"),
        "HIVEGUARD_DATABASE_URL": database_url,
        "DAGSTER_HOME": str(tmp_path / "home" / "dagster"),
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    return {**os.environ, **own}


@pytest.fixture(scope="session")
def shared_votes() -> Path:
    """The folder of real crowd votes; tests that need it are skipped where it is absent."""
    folder = (
        Path(os.environ.get("HIVEGUARD_SHARED", Path(__file__).parents[2] / "shared")).absolute() / "votes"
    )
    if not folder.is_dir():
        pytest.skip(f"the real votes are not here: HIVEGUARD_SHARED names no folder with votes/ ({folder})")
    return folder


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """The folder of other people's annotation files; tests that need it are skipped where it is absent."""
    folder = (
        Path(os.environ.get("HIVEGUARD_SHARED", Path(__file__).parents[2] / "shared")).absolute() / "cases"
    )
    if not folder.is_dir():
        pytest.skip(f"the cases are not here: HIVEGUARD_SHARED names no folder with cases/ ({folder})")
    return folder
