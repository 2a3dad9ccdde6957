"""What becomes of each row: a vote, known already, or quarantine.

Most rows are the only one of their solver on their item, and new. The others are compared with what was
received before: by what they say, and by how often the file has shown it so far.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.intake import checks
from hiveguard_pipeline.intake.gathered import Gathered
from hiveguard_pipeline.intake.resolved import Resolved
from hiveguard_pipeline.intake.structured import stored_form
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import append, read_columns
from hiveguard_pipeline.store.datasets import Dataset

UNKNOWN_ITEM = "unknown_item"
NO_CLASS = "answer_not_in_classes"
DUPLICATE = "duplicate_vote"


@dataclass(slots=True)
class Judged:
    """Positions of the rows that are new votes, and of those for quarantine with their reasons and
    fingerprints; and the quarantine_ids of rows whose item or class has come since, which this file shows
    again.
    """

    votes: Any
    quarantined: Any
    reason: Any
    fingerprint: Any
    released: list[int]


def judge(
    connection: sa.Connection, dataset: Dataset, rows: Gathered, items: Resolved, has_durations: bool
) -> Judged:
    """Judge all rows against each other and against the votes and the quarantine as they are now."""
    reason = checks.first_reason(
        rows.reason.combine_chunks() if len(rows) else pa.nulls(0, pa.string()),
        (pa.array(items.of_row < 0), UNKNOWN_ITEM),
    )
    good = pc.is_null(reason).to_numpy(zero_copy_only=False)
    pair = _pairs(rows, items, good)
    structured = is_structured(dataset.task_type)
    taken, same = _taken(connection, rows, items, good, has_durations, structured)
    special = ~good | taken
    special[_repeated(pair, good)] = True
    waited_for = _waited_for(dataset)
    returning = _has_waiting(connection, dataset, waited_for)
    at = np.arange(len(rows)) if returning else np.flatnonzero(special)

    marks = rows.fingerprints(at) if len(at) else np.empty(0, dtype=np.int64)
    nth = np.ones(len(at), dtype=np.int64)
    again, shown = checks.occurrences(marks)
    nth[again] = shown
    held, waiting = _held(connection, dataset, marks, waited_for)
    held = np.where(good[at], held - waiting, held)

    wanted = np.ones(len(rows), dtype=bool)
    wanted[at] = nth > held
    known = np.zeros(len(rows), dtype=bool)
    known[at] = nth <= held + 1
    known &= taken & same
    candidates = np.flatnonzero(good & wanted)
    accepted = candidates[_firsts(pair[candidates]) & ~taken[candidates]]
    duplicate = np.zeros(len(rows), dtype=bool)
    duplicate[candidates] = True
    duplicate[accepted] = False
    duplicate &= ~known

    refused = np.flatnonzero((~good & wanted) | duplicate)
    word = checks.first_reason(reason.take(pa.array(refused)), (pa.array(duplicate[refused]), DUPLICATE))
    return Judged(
        votes=accepted,
        quarantined=refused,
        reason=word,
        fingerprint=marks[np.searchsorted(at, refused)],
        released=_released(connection, dataset, marks[good[at]], waited_for) if returning else [],
    )


def _pairs(rows: Gathered, items: Resolved, good: Any) -> Any:
    """One number for each pair of item and solver, -1 for rows that cannot be votes."""
    solver = pc.dictionary_encode(rows.values["solver_id"]).combine_chunks()
    if not len(rows):
        return np.empty(0, dtype=np.int64)
    code = solver.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.where(good, items.of_row * max(len(solver.dictionary), 1) + code, -1)


def _repeated(pair: Any, good: Any) -> Any:
    """Positions of the rows whose pair stands in the file more than once."""
    at = np.flatnonzero(good)
    order = at[np.argsort(pair[at], kind="stable")]
    alike = np.flatnonzero(pair[order[1:]] == pair[order[:-1]])
    return order[np.union1d(alike, alike + 1)]


def _firsts(pair: Any) -> Any:
    """True at the first row of each pair."""
    first = np.zeros(len(pair), dtype=bool)
    first[np.unique(pair, return_index=True)[1]] = True
    return first


def _taken(
    connection: sa.Connection,
    rows: Gathered,
    items: Resolved,
    good: Any,
    has_durations: bool,
    structured: bool,
) -> tuple[Any, Any]:
    """Rows whose solver has voted on the item before, and those of them that say what that vote says.

    A row without a time says nothing of it, nor does a file without durations.
    """
    taken, same = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    voted = _voted_on(connection, items)
    if not len(voted):
        return taken, same
    at = np.flatnonzero(good & np.isin(items.of_row, voted))
    sqlite = connection.dialect.name == "sqlite"
    connection.execute(
        sa.text(
            f"CREATE TEMPORARY TABLE pairs (n bigint, item_id {'text' if sqlite else 'uuid'}, solver_id text)"
        )
    )
    take = pa.array(at)
    append(
        connection,
        "pairs",
        {
            "n": at,
            "item_id": items.item_id.take(pa.array(items.of_row[at])),
            "solver_id": rows.values["solver_id"].take(take),
        },
    )
    if not sqlite:
        connection.execute(sa.text("ANALYZE pairs"))
    votes = read_columns(
        connection,
        "SELECT p.n AS n, v.answer AS answer, coalesce(v.duration_ms, -1) AS duration_ms,"
        f" {t.written_time(connection, 'v.created_at')} AS created_at"
        " FROM pairs p JOIN votes v ON v.item_id = p.item_id AND v.solver_id = p.solver_id",
        {},
        {"n": int, "answer": str, "duration_ms": int, "created_at": str},
    )
    connection.execute(sa.text("DROP TABLE pairs"))
    found = votes["n"]
    take = pa.array(found)
    created_at = rows.values["created_at"].take(take)
    given = stored_form(votes["answer"]) if structured else votes["answer"]
    alike = pc.and_(
        pc.equal(rows.values["answer"].take(take), given),
        pc.fill_null(pc.equal(created_at, votes["created_at"]), True),
    )
    if has_durations:
        duration = pc.fill_null(rows.values["duration_ms"].take(take), -1)
        alike = pc.and_(alike, pc.equal(duration, pa.array(votes["duration_ms"])))
    taken[found] = True
    same[found] = alike.to_numpy()
    return taken, same


def _voted_on(connection: sa.Connection, items: Resolved) -> Any:
    """Those of the items that have votes already."""
    kind = "text" if connection.dialect.name == "sqlite" else "uuid"
    connection.execute(sa.text(f"CREATE TEMPORARY TABLE named (n int, item_id {kind})"))
    append(connection, "named", {"n": np.arange(len(items.item_id)), "item_id": items.item_id})
    voted = read_columns(
        connection,
        "SELECT n FROM named WHERE EXISTS (SELECT 1 FROM votes v WHERE v.item_id = named.item_id)",
        {},
        {"n": int},
    )["n"]
    connection.execute(sa.text("DROP TABLE named"))
    return voted


def _waited_for(dataset: Dataset) -> tuple[str, ...]:
    """Reasons that may have gone since: items come, and classes that were added."""
    return (UNKNOWN_ITEM, NO_CLASS) if dataset.schema_version > 1 else (UNKNOWN_ITEM,)


def _has_waiting(connection: sa.Connection, dataset: Dataset, reasons: tuple[str, ...]) -> bool:
    return bool(
        connection.execute(
            sa.select(
                sa.exists().where(
                    t.quarantined_votes.c.dataset_id == dataset.dataset_id,
                    t.quarantined_votes.c.reason.in_(reasons),
                )
            )
        ).scalar_one()
    )


def _held(
    connection: sa.Connection, dataset: Dataset, marks: Any, reasons: tuple[str, ...]
) -> tuple[Any, Any]:
    """How many rows of quarantine each fingerprint has, and how many of those for one of the reasons."""
    held, waiting = np.zeros(len(marks), dtype=np.int64), np.zeros(len(marks), dtype=np.int64)
    unique = np.unique(marks)
    if not len(unique):
        return held, waiting
    there = connection.execute(
        sa.text(
            "SELECT count(*) FROM (SELECT 1 FROM quarantined_votes WHERE dataset_id = :dataset LIMIT :most) q"
        ),
        {"dataset": dataset.dataset_id, "most": len(unique)},
    ).scalar_one()
    if not there:
        return held, waiting
    # What is fewer is gone through: the fingerprints of this file, or all of the quarantine.
    few = there == len(unique)
    if few:
        connection.execute(sa.text("CREATE TEMPORARY TABLE marks (fingerprint bigint PRIMARY KEY)"))
        append(connection, "marks", {"fingerprint": unique})
    found = read_columns(
        connection,
        "SELECT q.fingerprint AS fingerprint, count(*) AS held,"
        f" count(CASE WHEN q.reason IN ({_listed(reasons)}) THEN 1 END) AS waiting"
        f" FROM quarantined_votes q {'JOIN marks m ON q.fingerprint = m.fingerprint' if few else ''}"
        " WHERE q.dataset_id = :dataset GROUP BY q.fingerprint",
        {"dataset": dataset.dataset_id},
        {"fingerprint": int, "held": int, "waiting": int},
    )
    if few:
        connection.execute(sa.text("DROP TABLE marks"))
    if len(found["fingerprint"]):
        order = np.argsort(found["fingerprint"])
        place = np.searchsorted(found["fingerprint"], marks, sorter=order).clip(0, len(order) - 1)
        hit = found["fingerprint"][order[place]] == marks
        held[hit], waiting[hit] = found["held"][order[place[hit]]], found["waiting"][order[place[hit]]]
    return held, waiting


def _released(connection: sa.Connection, dataset: Dataset, marks: Any, reasons: tuple[str, ...]) -> list[int]:
    """Rows of quarantine for one of the reasons, as many of each fingerprint as the file shows."""
    waiting = read_columns(
        connection,
        "SELECT quarantine_id, fingerprint FROM quarantined_votes"
        f" WHERE dataset_id = :dataset AND reason IN ({_listed(reasons)})"
        " ORDER BY fingerprint, quarantine_id",
        {"dataset": dataset.dataset_id},
        {"quarantine_id": int, "fingerprint": int},
    )
    shown, counts = np.unique(marks, return_counts=True)
    if not len(shown):
        return []
    own = waiting["fingerprint"]
    nth = np.arange(len(own)) - np.searchsorted(own, own) + 1
    place = np.searchsorted(shown, own).clip(0, len(shown) - 1)
    leaves = (shown[place] == own) & (nth <= counts[place])
    return [int(key) for key in waiting["quarantine_id"][leaves]]


def _listed(reasons: tuple[str, ...]) -> str:
    return ", ".join(f"'{reason}'" for reason in reasons)
