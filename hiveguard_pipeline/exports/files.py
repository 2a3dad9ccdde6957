"""Record batches to bytes: CSV, JSONL, JSON and Parquet, a batch at a time.

Text formats are built in columns: each row is one string of an Arrow array whose buffer is written as it
lies. Confidence comes in millionths and goes out as the shortest decimal. Values are data: what begins
with `=`, `+`, `-` or `@` is written as it is.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import ONE, decimal_text

FORMATS = ("csv", "jsonl", "json", "parquet")

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
        self._stream = stream
        stream.write((",".join(schema.names) + "\n").encode())

    def write(self, batch: pa.RecordBatch) -> None:
        values = [_csv_text(_text(name, batch.column(name))) for name in batch.schema.names]
        _write_rows(self._stream, _joined(values, ",", "", "\n"))

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
        values: list[Any] = []
        for key, name in zip(self._keys, batch.schema.names, strict=True):
            column = batch.column(name)
            quoted = _json_text(column) if pa.types.is_string(column.type) else _text(name, column)
            values.append(pc.binary_join_element_wise(pa.scalar(key), quoted, ""))
        if not self._as_array:
            _write_rows(self._stream, _joined(values, ", ", "{", "}\n"))
            return
        rows = _joined(values, ", ", ",\n{", "}")
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
            pc.divide(pc.cast(batch.column(name), pa.float64()), float(ONE))
            if name == MILLIONTHS
            else batch.column(name)
            for name in batch.schema.names
        ]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> None:
        self._writer.is_open = False


def _text(name: str, column: Any) -> Any:
    if name == MILLIONTHS:
        encoded = column.dictionary_encode()
        words = pa.array([decimal_text(value) for value in encoded.dictionary.to_pylist()], type=pa.string())
        return words.take(encoded.indices)
    return pc.cast(column, pa.string())


def _csv_text(column: Any) -> Any:
    special = pc.fill_null(pc.match_substring_regex(column, '[",\r\n]'), False)
    column = pc.fill_null(column, "")
    if not pc.any(special).as_py():
        return column
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
    return pc.if_else(special, quoted, column)


def _json_text(column: Any) -> Any:
    quoted = pc.binary_join_element_wise('"', column, '"', "")
    special = pc.fill_null(pc.match_substring_regex(column, r'[\x00-\x1f\x7f"\\]'), False)
    if pc.any(special).as_py():
        escaped = [json.dumps(text, ensure_ascii=False) for text in column.filter(special).to_pylist()]
        quoted = pc.replace_with_mask(quoted, special, pa.array(escaped, type=pa.string()))
    return pc.fill_null(quoted, "null")


def _joined(values: list[Any], separator: str, before: str, after: str) -> Any:
    inner = pc.binary_join_element_wise(*values, separator) if len(values) > 1 else values[0]
    return pc.binary_join_element_wise(before, inner, after, "")


def _write_rows(stream: BinaryIO, rows: Any) -> None:
    """Write the texts of an array one after another."""
    if not len(rows):
        return
    offsets = memoryview(rows.buffers()[1]).cast("i")[rows.offset : rows.offset + len(rows) + 1]
    stream.write(memoryview(rows.buffers()[2])[offsets[0] : offsets[-1]])


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
