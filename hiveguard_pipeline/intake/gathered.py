"""A file's rows in columns, with what can be said of them without the database."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hiveguard_pipeline.intake import checks
from hiveguard_pipeline.intake.rows import Block
from hiveguard_pipeline.intake.structured import LONGEST_STRUCTURED, in_one_form
from hiveguard_pipeline.intake.texts import RowTexts

COLUMNS = ("external_id", "item_id", "solver_id", "answer", "duration_ms", "created_at")


class VoteRows(Protocol):
    """Where rows of votes come from: a file, or anything else that has a name and a hash.

    columns: those of COLUMNS that it knows of. sha256: of what it holds, complete once all blocks were read.
    """

    @property
    def name(self) -> str:
        """What its import is called."""

    @property
    def sha256(self) -> str:
        """The hash of its content."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it knows of."""

    def blocks(self) -> Iterator[Block]:
        """The rows, in order."""


@dataclass(slots=True)
class Gathered:
    """All rows of a file, in file order, columns of shape (rows,).

    line: int64. reason: why a row cannot be a vote, null if it can. external_id, item_id (in its one form),
    solver_id, answer, duration_ms and created_at (as it is written): null where the row says nothing of
    them or cannot be a vote. said: what rows say, by which rows are alike.
    """

    line: Any
    reason: Any
    values: dict[str, Any]
    said: dict[str, Any]
    texts: RowTexts

    def __len__(self) -> int:
        return len(self.line)

    def fingerprints(self, rows: Any) -> Any:
        """One int64 a row, equal where rows say the same or are unreadable with the same text."""
        readable = pa.array(np.isin(rows, np.flatnonzero(self._unreadable()), invert=True))
        take = pa.array(rows)
        said = [self.said[name].take(take).combine_chunks() for name in COLUMNS]
        nothing = pa.scalar(None, pa.string())
        columns = [pc.if_else(readable, column, nothing) for column in said]
        texts = pa.nulls(len(rows), pa.string())
        if not pc.all(readable).as_py():
            unreadable = np.flatnonzero(~readable.to_numpy(zero_copy_only=False))
            texts = pc.replace_with_mask(texts, pc.invert(readable), self.texts.of(rows[unreadable]))
        return checks.fingerprints([*columns, texts])

    def _unreadable(self) -> Any:
        return pc.fill_null(self.said["unreadable"], False).to_numpy()


def gather(
    file: VoteRows,
    classes: tuple[str, ...] | None,
    report: Callable[[int], None] | None = None,
    part: str | None = None,
) -> Gathered:
    """Read a file's rows and check each by itself.

    part: what structured answers always have; None where an answer is the name of a class.
    """
    texts = RowTexts()
    blocks, lines, rows = [], [np.empty(0, dtype=np.int64)], 0
    for block in file.blocks():
        texts.add(block.row)
        lines.append(block.line)
        blocks.append(checked(block, classes, part))
        rows += len(block.line)
        if report:
            report(rows)
    kinds = {"duration_ms": pa.int64()}

    def column(name: str, part: int, kind: Any) -> Any:
        return pa.chunked_array([block[part][name] for block in blocks], type=kind)

    return Gathered(
        line=np.concatenate(lines),
        reason=pa.chunked_array([block[0] for block in blocks], type=pa.string()),
        values={name: column(name, 1, kinds.get(name, pa.string())) for name in COLUMNS},
        said={name: column(name, 2, pa.string()) for name in COLUMNS}
        | {"unreadable": column("unreadable", 2, pa.bool_())},
        texts=texts,
    )


def checked(
    block: Block, classes: tuple[str, ...] | None, part: str | None
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The reasons against a block's rows, what they hold, and what they say; columns of shape (rows,)."""
    rows = len(block.line)
    value = {name: block.values.get(name, pa.nulls(rows, pa.string())) for name in COLUMNS}
    duration, bad_duration = checks.durations(value["duration_ms"])
    created_at, bad_time = checks.times(value["created_at"])
    item_id = checks.item_ids(value["item_id"])
    no_item = pc.and_(checks.is_blank(value["external_id"]), checks.is_blank(value["item_id"]))
    keys = [value["external_id"], value["solver_id"]]
    texts = [value["external_id"], value["item_id"], value["solver_id"], value["answer"]]
    unfit, longest = pa.nulls(rows, pa.string()), checks.LONGEST_ANSWER
    if part is not None:
        value["answer"], unfit = in_one_form(value["answer"], part, classes)
        longest = LONGEST_STRUCTURED
    elif classes is not None:
        outside = pc.invert(pc.is_in(value["answer"], value_set=pa.array(classes, type=pa.string())))
        unfit = pc.if_else(outside, pa.scalar("answer_not_in_classes"), unfit)
    reason = checks.first_reason(
        block.reason,
        *((checks.has_nul(column), "nul_character") for column in texts),
        (no_item, "no_item"),
        (checks.is_blank(value["solver_id"]), "no_solver"),
        (checks.is_blank(value["answer"]), "empty_answer"),
        *((checks.too_long(column, checks.LONGEST_KEY), "too_long") for column in keys),
        (checks.too_long(value["answer"], longest), "too_long"),
        *((pc.equal(unfit, word), word) for word in pc.unique(unfit.drop_null()).to_pylist()),
        (bad_duration, "bad_duration"),
        (bad_time, "bad_time"),
    )
    # Rows are alike by what they say, however they write it: 5 and 5.0 ms, one moment in two zones.
    said = value | {
        "item_id": pc.coalesce(item_id, value["item_id"]),
        "duration_ms": pc.coalesce(pc.cast(duration, pa.string()), value["duration_ms"]),
        "created_at": pc.coalesce(created_at, value["created_at"]),
        "unreadable": pc.is_valid(block.reason),
    }
    usable = pc.is_null(reason)
    nothing = pa.scalar(None, pa.string())
    held = {
        "external_id": pc.if_else(checks.is_blank(value["external_id"]), nothing, value["external_id"]),
        "item_id": item_id,
        "solver_id": value["solver_id"],
        "answer": value["answer"],
        "duration_ms": duration,
        "created_at": created_at,
    }
    if not pc.all(usable).as_py():
        held = {
            name: pc.if_else(usable, column, pa.scalar(None, column.type)) for name, column in held.items()
        }
    return reason, held, said
