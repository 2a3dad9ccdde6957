"""Whether structured answers fit their items, where the size of the image or the text is known."""

from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.intake.resolved import Resolved
from hiveguard_pipeline.rules.structured.answer import read_answer
from hiveguard_pipeline.rules.structured.faults import fault
from hiveguard_pipeline.store.bulk import append, read_columns

NOT_KNOWN = -1


def misfits(connection: sa.Connection, answers: Any, reasons: Any, items: Resolved) -> Any:
    """Why answers do not fit their items, null where they do or where that cannot be told.

    answers: in their one form; reasons: why a row is no vote already. Both of shape (rows,).
    """
    size, characters = _known_of(connection, items)
    usable = reasons.is_null().to_numpy() & (items.of_row >= 0)
    rows = np.flatnonzero(usable)
    told = (size[items.of_row[rows], 0] != NOT_KNOWN) | (characters[items.of_row[rows]] != NOT_KNOWN)
    found: list[str | None] = [None] * len(answers)
    for row in rows[told].tolist():
        item = items.of_row[row]
        width, height, length = int(size[item, 0]), int(size[item, 1]), int(characters[item])
        found[row] = fault(
            read_answer(answers[row].as_py()),
            None,
            None if width == NOT_KNOWN else (width, height),
            None if length == NOT_KNOWN else length,
        )
    return pa.array(found, type=pa.string())


def _known_of(connection: sa.Connection, items: Resolved) -> tuple[Any, Any]:
    """Width and height (items, 2) and length of the text (items,) of the items; NOT_KNOWN where it is not."""
    sqlite = connection.dialect.name == "sqlite"
    connection.execute(
        sa.text(f"CREATE TEMPORARY TABLE named (n int, item_id {'text' if sqlite else 'uuid'})")
    )
    append(connection, "named", {"n": np.arange(len(items.item_id)), "item_id": items.item_id})
    if not sqlite:
        connection.execute(sa.text("ANALYZE named"))
    known = read_columns(
        connection,
        f"SELECT k.n, coalesce(d.width, {NOT_KNOWN}) AS width, coalesce(d.height, {NOT_KNOWN}) AS height,"
        f" coalesce(length(d.content), {NOT_KNOWN}) AS length FROM named k"
        " JOIN item_details d ON d.item_id = k.item_id",
        {},
        {"n": int, "width": int, "height": int, "length": int},
    )
    connection.execute(sa.text("DROP TABLE named"))
    size = np.full((len(items.item_id), 2), NOT_KNOWN, dtype=np.int64)
    characters = np.full(len(items.item_id), NOT_KNOWN, dtype=np.int64)
    size[known["n"], 0], size[known["n"], 1] = known["width"], known["height"]
    size[(size == NOT_KNOWN).any(axis=1)] = NOT_KNOWN
    characters[known["n"]] = known["length"]
    return size, characters
