"""JSON texts to values and back, quickly and strictly.

orjson does the work; what it would not give back as it came goes through the standard library: whole
numbers beyond 64 bits (orjson makes floats of them), and whatever it refuses, so that the error says why.
"""

import json
import re
from itertools import accumulate
from typing import Any

import orjson

from hiveguard_pipeline.errors import BadInputError

DEEPEST = 100
"""Levels that a JSON value may be nested."""

_NUMBERS = bytes.maketrans(b"123456789E", b"000000000e")
_LONG = b"0" * 19
"""In a text with all digits made 0: a number that may not fit 64 bits."""
_DIGITS = 200
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def json_line(value: Any) -> bytes:
    """One line, with its line end: compact, keys sorted, UTF-8. Raises ValueError for NaN and infinities."""
    return _written(value, orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE) or _plainly(value, True) + b"\n"


def json_text(value: Any) -> bytes:
    """Compact, keys in their order, UTF-8. Raises ValueError or TypeError for what JSON cannot say."""
    return _written(value, None) or _plainly(value, False)


def _written(value: Any, option: int | None) -> bytes | None:
    """What orjson writes; None where that may not be what is meant: it writes NaN as null."""
    try:
        text = orjson.dumps(value, option=option)
    except TypeError:
        return None
    return None if b"null" in text else text


def _plainly(value: Any, sort_keys: bool) -> bytes:
    return json.dumps(
        value, ensure_ascii=False, sort_keys=sort_keys, separators=(",", ":"), allow_nan=False
    ).encode()


def json_value(line: bytes, where: str, *, depth_known: bool = False) -> Any:
    """The value of one JSON text. depth_known: how deep it goes has been checked already.

    Raises BadInputError for what is cut off, not UTF-8, nested more than DEEPEST levels, or holds a number
    or a text that could not be written again: NaN, infinities, 1e999, lone surrogates.
    """
    if not depth_known and line.count(b"[") + line.count(b"{") > DEEPEST and _depth(line) > DEEPEST:
        raise BadInputError(f"{where}: JSON nested more than {DEEPEST} levels")
    if _LONG not in line.translate(_NUMBERS):
        try:
            return orjson.loads(line)
        except orjson.JSONDecodeError:
            pass  # the standard library says why
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise BadInputError(f"{where}: not UTF-8 text (byte {error.start})") from None
    try:
        value = _DECODER.decode(text)
        if _is_suspect(line):
            json_line(value)
    except UnicodeEncodeError:
        raise BadInputError(f"{where}: half of a surrogate pair, which is no character") from None
    except json.JSONDecodeError as error:
        raise BadInputError(f"{where}: not JSON: {error.msg} (character {error.pos + 1})") from None
    except (ValueError, RecursionError):
        raise BadInputError(f"{where}: NaN, an infinity, or a number too large to be held") from None
    return value


def _is_suspect(line: bytes) -> bool:
    """Whether a JSON text could hold what json.loads takes and json_line does not: 1e999, or a surrogate.

    A search for a few fixed texts, because a regular expression takes longer than reading the JSON. An
    exponent below 100 is too large only after more than _DIGITS digits.
    """
    numbers = line.translate(_NUMBERS)
    return b"\\u" in line or b"0e000" in numbers or b"0e+000" in numbers or b"0" * _DIGITS in numbers


def _depth(line: bytes) -> int:
    """How deep the brackets of a JSON text go, those inside strings left out."""
    brackets = _STRING.sub(b"", line).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)
