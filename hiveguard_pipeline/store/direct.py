"""The store for a process that only exports: read in bulk, by the leanest way each database has.

SQLite is read through ADBC, which hands over Arrow batches, and PostgreSQL by its own COPY. ADBC brings an
SQLite library of its own: a process that has loaded Python's sqlite3 module never uses it (the two would
drop each other's locks), and this module imports neither it nor SQLAlchemy.
"""

import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from hiveguard_pipeline.store.revision import REVISION

_VERSION = "SELECT version_num FROM alembic_version"
_BATCH_ROWS = 16_384
_SECONDS_TO_CONNECT = 10


class DirectSqlite:
    """One SQLite file, read through ADBC."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a small query."""
        with self._reader(query) as reader:
            return [tuple(row.values()) for row in reader.read_all().to_pylist()]

    @contextmanager
    def batches(self, query: str, schema: pa.Schema) -> Iterator[Iterator[pa.RecordBatch]]:
        """The rows of a query as batches of a schema; the next one is read while one is used.

        ADBC takes a column's type from the first batch: no text column may begin with nothing but NULL.
        """
        with self._reader(query) as reader, ThreadPoolExecutor(1) as beside:

            def read_ahead() -> Iterator[pa.RecordBatch]:
                waiting = beside.submit(next, reader, None)
                while (batch := waiting.result()) is not None:
                    waiting = beside.submit(next, reader, None)
                    yield batch.cast(schema)

            yield read_ahead()

    @contextmanager
    def _reader(self, query: str) -> Iterator[Any]:
        from adbc_driver_manager import AdbcStatement

        with AdbcStatement(self._connection) as statement:
            statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_BATCH_ROWS)})
            statement.set_sql_query(query)
            stream, _ = statement.execute_query()
            with pa.RecordBatchReader._import_from_c(stream.address) as reader:
                yield reader


class DirectPostgres:
    """One PostgreSQL database, read in one transaction that sees one moment of it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a small query."""
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def copy_csv(self, query: str, stream: BinaryIO) -> int:
        """Write the rows of a query as the server's own CSV; returns how many."""
        with self._connection.cursor() as cursor:
            cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv)", stream)
            return int(cursor.rowcount)


@contextmanager
def open_direct(url: str) -> Iterator[DirectSqlite | DirectPostgres | None]:
    """The store at an address; None where the ordinary way has to be taken, which says what is wrong."""
    with ExitStack() as opened:
        store = _sqlite(url, opened) or _postgres(url, opened)
        yield store if store is not None and _is_current(store) else None


def _sqlite(url: str, opened: ExitStack) -> DirectSqlite | None:
    path = url.removeprefix("sqlite:///")
    if path == url or "?" in path or "sqlite3" in sys.modules or not Path(path).is_file():
        return None
    try:
        import adbc_driver_sqlite
        from adbc_driver_manager import AdbcConnection, Error

        file = Path(path).absolute().as_uri()
        database = opened.enter_context(adbc_driver_sqlite.connect(f"{file}?mode=ro"))
        return DirectSqlite(opened.enter_context(AdbcConnection(database)))
    except (ImportError, Error):
        return None


def _postgres(url: str, opened: ExitStack) -> DirectPostgres | None:
    address = re.sub(r"^postgres(ql)?(\+psycopg2)?://", "postgresql://", url.strip())
    if not address.startswith("postgresql://"):
        return None
    import psycopg2

    try:
        connection = psycopg2.connect(
            address,
            connect_timeout=_SECONDS_TO_CONNECT,
            application_name="hiveguard",
            options="-c timezone=UTC",
        )
    except psycopg2.Error:
        return None
    opened.callback(connection.close)
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    return DirectPostgres(connection)


def _is_current(store: DirectSqlite | DirectPostgres) -> bool:
    """Whether the store is at the newest revision; False too where it cannot say."""
    tables = (
        "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
        if isinstance(store, DirectSqlite)
        else "SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL"
    )
    with suppress(Exception):  # the ordinary way meets the same, and says it well
        return store.rows(tables) != [] and store.rows(_VERSION) == [(REVISION,)]
    return False
