"""Record batches to bytes: CSV, JSONL, JSON and Parquet, a batch at a time.

Text formats are built in columns: each row is one string of an Arrow array whose buffer is written as it
lies. Confidence comes in millionths and goes out as the shortest decimal. Values are data: what begins
with `=`, `+`, `-` or `@` is written as it is.
"""

import json
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import ONE

FORMATS = ("csv", "jsonl", "json", "parquet")

_JSON_SPECIALS = bytes([*range(0x20), 0x7F, *b'"\\'])

MILLIONTHS = "confidence"
"""The column that is held in millionths."""


class Writer(Protocol):
    """Writes batches of one schema to a stream; the file is whole after close()."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""

    def close(self) -> None:
        """Write what ends the file; leaves the stream open."""

    def abandon(self) -> None:
        """Give the file up: nothing more is written, not even when the writer goes away."""


@contextmanager
def open_writer(fmt: str, schema: pa.Schema, stream: BinaryIO) -> Iterator[Writer]:
    """A writer of one of FORMATS; ends the file when the block ends without an error."""
    writer: Writer
    if fmt == "csv":
        writer = _Csv(schema, stream)
    elif fmt == "parquet":
        writer = _Parquet(schema, stream)
    else:
        writer = _Json(schema, stream, as_array=fmt == "json")
    try:
        yield writer
        writer.close()
    except BaseException:
        writer.abandon()
        raise


class _Csv:
    def __init__(self, schema: pa.Schema, stream: BinaryIO) -> None:
        import pyarrow.csv as pa_csv

        self._stream = stream
        self._plain = pa_csv.WriteOptions(include_header=False, quoting_style="none")
        self._write_csv = pa_csv.write_csv
        stream.write((",".join(schema.names) + "\n").encode())

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [
            _decimals(column) if name == MILLIONTHS else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        rows = pa.BufferOutputStream()
        try:
            self._write_csv(pa.record_batch(columns, names=batch.schema.names), rows, self._plain)
        except pa.ArrowInvalid:  # a value that has to be quoted
            values = [_csv_text(pc.cast(column, pa.string())) for column in columns]
            _write_rows(self._stream, _joined(values, ",", "", "\n"))
        else:
            self._stream.write(rows.getvalue())

    def close(self) -> None:
        return

    def abandon(self) -> None:
        return


class _Json:
    def __init__(self, schema: pa.Schema, stream: BinaryIO, as_array: bool) -> None:
        self._stream = stream
        self._as_array = as_array
        self._empty = True
        self._keys = [f"{json.dumps(name)}: " for name in schema.names]

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        columns = [
            (key, _decimals(column), False) if name == MILLIONTHS else (key, column, _is_text(column))
            for key, name, column in zip(self._keys, batch.schema.names, batch.columns, strict=True)
        ]
        if not self._as_array:
            _write_rows(self._stream, _objects(columns, ", ", "{", "}\n"))
            return
        rows = _objects(columns, ", ", ",\n{", "}")
        if self._empty:
            rows = pa.concat_arrays([pc.utf8_slice_codeunits(rows.slice(0, 1), 1), rows.slice(1)])
            self._stream.write(b"[")
        self._empty = False
        _write_rows(self._stream, rows)

    def close(self) -> None:
        if self._as_array:
            self._stream.write(b"[]\n" if self._empty else b"\n]\n")

    def abandon(self) -> None:
        return


class _Parquet:
    def __init__(self, schema: pa.Schema, stream: BinaryIO) -> None:
        import pyarrow.parquet as pq

        self._schema = pa.schema(
            [pa.field(f.name, pa.float64()) if f.name == MILLIONTHS else f for f in schema]
        )
        self._writer = pq.ParquetWriter(stream, self._schema, compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [
            pc.divide(pc.cast(batch.column(name), pa.float64()), pc.cast(_word(str(ONE)), pa.float64()))
            if name == MILLIONTHS
            else batch.column(name)
            for name in batch.schema.names
        ]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> None:
        self._writer.is_open = False


def canonical_lines(batch: pa.RecordBatch) -> memoryview:
    """Rows as canonical JSON lines: keys sorted, no spaces, UTF-8; every number an integer as it stands.

    What json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False) writes, a line each.
    """
    if not batch.num_rows:
        return memoryview(b"")
    columns = [(f"{json.dumps(name)}:", batch.column(name)) for name in sorted(batch.schema.names)]
    written = [(key, column, _is_text(column)) for key, column in columns]
    return _bytes_of(_objects(written, ",", "{", "}\n"))


def _objects(columns: list[tuple[str, Any, bool]], separator: str, before: str, after: str) -> Any:
    """(key as it is written, values, whether they are quoted) a column -> an object a row.

    What is the same in every row is put together once, and the rows are joined in one pass.
    """
    parts: list[Any] = []
    fixed = before
    for place, (key, column, quoted) in enumerate(columns):
        fixed += (separator if place else "") + key
        if column.null_count == len(column):
            fixed += "null"
        elif quoted and not column.null_count and not _has_specials(column):
            parts += [_word(fixed + '"'), column]
            fixed = '"'
        else:
            text = _json_text(column) if quoted else pc.cast(column, pa.string())
            parts += [_word(fixed), pc.coalesce(text, _word("null"))]
            fixed = ""
    return pc.binary_join_element_wise(*parts, _word(fixed + after), _word(""))


def _is_text(column: Any) -> bool:
    return bool(pa.types.is_string(column.type))


def _has_specials(column: Any) -> bool:
    """Whether a text holds what JSON escapes; the column holds no null."""
    data = bytes(_bytes_of(column))
    return len(data.translate(None, _JSON_SPECIALS)) < len(data)


@cache
def _word(text: str) -> Any:
    """A text as Arrow's own value. pa.scalar and pa.array import pandas, which takes longer than an export
    of a few rows; so do the functions that are given a Python value.
    """
    data = text.encode()
    offsets = pa.py_buffer(struct.pack("=ii", 0, len(data)))
    return pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data))[0]


def _decimals(column: Any) -> Any:
    """Millionths as shortest decimals, as `decimal_text` writes them."""
    encoded = column.dictionary_encode()
    digits = pc.utf8_lpad(pc.cast(encoded.dictionary, pa.string()), 7, "0")
    whole = pc.utf8_slice_codeunits(digits, 0, -6)
    rest = pc.utf8_rtrim(pc.utf8_slice_codeunits(digits, -6), "0")
    rest = pc.if_else(pc.equal(rest, _word("")), _word("0"), rest)
    words = pc.binary_join_element_wise(whole, rest, _word("."))
    return words.take(encoded.indices)


def _csv_text(column: Any) -> Any:
    special = pc.fill_null(pc.match_substring_regex(column, '[",\r\n]'), False)
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
    return pc.if_else(special, quoted, pc.fill_null(column, ""))


def _json_text(column: Any) -> Any:
    quote = _word('"')
    quoted = pc.binary_join_element_wise(quote, column, quote, _word(""))
    special = pc.match_substring_regex(column, r'[\x00-\x1f\x7f"\\]')
    if pc.any(special).as_py():
        special = pc.fill_null(special, False)
        escaped = [json.dumps(text, ensure_ascii=False) for text in column.filter(special).to_pylist()]
        quoted = pc.replace_with_mask(quoted, special, pa.array(escaped, type=pa.string()))
    return quoted


def _joined(values: list[Any], separator: str, before: str, after: str) -> Any:
    inner = pc.binary_join_element_wise(*values, _word(separator)) if len(values) > 1 else values[0]
    return pc.binary_join_element_wise(_word(before), inner, _word(after), _word(""))


def _write_rows(stream: BinaryIO, rows: Any) -> None:
    """Write the texts of an array one after another."""
    if len(rows):
        stream.write(_bytes_of(rows))


def _bytes_of(rows: Any) -> memoryview:
    """The texts of an array one after another, where they lie. The array is not empty."""
    offsets = memoryview(rows.buffers()[1]).cast("i")[rows.offset : rows.offset + len(rows) + 1]
    return memoryview(rows.buffers()[2])[offsets[0] : offsets[-1]]


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that appears at `path`, whole, when the block ends without an error; else nothing changes."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            yield stream
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise BadInputError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
