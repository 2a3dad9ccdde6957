"""What training formats need of items, from a file: size in pixels, the text, group, licence.

What is recorded once stays: a file fills what is missing, and where it says something else that is counted.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.intake import checks
from hiveguard_pipeline.intake.rows import Block
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import Dataset

DETAILS = {
    "width": "width",
    "height": "height",
    "text": "content",
    "group": "group_key",
    "licence": "licence",
}
"""Column of a file -> column of item_details."""

STAGED = "width bigint, height bigint, content text, group_key text, licence text"
"""The details in a table of rows of a file."""

_NAMES = tuple(DETAILS.values())


def details_of(block: Block) -> tuple[dict[str, Any], list[tuple[Any, str]]]:
    """The details of a block's rows as columns of item_details, and masks of what cannot be, with reasons."""
    nothing = pa.nulls(len(block.line), pa.string())
    found: dict[str, Any] = {}
    wrong: list[tuple[Any, str]] = []
    for column, name in DETAILS.items():
        given = block.values.get(column, nothing)
        # An empty text is a text; an empty size, group or licence is none.
        blank = pc.equal(given, "") if column == "text" else checks.is_blank(given)
        given = pc.if_else(blank, pa.scalar(None, pa.string()), given)
        if column in ("width", "height"):
            whole = pc.match_substring_regex(given, r"^[1-9]\d{0,8}$")
            wrong.append((pc.invert(whole), f"a {column} that is no whole number of pixels above 0"))
            given = pc.cast(pc.if_else(whole, given, pa.scalar(None, pa.string())), pa.int64())
        else:
            wrong.append((checks.has_nul(given), f"a NUL character in {column}"))
        found[name] = given
    alone = pc.not_equal(pc.is_null(found["width"]), pc.is_null(found["height"]))
    return found, [*wrong, (alone, "a width without a height, or a height without a width")]


def take_details(connection: sa.Connection, dataset: Dataset) -> tuple[int, int]:
    """Record what `staged` says of items that are there.

    Returns of how many items something was filled in, and of how many the file says something else than is
    recorded, which stays.
    """
    key = sa.bindparam("dataset", type_=t.Uuid)
    rows = (
        "FROM staged s JOIN items i ON i.dataset_id = :dataset AND i.external_id = s.external_id"
        " LEFT JOIN item_details d ON d.item_id = i.item_id"
    )

    def count(condition: str) -> int:
        query = sa.text(f"SELECT count(*) {rows} WHERE {condition}").bindparams(key)
        return int(connection.execute(query, {"dataset": dataset.dataset_id}).scalar_one())

    kept = count(" OR ".join(f"d.{name} <> s.{name}" for name in _NAMES))
    new = " OR ".join(f"(s.{name} IS NOT NULL AND d.{name} IS NULL)" for name in _NAMES)
    filled = count(new)
    if filled:
        connection.execute(
            sa.text(
                f"INSERT INTO item_details (item_id, {', '.join(_NAMES)})"
                f" SELECT i.item_id, {', '.join('s.' + name for name in _NAMES)} {rows} WHERE {new}"
                " ON CONFLICT (item_id) DO UPDATE SET "
                + ", ".join(f"{name} = coalesce(item_details.{name}, excluded.{name})" for name in _NAMES)
            ).bindparams(key),
            {"dataset": dataset.dataset_id},
        )
    return filled, kept
