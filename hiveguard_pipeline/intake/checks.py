"""What can be said of rows without the database: which values cannot be taken, and how the others go on."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LONGEST_KEY = 512
"""Characters of an external_id or solver_id; PostgreSQL's indexes hold no longer ones."""

LONGEST_ANSWER = 10_000
"""Characters of an answer."""

_UUID = r"^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
_WHOLE_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"


def is_blank(values: Any) -> Any:
    """True for null, empty and all-blank texts."""
    return pc.fill_null(pc.equal(pc.utf8_trim_whitespace(values), ""), True)


def first_reason(reason: Any, *found: tuple[Any, str]) -> Any:
    """For each row the first reason against it: the one it has, else that of the first true mask."""
    for mask, word in found:
        applies = pc.and_(pc.is_null(reason), pc.fill_null(mask, False))
        reason = pc.if_else(applies, pa.scalar(word), reason)
    return reason


def too_long(values: Any, limit: int) -> Any:
    """True for texts of more than `limit` characters."""
    return pc.greater(pc.utf8_length(values), limit)


def has_nul(values: Any) -> Any:
    """True for texts with a NUL character, which PostgreSQL cannot hold."""
    return pc.match_substring(values, "\0")


def item_ids(values: Any) -> Any:
    """Item ids in their one form; null for what is none."""
    lowered = pc.utf8_lower(values)
    return pc.if_else(pc.match_substring_regex(lowered, _UUID), lowered, pa.scalar(None, pa.string()))


def durations(values: Any) -> tuple[Any, Any]:
    """Milliseconds as int64 (null where blank), and a mask of what is no whole number >= 0."""
    plain = _plain_numbers(values)
    if plain is not None:
        return plain, pa.scalar(False)
    text = pc.utf8_trim_whitespace(values)
    blank = is_blank(values)
    whole = pc.fill_null(pc.match_substring_regex(text, r"^\d{1,15}(\.0*)?$"), False)
    digits = pc.replace_substring_regex(text, r"\.0*$", "")
    numbers = pc.cast(pc.if_else(whole, digits, pa.scalar(None, pa.string())), pa.int64())
    return numbers, pc.and_not(pc.invert(blank), whole)


def _plain_numbers(values: Any) -> Any:
    """A column that holds whole numbers alone, or nothing, as int64; None for any other."""
    try:
        numbers = pc.cast(values, pa.int64())
    except pa.ArrowInvalid:
        return None
    extremes = pc.min_max(numbers).as_py()
    if extremes["min"] is not None and not 0 <= extremes["min"] <= extremes["max"] < 10**15:
        return None
    return numbers


def times(values: Any) -> tuple[Any, Any]:
    """Times as they are written (null where blank), and a mask of what is no ISO 8601 time.

    A time without a zone is UTC. Fractions beyond microseconds are cut.
    """
    if _are_whole_times(values):
        return values, pa.scalar(False)
    import pandas as pd

    blank = is_blank(values)
    text = pc.utf8_trim_whitespace(values)
    dated = pc.fill_null(pc.match_substring_regex(text, r"^\d{4}-\d\d-\d\d"), False)
    known = pc.if_else(dated, text, pa.scalar(None, pa.string()))
    parsed = pd.to_datetime(
        pd.Series(known.to_numpy(zero_copy_only=False), dtype=object),
        format="ISO8601",
        utc=True,
        errors="coerce",
    )
    moments = pa.array(parsed.dt.as_unit("us"), type=pa.timestamp("us", tz="UTC"))
    good = pc.is_valid(moments)
    as_written = pc.fill_null(pc.match_substring_regex(text, _WHOLE_TIME), False)
    if not pc.all(pc.or_(as_written, pc.invert(good))).as_py():
        text = pc.if_else(as_written, text, pc.strftime(moments, "%Y-%m-%dT%H:%M:%SZ"))
    written = pc.if_else(good, text, pa.scalar(None, pa.string()))
    return written, pc.and_not(pc.invert(blank), good)


def _are_whole_times(values: Any) -> bool:
    """Whether a column holds times as they are written alone, or nothing."""
    if values.null_count == len(values):
        return True
    try:
        pc.cast(values, pa.timestamp("us", tz="UTC"))
    except pa.ArrowInvalid:
        return False
    return bool(pc.all(pc.match_substring_regex(values, _WHOLE_TIME)).as_py())


def fingerprints(values: list[Any]) -> Any:
    """One signed 64-bit number a row over some text columns: rows with equal values have equal numbers.

    SipHash as pandas computes it, the same on every machine.
    """
    import pandas as pd

    parts = [pc.fill_null(column, "\x00") for column in values]
    joined = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, "\x1f")
    texts = joined.to_numpy(zero_copy_only=False)
    return pd.util.hash_array(texts, categorize=False).astype(np.int64)


def occurrences(numbers: Any) -> tuple[Any, Any]:
    """Positions at which a number appears again, and for the how-manieth time (2, 3, ...)."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    opens = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else order
    counts = np.diff(np.append(opens, len(ordered)))
    nth = np.arange(len(ordered)) - np.repeat(opens, counts) + 1
    again = nth > 1
    return order[again], nth[again]
