"""Connections: one embedded SQLite file or one PostgreSQL database, used in the same way.

A write is one transaction. On SQLite it takes the file's single write lock at once (BEGIN IMMEDIATE), so
that writers queue instead of failing half way; on PostgreSQL it is READ COMMITTED with row locks.
A read sees one moment of the database.
"""

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy.pool import NullPool, QueuePool

from hiveguard_pipeline.errors import BadInputError, DeadlockError, StoreUnavailableError

BUSY_SECONDS = 300
"""How long a writer of SQLite waits for another one."""

SERVED_BUSY_SECONDS = 10
"""How long one waits whose caller waits for an answer."""

CONNECT_SECONDS = 10

KEPT_SECONDS = 300
"""How long a connection is kept for looks: a server's name may come to mean another machine."""

_CONNECT = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "hiveguard",
    "options": "-c timezone=UTC",
}

_DEADLOCK = "40P01"
"""PostgreSQL's code of a deadlock."""

_READ_CACHE_KIB = 32 << 10
_WRITE_CACHE_KIB = 256 << 10
"""SQLite's page cache: a bulk write walks indexes at random, a read mostly goes through once."""


class Database:
    """The store's database. Raises BadInputError for an address that is none; connects when used.

    serves: so many connections are kept for a server's requests, and nobody waits for long; None: none are.
    """

    def __init__(self, url: str, serves: int | None = None) -> None:
        self.url = parse_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._busy_seconds = BUSY_SECONDS if serves is None else SERVED_BUSY_SECONDS
        if self.is_sqlite:
            self.engine = self._looking = _sqlite_engine(self.url, self._busy_seconds)
        elif serves is None:
            self.engine, self._looking = _postgres_engine(self.url), _kept_engine(self.url, 1)
        else:
            self.engine = self._looking = _kept_engine(self.url, serves)

    @property
    def address(self) -> str:
        """The address as it may be shown: without password or options."""
        return self.url.set(query={}).render_as_string(hide_password=True)

    @contextmanager
    def write(self, *, check_references: bool = True) -> Iterator[sa.Connection]:
        """One transaction that may write; commits at the end, rolls back on any error.

        check_references=False spares SQLite its look-up of every foreign key, for a writer that has found
        the rows it refers to in this transaction.
        """
        with self._translated(), self.engine.connect() as connection:
            connection = connection.execution_options(hiveguard_write=True, check_references=check_references)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One transaction that sees one moment of the database."""
        with self._translated(), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def look(self) -> Iterator[sa.Connection]:
        """Several reads, each of which sees what is committed when it starts; may use temporary tables.

        Nothing is committed: on PostgreSQL a commit would wait for the disk to drop a temporary table. There
        the connection is kept for the next look, outside any transaction: what a server's process learns of
        the tables costs more than a look.
        """
        with (
            self._translated(),
            self._looking.connect() as connection,
            closing(connection.begin()),
        ):
            yield connection

    def use_write_ahead_log(self) -> None:
        """Put an SQLite file into WAL mode, for good: readers and the writer do not block each other."""
        deadline = time.monotonic() + BUSY_SECONDS
        with self._translated(), closing(self.engine.raw_connection()) as connection:
            while connection.cursor().execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                try:
                    connection.cursor().execute("PRAGMA journal_mode = WAL")
                except sqlite3.OperationalError as error:  # this switch does not wait for others by itself
                    if "locked" not in str(error) or time.monotonic() > deadline:
                        raise StoreUnavailableError(f"{self.address} could not be opened: {error}") from None
                    time.sleep(0.05)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        driver: Any = self.engine.dialect.dbapi  # bulk paths call it themselves: its errors come bare too
        try:
            yield
        except (sa.exc.DBAPIError, driver.Error) as error:
            original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            if getattr(original, "pgcode", None) == _DEADLOCK:
                raise DeadlockError(
                    f"others wrote the same rows of {self.address} at the same time;"
                    " nothing was changed, try again"
                ) from None
            if (
                isinstance(original, driver.OperationalError | driver.InterfaceError)
                or type(original) is sqlite3.DatabaseError  # what is no database, or is damaged
            ):
                raise StoreUnavailableError(self._explained(original)) from None
            raise

    def _explained(self, error: BaseException | None) -> str:
        said = " ".join(self.without_secrets(str(error)).split())
        if self.is_sqlite and ("locked" in said or "busy" in said):
            return (
                f"{self.address} has been written by another process for over {self._busy_seconds} seconds;"
                " nothing was changed, try again when it is done"
            )
        return f"the database {self.address} could not be used: {said}"

    def without_secrets(self, text: str) -> str:
        """A text with this database's password taken out."""
        secrets = [self.url.password, self.url.query.get("password"), self.url.query.get("sslpassword")]
        for secret in secrets:
            if isinstance(secret, str) and secret:
                for written in (secret, quote(secret), quote_plus(secret)):
                    text = text.replace(written, "***")
        return text


def parse_url(text: str) -> sa.URL:
    """A database address with the driver that is installed: sqlite, or postgresql+psycopg2.

    The message of the BadInputError never repeats the text: it may hold a password.
    """
    try:
        url = sa.make_url(re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql+psycopg2://", text.strip()))
    except (sa.exc.ArgumentError, ValueError):
        raise BadInputError(
            "HIVEGUARD_DATABASE_URL is not a database address; it looks like"
            " sqlite:////path/to/hiveguard.db or postgresql://user:password@host/database"
        ) from None
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise BadInputError(
            f"HIVEGUARD_DATABASE_URL names {url.get_backend_name()}; the store runs on sqlite and postgresql"
        )
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise BadInputError("HIVEGUARD_DATABASE_URL names no file: an SQLite store is a file")
    return url


def _sqlite_engine(url: sa.URL, busy_seconds: int) -> sa.Engine:
    engine = sa.create_engine(url, poolclass=NullPool, connect_args={"timeout": busy_seconds})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's BEGIN below, not the driver's own
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("hiveguard_write")
        if writes and not connection.get_execution_options().get("check_references"):
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql(f"PRAGMA cache_size = -{_WRITE_CACHE_KIB if writes else _READ_CACHE_KIB}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres_engine(url: sa.URL) -> sa.Engine:
    return sa.create_engine(url, poolclass=NullPool, connect_args=_CONNECT)


def _kept_engine(url: sa.URL, size: int) -> sa.Engine:
    """So many connections that are kept between uses, asked before each whether they still live.

    Uses at the same time get connections of their own, which are closed. A server that is gone without a
    word is given up after CONNECT_SECONDS, as for a new connection.
    """
    engine = sa.create_engine(
        url,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=-1,
        pool_pre_ping=True,
        pool_recycle=KEPT_SECONDS,
        connect_args=_CONNECT | {"tcp_user_timeout": 1000 * CONNECT_SECONDS},
    )

    @sa.event.listens_for(engine, "connect")
    def note_process(_connection: Any, record: Any) -> None:
        record.info["process"] = os.getpid()

    @sa.event.listens_for(engine, "checkout")
    def refuse_inherited(_connection: Any, record: Any, fairy: Any) -> None:
        if record.info["process"] != os.getpid():  # after a fork: it is the parent's to go on with
            record.dbapi_connection = fairy.dbapi_connection = None
            raise sa.exc.DisconnectionError("a connection of another process")

    return engine


def make_folder_of(database: Database) -> None:
    """Make the folder that an SQLite file will lie in."""
    if not database.is_sqlite:
        return
    folder = Path(str(database.url.database)).absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"{folder} cannot be made: {error.strerror}") from None
