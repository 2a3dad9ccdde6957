"""How values are written on pages: confidences, counts, times, and the queries of links."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from hiveguard_pipeline.rules.policy import decimal_text

LONGEST_CELL = 120


def decimal(millionths: int | None) -> str:
    """A confidence of the store as the shortest decimal; a dash where there is none."""
    return "–" if millionths is None else decimal_text(millionths)


def number(value: float | None) -> str:
    """A count, or a figure with three digits; a dash where there is none."""
    if value is None or value != value:
        return "–"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def moment(time: str | None) -> Markup:
    """A time of the store, to the second."""
    if not time:
        return Markup("–")
    return Markup('<time datetime="{}">{}</time>').format(time, f"{time[:10]} {time[11:19]}")


def day(time: str | None) -> str:
    """The day of a time of the store."""
    return time[:10] if time else "–"


def short(text: str | None, most: int = LONGEST_CELL) -> Markup:
    """A text that may be long: its beginning, the whole as its title."""
    if text is None:
        return Markup("–")
    if len(text) <= most:
        return escape(text)
    return Markup('<span title="{}">{}…</span>').format(text[:2_000], text[: most - 1])


def words(name: str) -> str:
    """A name of the store as words: `in_revalidation` -> `in re-validation`."""
    return name.replace("revalidation", "re-validation").replace("_", " ")


def path_part(text: str) -> str:
    """A text as one part of an address's path."""
    return quote(text, safe="")


def query(values: Mapping[str, Any]) -> str:
    """The query of a link, `?a=b`, without what is empty; nothing where all is."""
    kept = {name: value for name, value in values.items() if value not in (None, "")}
    return f"?{urlencode(kept)}" if kept else ""


FILTERS = {
    "decimal": decimal,
    "number": number,
    "moment": moment,
    "day": day,
    "short": short,
    "words": words,
    "path_part": path_part,
    "query": query,
}
