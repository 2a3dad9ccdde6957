"""Votes from a file into the vote table; what cannot be a vote, into quarantine.

The file is staged in a temporary table and judged there in a few statements, in the transaction that
writes: a file is taken as a whole, row by row judged, or not at all.

A row is known already if rows like it were received before at least as often as the file has shown it so
far. Received before are the rows in quarantine with the same values, and the vote of the same solver on the
same item if it has the row's answer, its duration (where the file has durations) and its time (where the
row has one). A row that is in quarantine because its item was unknown, and whose item has come since, is
judged anew and leaves quarantine.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.intake import checks
from hiveguard_pipeline.intake.files import RowFile
from hiveguard_pipeline.intake.items import insert_items
from hiveguard_pipeline.intake.rows import Block
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import append, read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, lock_dataset, now_text

COLUMNS = ("external_id", "item_id", "solver_id", "answer", "duration_ms", "created_at")


@dataclass(slots=True)
class VoteImport:
    """What became of a file's rows; read = accepted + quarantined + already_known."""

    read: int = 0
    accepted: int = 0
    quarantined: int = 0
    already_known: int = 0
    items_created: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Rows that this import put into quarantine, by reason."""


def import_votes(
    database: Database,
    dataset_name: str,
    path: Path,
    *,
    create_items: bool = False,
    report: Callable[[int], None] | None = None,
) -> VoteImport:
    """Import a CSV or JSONL file of votes.

    Columns: external_id or item_id, solver_id, answer[, duration_ms, created_at]. create_items makes the
    items that are not there yet, with external_id as data_ref and the dataset's modality.
    Raises BadInputError for a file that cannot be read as such; then nothing was imported.
    """
    with RowFile(path, COLUMNS) as file:
        _require_columns(file)
        with database.write() as connection:
            dataset = lock_dataset(connection, dataset_name)
            sqlite = connection.dialect.name == "sqlite"
            result = VoteImport(read=_stage(connection, file, dataset, sqlite, report))
            if create_items:
                result.items_created = _create_items(connection, dataset)
            moment = now_text()
            import_id = _open_import(connection, dataset, file, moment)
            names = {"dataset": dataset.dataset_id, "import": import_id, "now": moment}
            _judge(connection, names)
            _release(connection, names)
            result.accepted, candidates = _accept(connection, names, sqlite)
            if result.accepted < candidates:
                _mark_repeated(connection, _same_vote(file.columns), sqlite)
            result.reasons = _quarantine(connection, names)
            result.quarantined = sum(result.reasons.values())
            result.already_known = result.read - result.accepted - result.quarantined
            connection.execute(
                t.imports.update()
                .where(t.imports.c.import_id == import_id)
                .values(
                    rows_read=result.read,
                    accepted=result.accepted,
                    quarantined=result.quarantined,
                    already_known=result.already_known,
                )
            )
            for table in ("judged", "staged", "repeats"):
                connection.execute(sa.text(f"DROP TABLE {table}"))
            if not sqlite and result.accepted > 10_000:
                connection.execute(sa.text("ANALYZE votes"))
    return result


def _require_columns(file: RowFile) -> None:
    if file.is_jsonl:
        return
    there = f"; the columns are {', '.join(file.columns)}"
    for name in ("solver_id", "answer"):
        if name not in file.columns:
            raise file.refuse(f"there is no column {name}{there}")
    if "external_id" not in file.columns and "item_id" not in file.columns:
        raise file.refuse(f"there is no column external_id or item_id{there}")


def _stage(
    connection: sa.Connection,
    file: RowFile,
    dataset: Dataset,
    sqlite: bool,
    report: Callable[[int], None] | None,
) -> int:
    connection.execute(
        sa.text(
            "CREATE TEMPORARY TABLE staged (line bigint, external_id text,"
            f" item_id {'text' if sqlite else 'uuid'}, solver_id text, answer text, duration_ms bigint,"
            f" created_at {'text' if sqlite else 'timestamptz'}, reason text, row text, fingerprint bigint)"
        )
    )
    numbers, lines, rows = [], [], 0
    for block in file.blocks():
        staged = _checked(block, dataset)
        append(connection, "staged", staged)
        numbers.append(staged["fingerprint"])
        lines.append(block.line)
        rows += len(block.line)
        if report:
            report(rows)
    again, nth = checks.occurrences(np.concatenate(numbers or [np.empty(0, dtype=np.int64)]))
    connection.execute(sa.text("CREATE TEMPORARY TABLE repeats (line bigint PRIMARY KEY, nth int)"))
    if len(again):
        append(connection, "repeats", {"line": np.concatenate(lines)[again], "nth": nth})
    if not sqlite:
        connection.execute(sa.text("ANALYZE staged"))
        connection.execute(sa.text("ANALYZE repeats"))
    return rows


def _checked(block: Block, dataset: Dataset) -> dict[str, Any]:
    """The columns to stage for a block, with the reasons that need no look into the database."""
    rows = len(block.line)
    value = {name: block.values.get(name, pa.nulls(rows, pa.string())) for name in COLUMNS}
    duration, bad_duration = checks.durations(value["duration_ms"])
    created_at, bad_time = checks.times(value["created_at"])
    item_id = checks.item_ids(value["item_id"])
    no_item = pc.and_(checks.is_blank(value["external_id"]), checks.is_blank(value["item_id"]))
    keys = [value["external_id"], value["solver_id"]]
    outside = (
        pc.invert(pc.is_in(value["answer"], value_set=pa.array(dataset.classes, type=pa.string())))
        if dataset.classes is not None
        else pa.scalar(False)
    )
    texts = [value["external_id"], value["item_id"], value["solver_id"], value["answer"]]
    reason = checks.first_reason(
        block.reason,
        *((checks.has_nul(column), "nul_character") for column in texts),
        (no_item, "no_item"),
        (checks.is_blank(value["solver_id"]), "no_solver"),
        (checks.is_blank(value["answer"]), "empty_answer"),
        *((checks.too_long(column, checks.LONGEST_KEY), "too_long") for column in keys),
        (checks.too_long(value["answer"], checks.LONGEST_ANSWER), "too_long"),
        (outside, "answer_not_in_classes"),
        (bad_duration, "bad_duration"),
        (bad_time, "bad_time"),
    )
    usable = pc.is_null(reason)
    nothing = pa.scalar(None, pa.string())
    readable = pc.is_null(block.reason)
    # Rows are alike by what they say, however they write it: 5 and 5.0 ms, one moment in two zones.
    said = value | {
        "item_id": pc.coalesce(item_id, value["item_id"]),
        "duration_ms": pc.coalesce(pc.cast(duration, pa.string()), value["duration_ms"]),
        "created_at": pc.coalesce(created_at, value["created_at"]),
    }
    same = [pc.if_else(readable, said[name], nothing) for name in COLUMNS]
    external_id = pc.if_else(checks.is_blank(value["external_id"]), nothing, value["external_id"])
    return {
        "line": block.line,
        "external_id": pc.if_else(usable, external_id, nothing),
        "item_id": pc.if_else(usable, item_id, nothing),
        "solver_id": pc.if_else(usable, value["solver_id"], nothing),
        "answer": pc.if_else(usable, value["answer"], nothing),
        "duration_ms": duration,
        "created_at": created_at,
        "reason": reason,
        "row": pc.replace_substring(block.row, "\0", "\\0"),
        "fingerprint": checks.fingerprints([*same, pc.if_else(readable, nothing, block.row)]),
    }


def _create_items(connection: sa.Connection, dataset: Dataset) -> int:
    """Items for external ids that are not there yet, as the readable rows name them."""
    new = read_columns(
        connection,
        "SELECT s.external_id FROM staged s LEFT JOIN items i"
        " ON i.dataset_id = :dataset AND i.external_id = s.external_id"
        " WHERE s.reason IS NULL AND s.item_id IS NULL AND s.external_id IS NOT NULL AND i.item_id IS NULL"
        " GROUP BY s.external_id ORDER BY min(s.line)",
        {"dataset": dataset.dataset_id},
        {"external_id": str},
    )["external_id"]
    modality = pa.repeat(pa.scalar(dataset.modality), len(new))
    return insert_items(connection, dataset, new, data_ref=new, modality=modality)


def _open_import(connection: sa.Connection, dataset: Dataset, file: RowFile, moment: str) -> int:
    key = connection.execute(
        t.imports.insert().values(
            dataset_id=dataset.dataset_id,
            kind="votes",
            file_name=file.name,
            file_sha256=file.sha256,
            rows_read=0,
            accepted=0,
            quarantined=0,
            already_known=0,
            created_at=moment,
        )
    ).inserted_primary_key
    assert key is not None
    return int(key[0])


def _judge(connection: sa.Connection, names: dict[str, Any]) -> None:
    """Give each staged row its item, its how-manieth showing in the file, and its count in quarantine."""
    connection.execute(
        sa.text(
            "CREATE TEMPORARY TABLE judged AS"
            " SELECT s.line, coalesce(a.item_id, b.item_id) AS item_id, s.solver_id, s.answer, s.duration_ms,"
            " s.created_at, s.row, s.fingerprint, coalesce(r.nth, 1) AS nth, CASE WHEN a.item_id IS NULL AND"
            " b.item_id IS NULL THEN coalesce(q.held, 0) ELSE coalesce(q.held - q.itemless, 0) END AS held,"
            " CASE WHEN s.reason IS NULL AND a.item_id IS NULL AND b.item_id IS NULL THEN 'unknown_item'"
            " ELSE s.reason END AS reason"
            " FROM staged s"
            " LEFT JOIN items a ON a.item_id = s.item_id AND a.dataset_id = :dataset"
            " LEFT JOIN items b ON s.item_id IS NULL AND b.dataset_id = :dataset"
            " AND b.external_id = s.external_id"
            " LEFT JOIN repeats r ON r.line = s.line"
            " LEFT JOIN (SELECT fingerprint, count(*) AS held,"
            " count(CASE WHEN reason = 'unknown_item' THEN 1 END) AS itemless FROM quarantined_votes"
            " WHERE dataset_id = :dataset GROUP BY fingerprint) q ON q.fingerprint = s.fingerprint"
        ).bindparams(sa.bindparam("dataset", names["dataset"], type_=t.Uuid))
    )


def _release(connection: sa.Connection, names: dict[str, Any]) -> None:
    """Take rows out of quarantine whose item has come since, and which this file shows again to be judged."""
    connection.execute(
        sa.text(
            "DELETE FROM quarantined_votes WHERE quarantine_id IN (SELECT q.quarantine_id FROM ("
            " SELECT quarantine_id, fingerprint,"
            " row_number() OVER (PARTITION BY fingerprint ORDER BY quarantine_id) AS nth"
            " FROM quarantined_votes WHERE dataset_id = :dataset AND reason = 'unknown_item') q"
            " JOIN (SELECT fingerprint, count(*) AS shown FROM judged WHERE item_id IS NOT NULL"
            " GROUP BY fingerprint) j ON j.fingerprint = q.fingerprint WHERE q.nth <= j.shown)"
        ).bindparams(sa.bindparam("dataset", names["dataset"], type_=t.Uuid))
    )


def _accept(connection: sa.Connection, names: dict[str, Any], sqlite: bool) -> tuple[int, int]:
    """Insert what is a new vote, the first of a solver on an item; returns how many, out of how many."""
    connection.execute(
        sa.text("CREATE TEMPORARY TABLE newest AS SELECT coalesce(max(vote_id), 0) AS vote_id FROM votes")
    )
    candidates = connection.execute(
        sa.text("SELECT count(*) FROM judged WHERE reason IS NULL AND nth > held")
    ).scalar_one()
    now = ":now" if sqlite else "CAST(:now AS timestamptz)"
    accepted = connection.execute(
        sa.text(
            "INSERT INTO votes (item_id, solver_id, answer, duration_ms, created_at)"
            f" SELECT item_id, solver_id, answer, duration_ms, coalesce(created_at, {now}) FROM judged"
            " WHERE reason IS NULL AND nth > held ORDER BY line"
            " ON CONFLICT (item_id, solver_id) DO NOTHING"
        ),
        {"now": names["now"]},
    ).rowcount
    return accepted, candidates


def _same_vote(columns: tuple[str, ...]) -> str:
    """SQL for: the vote v says what the row `judged` says.

    A row without a time says nothing of it: the vote it became has the time of its import.
    """
    same = "v.answer = judged.answer AND (judged.created_at IS NULL OR v.created_at = judged.created_at)"
    if "duration_ms" in columns:
        same += " AND coalesce(v.duration_ms, -1) = coalesce(judged.duration_ms, -1)"
    return same


def _mark_repeated(connection: sa.Connection, same_vote: str, sqlite: bool) -> None:
    """Of the rows that became no vote, mark as duplicates those that were not received before."""
    ours = "v.vote_id > (SELECT vote_id FROM newest)" if sqlite else "v.xmin = pg_current_xact_id()::xid"
    connection.execute(sa.text("CREATE INDEX judged_by_vote ON judged (item_id, solver_id)"))
    # Of the rows of one solver on one item, the first is the vote if the vote came with this file;
    # any other is a repetition, unless it was received before.
    connection.execute(
        sa.text(
            "UPDATE judged SET reason = 'duplicate_vote' WHERE reason IS NULL AND nth > held AND EXISTS ("
            f" SELECT 1 FROM votes v WHERE v.item_id = judged.item_id AND v.solver_id = judged.solver_id"
            f" AND CASE WHEN {ours} THEN judged.line > (SELECT min(o.line) FROM judged o"
            " WHERE o.item_id = judged.item_id AND o.solver_id = judged.solver_id"
            " AND (o.reason IS NULL OR o.reason = 'duplicate_vote') AND o.nth > o.held)"
            f" ELSE NOT (judged.nth <= judged.held + 1 AND {same_vote}) END)"
        )
    )


def _quarantine(connection: sa.Connection, names: dict[str, Any]) -> dict[str, int]:
    """Put what is neither a vote nor known into quarantine; returns how many for each reason."""
    connection.execute(
        sa.text(
            "INSERT INTO quarantined_votes (dataset_id, import_id, line, reason, row, fingerprint)"
            " SELECT :dataset, :import, line, reason, row, fingerprint FROM judged"
            " WHERE reason IS NOT NULL AND nth > held ORDER BY line"
        ).bindparams(sa.bindparam("dataset", names["dataset"], type_=t.Uuid)),
        {"import": names["import"]},
    )
    connection.execute(sa.text("DROP TABLE newest"))
    counted = connection.execute(
        sa.text("SELECT reason, count(*) FROM judged WHERE reason IS NOT NULL AND nth > held GROUP BY reason")
    )
    return dict(sorted((str(reason), int(count)) for reason, count in counted))
