"""Columns in and out of the database, without a Python object for each row where that can be had.

On PostgreSQL columns travel by COPY. On SQLite they come out as one JSON array a column (half the time of
fetching rows, measured on 1M votes) and go in by statements of some thousand rows each. All of it runs on
the caller's connection, inside the caller's transaction. SQLite is only ever touched through Python's own
sqlite3 module: a second SQLite library in the process would drop its locks (tests hold that).

Queries name their parameters `:like_this`; a column is asked for as int (no nulls) or str.
"""

import io
import itertools
import json
import re
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import sqlalchemy as sa

from hiveguard_pipeline.store.arrow import from_numbers, from_texts, to_numbers, to_values

Columns = dict[str, Any]
"""Column name -> numpy int64 array (int) or pyarrow string array (str)."""

_SQLITE_PARAMETERS = 32_000
_STREAMED_ROWS = 16_384
_WRITTEN_ROWS = 65_536


def read_columns(
    connection: sa.Connection, query: str, parameters: Mapping[str, object], types: Mapping[str, type]
) -> Columns:
    """All rows of a query as columns; `types` names the query's columns in order, each int or str."""
    if connection.dialect.name == "sqlite":
        return _read_sqlite(connection, query, parameters, types)
    return _read_postgres(connection, query, parameters, types)


def _read_sqlite(
    connection: sa.Connection, query: str, parameters: Mapping[str, object], types: Mapping[str, type]
) -> Columns:
    gathered = ", ".join(
        f"group_concat({name})" if kind is int else f"json_group_array({name})"
        for name, kind in types.items()
    )
    row = _cursor(connection).execute(f"SELECT {gathered} FROM ({query})", dict(parameters)).fetchone()
    columns: Columns = {}
    for (name, kind), text in zip(types.items(), row, strict=True):
        if kind is int:
            columns[name] = np.fromstring(text or "", sep=",", dtype=np.int64)
        else:
            columns[name] = from_texts(json.loads(text))
    return columns


def _read_postgres(
    connection: sa.Connection, query: str, parameters: Mapping[str, object], types: Mapping[str, type]
) -> Columns:
    buffer = io.BytesIO()
    with _cursor(connection) as cursor:
        statement = cursor.mogrify(_pyformat(query), dict(parameters)).decode()
        cursor.copy_expert(f"COPY ({statement}) TO STDOUT (FORMAT csv)", buffer)
    if not buffer.tell():
        return {name: _empty(kind) for name, kind in types.items()}
    try:
        table = _parsed(buffer, types, block_size=1 << 20)
    except pa.ArrowInvalid:  # a value longer than a block
        table = _parsed(buffer, types, block_size=min(buffer.getbuffer().nbytes + 1, (1 << 31) - 1))
    return {
        name: to_numbers(table[name]) if kind is int else table[name].combine_chunks()
        for name, kind in types.items()
    }


def _parsed(buffer: io.BytesIO, types: Mapping[str, type], block_size: int) -> Any:
    """CSV as COPY writes it: an unquoted empty value is null, a quoted one is text."""
    return pa_csv.read_csv(
        pa.BufferReader(buffer.getbuffer()),
        read_options=pa_csv.ReadOptions(column_names=list(types), block_size=block_size),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types={name: pa.int64() if kind is int else pa.string() for name, kind in types.items()},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def stream_columns(
    connection: sa.Connection, query: str, parameters: Mapping[str, object], types: Mapping[str, type]
) -> Generator[pa.RecordBatch]:
    """The rows of a query in record batches, as the database yields them: memory does not grow with rows."""
    schema = pa.schema([(name, pa.int64() if kind is int else pa.string()) for name, kind in types.items()])
    if connection.dialect.name == "sqlite":
        cursor: Any = _cursor(connection).execute(query, dict(parameters))
    else:
        cursor = connection.connection.cursor("hiveguard_stream")
        cursor.itersize = _STREAMED_ROWS
        cursor.execute(_pyformat(query), dict(parameters))
    try:
        while rows := cursor.fetchmany(_STREAMED_ROWS):
            arrays = [
                pa.array(column, type=field.type)
                for column, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            yield pa.record_batch(arrays, schema=schema)
    finally:
        cursor.close()


def append(connection: sa.Connection, table: str, columns: Mapping[str, Any]) -> int:
    """Insert columns (arrow or numpy arrays of one length) into a table; returns the number of rows."""
    data = pa.table({name: _arrow(column) for name, column in columns.items()})
    if data.num_rows == 0:
        return 0
    names = ", ".join(f'"{name}"' for name in data.column_names)
    if connection.dialect.name == "sqlite":
        _append_sqlite(connection, table, names, data)
    else:
        with _cursor(connection) as cursor, _CsvAhead(data) as text:
            cursor.copy_expert(f'COPY "{table}" ({names}) FROM STDIN (FORMAT csv)', text)
    return int(data.num_rows)


class _CsvAhead:
    """A table as CSV, read by parts: while the server takes one, a thread writes the next."""

    def __init__(self, data: pa.Table) -> None:
        self._parts = (data.slice(start, _WRITTEN_ROWS) for start in range(0, data.num_rows, _WRITTEN_ROWS))
        self._beside = ThreadPoolExecutor(1) if data.num_rows > _WRITTEN_ROWS else None
        self._now = io.BytesIO()
        self._next = self._begun()

    def _begun(self) -> Any:
        part = next(self._parts, None)
        if part is None:
            return None
        return partial(_csv, part) if self._beside is None else self._beside.submit(_csv, part).result

    def read(self, size: int) -> bytes:
        """The next bytes, at most so many; none at the end."""
        while not (text := self._now.read(size)) and self._next is not None:
            self._now = self._next()
            self._next = self._begun()
        return text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._beside is not None:
            self._beside.shutdown()


def _csv(data: pa.Table) -> io.BytesIO:
    buffer = io.BytesIO()
    pa_csv.write_csv(data, buffer, pa_csv.WriteOptions(include_header=False))
    buffer.seek(0)
    return buffer


def _append_sqlite(connection: sa.Connection, table: str, names: str, data: pa.Table) -> None:
    cursor = _cursor(connection)
    row = f"({', '.join('?' * data.num_columns)})"
    chunk = _SQLITE_PARAMETERS // data.num_columns
    for start in range(0, data.num_rows, chunk):
        part = data.slice(start, chunk)
        values = ", ".join([row] * part.num_rows)
        listed = (to_values(column, data.num_rows) for column in part.columns)
        flat = itertools.chain.from_iterable(zip(*listed, strict=True))
        cursor.execute(f'INSERT INTO "{table}" ({names}) VALUES {values}', list(flat))


def _arrow(column: Any) -> Any:
    """A column as Arrow takes it, without pandas where it is a run's."""
    if isinstance(column, pa.Array | pa.ChunkedArray):
        return column
    if isinstance(column, np.ndarray) and column.dtype.kind in "iu":
        return from_numbers(column)
    return pa.array(column)


def _empty(kind: type) -> Any:
    return np.empty(0, dtype=np.int64) if kind is int else from_texts([])


def _cursor(connection: sa.Connection) -> Any:
    return connection.connection.cursor()


def _pyformat(query: str) -> str:
    """`:name` parameters as psycopg2 writes them."""
    return re.sub(r"(?<![:\w]):([a-z_]\w*)", r"%(\1)s", query.replace("%", "%%"))
