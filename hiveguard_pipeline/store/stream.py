"""Rows of a query in record batches, as the database yields them: memory does not grow with rows.

On PostgreSQL they come by COPY, which a thread takes from the server while the caller is busy with those
before: half the time of fetching rows, and a third of the processor's. SQLite's rows lie in this process:
there is nobody to wait for.
"""

import io
import threading
from collections.abc import Generator, Mapping
from contextlib import suppress
from queue import Empty, Queue
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.store.bulk import copy_statement, raw_cursor, schema_of, table_of

_ROWS = 16_384
"""Of a batch, on either database: Parquet files show it."""

_FIRST_BYTES, _MOST_BYTES = 1 << 16, 1 << 20
"""Of CSV that is parsed at once: little first, so that something is there soon."""
_BLOCKS_AHEAD = 2
_SAVEPOINT = "hiveguard_stream"


def stream_columns(
    connection: sa.Connection, query: str, parameters: Mapping[str, object], types: Mapping[str, type]
) -> Generator[pa.RecordBatch]:
    """The rows of a query, in batches of one size.

    types: the query's columns in order, each int or str, both with nulls. The connection is the stream's
    until that has ended or is closed.
    """
    if connection.dialect.name == "sqlite":
        return _sqlite(connection, query, parameters, types)
    return _postgres(connection, query, parameters, types)


def _sqlite(
    connection: sa.Connection, query: str, parameters: Mapping[str, object], types: Mapping[str, type]
) -> Generator[pa.RecordBatch]:
    schema = schema_of(types)
    cursor = raw_cursor(connection).execute(query, dict(parameters))
    try:
        while rows := cursor.fetchmany(_ROWS):
            arrays = [
                pa.array(column, type=field.type)
                for column, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            yield pa.record_batch(arrays, schema=schema)
    finally:
        cursor.close()


def _postgres(
    connection: sa.Connection, query: str, parameters: Mapping[str, object], types: Mapping[str, type]
) -> Generator[pa.RecordBatch]:
    with raw_cursor(connection) as cursor:
        copied = _Copied(cursor, copy_statement(cursor, query, parameters))
        try:
            rest = schema_of(types).empty_table()
            while (block := copied.next()) is not None:
                rest = pa.concat_tables([rest, table_of(block, types)])
                whole = rest.num_rows - rest.num_rows % _ROWS
                yield from rest.slice(0, whole).combine_chunks().to_batches(max_chunksize=_ROWS)
                rest = rest.slice(whole)
            yield from rest.combine_chunks().to_batches()
        finally:
            copied.close()


class _StoppedError(Exception):
    """Nobody wants the rest."""


class _Copied:
    """What COPY sends, in blocks of whole rows; a thread receives it."""

    def __init__(self, cursor: Any, statement: str) -> None:
        self._cursor, self._statement = cursor, statement
        self._blocks: Queue[io.BytesIO | BaseException | None] = Queue(_BLOCKS_AHEAD)
        self._rows: list[bytes] = []
        self._size, self._enough = 0, _FIRST_BYTES
        self._is_stopped = False
        cursor.execute(f"SAVEPOINT {_SAVEPOINT}")
        self._thread = threading.Thread(target=self._receive, name="hiveguard-stream", daemon=True)
        self._thread.start()

    def next(self) -> io.BytesIO | None:
        """The next block; None at the end. Raises what ended the COPY before it."""
        block = self._blocks.get()
        if not isinstance(block, io.BytesIO):
            self._thread.join()
        if isinstance(block, BaseException):
            raise block
        return block

    def close(self) -> None:
        """End the COPY, whole or not; the transaction stands as before it."""
        self._is_stopped = True
        connection = self._cursor.connection
        if self._thread.is_alive():
            with suppress(connection.Error):
                connection.cancel()
        while self._thread.is_alive():
            with suppress(Empty):  # there may be no room for what the thread has to say
                self._blocks.get(timeout=0.01)
        back = f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}; RELEASE SAVEPOINT {_SAVEPOINT}"
        with suppress(connection.Error):  # where the connection is gone, that is told already
            try:
                self._cursor.execute(back)
            except connection.OperationalError:  # the COPY had just ended: this is what was cancelled
                self._cursor.execute(back)

    def write(self, row: bytes) -> int:
        """What the driver calls with each row."""
        if self._is_stopped:
            raise _StoppedError
        self._rows.append(row)
        self._size += len(row)
        if self._size >= self._enough:
            self._pass_on()
        return len(row)

    def _receive(self) -> None:
        try:
            self._cursor.copy_expert(self._statement, self)
            if self._rows:
                self._pass_on()
            self._blocks.put(None)
        except BaseException as error:  # noqa: BLE001 - who reads raises it
            self._blocks.put(error)

    def _pass_on(self) -> None:
        self._blocks.put(io.BytesIO(b"".join(self._rows)))
        self._rows, self._size = [], 0
        self._enough = min(4 * self._enough, _MOST_BYTES)
