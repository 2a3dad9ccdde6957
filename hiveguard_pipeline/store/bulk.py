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
from collections.abc import Mapping
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
    row = raw_cursor(connection).execute(f"SELECT {gathered} FROM ({query})", dict(parameters)).fetchone()
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
    with raw_cursor(connection) as cursor:
        cursor.copy_expert(copy_statement(cursor, query, parameters), buffer)
    table = table_of(buffer, types)
    return {
        name: to_numbers(table[name]) if kind is int else table[name].combine_chunks()
        for name, kind in types.items()
    }


def copy_statement(cursor: Any, query: str, parameters: Mapping[str, object]) -> str:
    """PostgreSQL's COPY of a query with named parameters, as CSV that `table_of` reads."""
    # `:name` parameters as psycopg2 writes them.
    named = re.sub(r"(?<![:\w]):([a-z_]\w*)", r"%(\1)s", query.replace("%", "%%"))
    return f"COPY ({cursor.mogrify(named, dict(parameters)).decode()}) TO STDOUT (FORMAT csv)"


def table_of(copied: io.BytesIO, types: Mapping[str, type]) -> pa.Table:
    """CSV as COPY writes it as a table: an unquoted empty value is null, a quoted one is text."""
    if not copied.getbuffer().nbytes:
        return schema_of(types).empty_table()
    try:
        return _parsed(copied, types, block_size=1 << 20)
    except pa.ArrowInvalid:  # a value longer than a block
        return _parsed(copied, types, block_size=min(copied.getbuffer().nbytes + 1, (1 << 31) - 1))


def schema_of(types: Mapping[str, type]) -> pa.Schema:
    """Columns as they are asked for, int or str, as Arrow has them."""
    return pa.schema([(name, pa.int64() if kind is int else pa.string()) for name, kind in types.items()])


def _parsed(buffer: io.BytesIO, types: Mapping[str, type], block_size: int) -> Any:
    return pa_csv.read_csv(
        pa.BufferReader(buffer.getbuffer()),
        read_options=pa_csv.ReadOptions(column_names=list(types), block_size=block_size),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=schema_of(types),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def append(connection: sa.Connection, table: str, columns: Mapping[str, Any]) -> int:
    """Insert columns (arrow or numpy arrays of one length) into a table; returns the number of rows."""
    data = pa.table({name: _arrow(column) for name, column in columns.items()})
    if data.num_rows == 0:
        return 0
    names = ", ".join(f'"{name}"' for name in data.column_names)
    if connection.dialect.name == "sqlite":
        _append_sqlite(connection, table, names, data)
    else:
        with raw_cursor(connection) as cursor, _CsvAhead(data) as text:
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
    cursor = raw_cursor(connection)
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


def raw_cursor(connection: sa.Connection) -> Any:
    """A cursor of the driver's own, in the transaction of a connection."""
    return connection.connection.cursor()
