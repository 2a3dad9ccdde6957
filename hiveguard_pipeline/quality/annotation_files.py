"""Files of annotations read whole: CSV, JSONL, or one JSON array; every value as text."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError

COLUMNS = ("external_id", "item_id", "solver_id", "label", "answer")


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a file with those of COLUMNS that they have; raises BadInputError with file and line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{path}: the file is not UTF-8 text") from None
    start = text.lstrip()[:1]
    if start == "[":
        return _json_array(path, text)
    return _json_lines(path, text) if start == "{" else _csv(path, text)


def _csv(path: Path, text: str) -> list[dict[str, str]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: list[dict[str, str]] = []
    try:
        header = [name.strip() for name in next(rows, [])]
        _check_columns(f"{path}, line 1", header)
        wanted = [(position, name) for position, name in enumerate(header) if name in COLUMNS]
        for row in rows:
            if len(row) not in (0, len(header)):
                raise BadInputError(f"{path}, line {rows.line_num}: {len(row)} values, {len(header)} columns")
            if row:
                found.append({name: row[position] for position, name in wanted})
    except csv.Error as error:
        raise BadInputError(f"{path}, line {rows.line_num}: the row cannot be read ({error})") from None
    return found


def _json_array(path: Path, text: str) -> list[dict[str, str]]:
    try:
        values = json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{path}: this is no JSON ({error})") from None
    return [_row(f"{path}, entry {number}", value) for number, value in enumerate(values, start=1)]


def _json_lines(path: Path, text: str) -> list[dict[str, str]]:
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            raise BadInputError(
                f"{path}, line {number}: this is no JSON object; a file is one array, or has an object a line"
            ) from None
        found.append(_row(f"{path}, line {number}", value))
    return found


def _row(where: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise BadInputError(f"{where}: an object with {_WANTED} is wanted")
    row = {name: _text(where, name, value[name]) for name in COLUMNS if value.get(name) is not None}
    _check_columns(where, list(row))
    return row


def _text(where: str, name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise BadInputError(f"{where}: {name} is neither text nor a number")
    return value


_WANTED = "external_id or item_id, and label"


def _check_columns(where: str, columns: list[str]) -> None:
    if not {"external_id", "item_id"} & set(columns) or not {"label", "answer"} & set(columns):
        raise BadInputError(f"{where}: {_WANTED} are wanted; there are {', '.join(columns) or 'none'}")
