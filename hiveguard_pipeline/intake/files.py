"""A file of rows as blocks of text columns, each row with its line, its text and, if it has none, why.

Every value is text as it came: `01`, `NA` and `null` are values. Plain blocks are parsed in columns by
Arrow; a block with quotes or line breaks inside values, a stray carriage return, bad UTF-8 or JSON of other
types than text goes row by row through Python's own readers, which say more about what is wrong.
"""

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.intake.rows import LONGEST_ROW_BYTES, UNREADABLE, Block, Lines, Number, Rows, as_text

BLOCK_BYTES = 8 << 20


class RowFile:
    """A CSV or JSONL file, plain or gzip, read once, block by block.

    Raises BadInputError, with file, line and reason, for what is no such file or lacks a column.
    """

    def __init__(self, path: Path, known: tuple[str, ...]) -> None:
        self.name = path.name
        self._hash = hashlib.sha256()
        self._path = path
        self._line = 1
        try:
            self._raw = path.open("rb")
        except OSError as error:
            raise BadInputError(f"{path}: {error.strerror}") from None
        try:
            self._stream = self._decompressed(self._raw)
            start = self._read(BLOCK_BYTES)
            self._pending = start.removeprefix(b"\xef\xbb\xbf")
            self.is_jsonl = self._pending.lstrip()[:1] == b"{"
            self.columns = known if self.is_jsonl else self._header(known)
        except BaseException:
            self._raw.close()
            raise
        self._known = tuple(name for name in known if name in self.columns)

    def __enter__(self) -> "RowFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    @property
    def sha256(self) -> str:
        """Hash of the file's content (unpacked); complete once all blocks were read."""
        return self._hash.hexdigest()

    def refuse(self, why: str, line: int = 1) -> BadInputError:
        """An error about this file."""
        return BadInputError(f"{self._path}, line {line}: {why}; nothing was imported")

    def blocks(self) -> Iterator[Block]:
        """The rows, in file order."""
        while self._pending:
            data = self._next_lines()
            if self.is_jsonl:
                block = self._json_columns(data)
                yield block if block is not None else self._json_rows(data)
            elif _is_plain(data):
                yield self._csv_columns(data)
            else:
                yield from self._csv_rows(data)
                continue  # it has counted its lines, and may have read on
            self._line += data.count(b"\n")

    def _decompressed(self, raw: BinaryIO) -> BinaryIO:
        magic = raw.read(2)
        raw.seek(0)
        return gzip.GzipFile(fileobj=raw) if magic == b"\x1f\x8b" else raw  # type: ignore[return-value]

    def _read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise self.refuse(f"the file cannot be read: {error}", self._line) from None
        self._hash.update(data)
        return data

    def _next_lines(self) -> bytes:
        """Whole lines; at least one."""
        parts = [self._pending]
        size = len(self._pending)
        while True:
            more = self._read(BLOCK_BYTES) if size < BLOCK_BYTES or b"\n" not in parts[-1] else b""
            if not more:
                break
            parts.append(more)
            size += len(more)
            if size > LONGEST_ROW_BYTES:
                raise self.refuse(f"a line of more than {LONGEST_ROW_BYTES >> 20} MB", self._line)
            if b"\n" in more:
                break
        data = b"".join(parts)
        end = data.rfind(b"\n") + 1
        at_end = not (rest := self._read(1))
        if at_end or end == 0:
            self._pending = b""
            return data
        self._pending = data[end:] + rest
        return data[:end]

    def _header(self, known: tuple[str, ...]) -> tuple[str, ...]:
        while b"\n" not in self._pending and (more := self._read(BLOCK_BYTES)):
            self._pending += more
        first, _, self._pending = self._pending.partition(b"\n")
        try:
            text = first.decode().rstrip("\r")
        except UnicodeDecodeError:
            raise self.refuse("the file is not UTF-8 text") from None
        if not text.strip():
            raise self.refuse("there is no header: the file is empty or begins with a blank line")
        if text.lstrip()[:1] == "[":
            raise self.refuse("the file is neither CSV nor JSONL (a JSON array: write one object a line)")
        try:
            columns = tuple(name.strip() for name in next(csv.reader([text])))
        except csv.Error:
            raise self.refuse("the header cannot be read; lines end with \\n or \\r\\n") from None
        repeated = {name for name in columns if columns.count(name) > 1}
        if repeated & set(known):
            raise self.refuse(f"column {sorted(repeated)[0]!r} stands there twice")
        self._line = 2
        return columns

    def _csv_columns(self, data: bytes) -> Block:
        bad: list[int] = []
        if not data.endswith(b"\n"):
            data += b"\n"

        def skip(row: Any) -> str:
            bad.append(row.number - 1)
            return "skip"

        names = [f"{position}" for position in range(len(self.columns))]
        table = pa_csv.read_csv(
            io.BytesIO(data),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            parse_options=pa_csv.ParseOptions(
                quote_char='"' if b'"' in data else False,
                double_quote=False,
                ignore_empty_lines=False,
                invalid_row_handler=skip,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=False
            ),
        )
        rows = _lines(data)
        columns = {name: table.column(self.columns.index(name)).combine_chunks() for name in self._known}
        reason = pa.nulls(len(rows), pa.string())
        if bad:
            readable = np.ones(len(rows), dtype=bool)
            readable[bad] = False
            place = np.full(len(rows), -1, dtype=np.int64)
            place[readable] = np.arange(table.num_rows)
            take = pa.array(place, mask=place < 0)
            columns = {name: column.take(take) for name, column in columns.items()}
            reason = pc.if_else(pa.array(readable), pa.scalar(None, pa.string()), UNREADABLE)
        block = Block(line=np.arange(len(rows)) + self._line, row=rows, values=columns, reason=reason)
        blank = _blank(rows)
        return block.only(~blank) if blank.any() else block

    def _csv_rows(self, data: bytes) -> Iterator[Block]:
        """The rows of a block, and of what its last one goes on into, through Python's csv module.

        A quote that is opened and not closed makes its own line unreadable, not the ones after it.
        """
        lines = Lines(data, lambda: self._next_lines() if self._pending else b"")
        collected = Rows(self.columns, self._known)
        old_limit = csv.field_size_limit(LONGEST_ROW_BYTES)
        try:
            while lines.waiting:
                fields: list[str] | None
                try:
                    fields = next(csv.reader(lines, strict=True))
                except csv.Error:
                    fields = None
                    lines.give_back_all_but_first()
                taken = lines.take()
                collected.add(self._line, "".join(taken).rstrip("\r\n"), fields)
                self._line += len(taken)
                if len(collected) >= 65_536:
                    yield collected.block()
                    collected = Rows(self.columns, self._known)
            yield collected.block()
        finally:
            csv.field_size_limit(old_limit)

    def _json_columns(self, data: bytes) -> Block | None:
        """The rows of a block of JSON objects of texts; None if they are anything else."""
        schema = pa.schema([(name, pa.string()) for name in self._known])
        if b"\r" in data or not _is_utf8(data):
            return None
        try:
            table = pa_json.read_json(
                io.BytesIO(data),
                read_options=pa_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
                parse_options=pa_json.ParseOptions(
                    explicit_schema=schema, unexpected_field_behavior="ignore"
                ),
            )
        except pa.ArrowInvalid:
            return None
        rows = _lines(data if data.endswith(b"\n") else data + b"\n")
        if table.num_rows != len(rows):
            return None
        return Block(
            line=np.arange(len(rows)) + self._line,
            row=rows,
            values={name: table[name].combine_chunks() for name in self._known},
            reason=pa.nulls(len(rows), pa.string()),
        )

    def _json_rows(self, data: bytes) -> Block:
        collected = Rows(self._known, self._known)
        for number, line in enumerate(data.split(b"\n")):
            text = line.decode("utf-8", "surrogateescape").rstrip("\r")
            if not text.strip():
                continue
            try:
                found = json.loads(text, parse_int=Number, parse_float=Number)
                is_row = isinstance(found, dict)
                fields = [as_text(found.get(name)) for name in self._known] if is_row else None
            except (ValueError, RecursionError):
                fields = None
            collected.add(self._line + number, text, fields)
        return collected.block()


def _is_plain(data: bytes) -> bool:
    """Whether Arrow reads the lines as Python's csv module would: no line breaks or quotes in values."""
    return data.count(b"\r") == data.count(b"\r\n") and _is_utf8(data) and _quotes_enclose_values(data)


def _quotes_enclose_values(data: bytes) -> bool:
    """Whether every quote opens or closes a whole value of its line."""
    text = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(text == ord('"'))
    if not len(quotes):
        return True
    breaks = np.flatnonzero(text == ord("\n"))
    if (np.searchsorted(quotes, breaks) % 2).any() or len(quotes) % 2:
        return False
    edge = np.zeros(256, dtype=bool)
    edge[list(b",\n\r")] = True
    opens, closes = quotes[::2], quotes[1::2]
    before = edge[text[np.maximum(opens - 1, 0)]] | (opens == 0)
    after = edge[text[np.minimum(closes + 1, len(text) - 1)]] | (closes == len(text) - 1)
    return bool(before.all() and after.all())


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(data: bytes) -> Any:
    """The lines of a block that ends with a newline, as a string array without line ends."""
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1
    offsets = np.concatenate(([0], ends)).astype(np.int32)
    lines = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))
    return pc.utf8_rtrim(lines, "\r\n")


def _blank(lines: Any) -> Any:
    """True for lines that are empty or blank."""
    blank = np.zeros(len(lines), dtype=bool)
    shortest = pc.utf8_slice_codeunits(lines, 0, 1)
    maybe = np.flatnonzero(pc.equal(pc.utf8_trim_whitespace(shortest), "").to_numpy(False))
    blank[maybe] = pc.equal(pc.utf8_trim_whitespace(lines.take(pa.array(maybe))), "").to_numpy(False)
    return blank
