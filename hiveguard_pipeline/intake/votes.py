"""Votes from a file into the vote table; what cannot be a vote, into quarantine.

The file is read in columns, its rows are judged in columns (`judged`), and all of it is written in one
transaction: a file is taken as a whole, row by row judged, or not at all.

A row is known already if rows like it were received before at least as often as the file has shown it so
far. Received before are the rows in quarantine with the same values, and the vote of the same solver on the
same item if it has the row's answer, its duration (where the file has durations) and its time (where the
row has one). A row that is in quarantine because its item was unknown, or its answer no class, and whose item
or class has come since, is judged anew and leaves quarantine. A former name of a class is an answer as ever.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.intake.files import RowFile
from hiveguard_pipeline.intake.fitting import misfits
from hiveguard_pipeline.intake.gathered import COLUMNS, Gathered, VoteRows, gather
from hiveguard_pipeline.intake.judged import Judged, judge
from hiveguard_pipeline.intake.resolved import Resolved, resolve_items
from hiveguard_pipeline.rules.structured.tasks import STRUCTURED_TASKS
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import append
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, lock_dataset, now_text
from hiveguard_pipeline.store.schema_versions import accepted_names
from hiveguard_pipeline.store.votes import insert_votes


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
        # Every item is found before its votes go in, under the lock of the dataset.
        with database.write(check_references=False) as connection:
            dataset = lock_dataset(connection, dataset_name)
            return take_votes(connection, dataset, file, create_items=create_items, report=report)


def take_votes(
    connection: sa.Connection,
    dataset: Dataset,
    source: VoteRows,
    *,
    create_items: bool = False,
    report: Callable[[int], None] | None = None,
) -> VoteImport:
    """Take the votes of a source as a part of a caller's transaction, which holds the dataset's lock."""
    part = STRUCTURED_TASKS.get(dataset.task_type)
    rows = gather(source, accepted_names(connection, dataset), report, part)
    items = resolve_items(connection, dataset, rows, create_items)
    if part is not None:
        unfit = misfits(connection, rows.values["answer"], rows.reason, items)
        rows.reason = pa.chunked_array([pc.coalesce(rows.reason.combine_chunks(), unfit)])
    moment = now_text()
    judged = judge(connection, dataset, rows, items, "duration_ms" in source.columns)
    while not insert_votes(connection, _votes(rows, items, judged, moment)):
        judged = judge(connection, dataset, rows, items, "duration_ms" in source.columns)
    quarantined = len(judged.quarantined)
    done = VoteImport(
        read=len(rows),
        accepted=len(judged.votes),
        quarantined=quarantined,
        already_known=len(rows) - len(judged.votes) - quarantined,
        items_created=items.created,
        reasons=dict(sorted(Counter(judged.reason.to_pylist()).items())),
    )
    _quarantine(connection, dataset, rows, judged, _record(connection, dataset, source, done, moment))
    return done


def _require_columns(file: RowFile) -> None:
    if file.is_jsonl:
        return
    there = f"; the columns are {', '.join(file.columns)}"
    for name in ("solver_id", "answer"):
        if name not in file.columns:
            raise file.refuse(f"there is no column {name}{there}")
    if "external_id" not in file.columns and "item_id" not in file.columns:
        raise file.refuse(f"there is no column external_id or item_id{there}")


def _votes(rows: Gathered, items: Resolved, judged: Judged, moment: str) -> dict[str, Any]:
    """The new votes as columns of the table, in file order."""
    all_of_them = len(judged.votes) == len(rows)
    take = pa.array(judged.votes)
    columns = {
        name: rows.values[name] if all_of_them else rows.values[name].take(take)
        for name in ("solver_id", "answer", "duration_ms", "created_at")
    }
    return {
        "item_id": items.item_id.take(pa.array(items.of_row[judged.votes])),
        **columns,
        "created_at": pc.fill_null(columns["created_at"], moment),
    }


def _record(
    connection: sa.Connection, dataset: Dataset, file: VoteRows, done: VoteImport, moment: str
) -> int:
    key = connection.execute(
        t.imports.insert().values(
            dataset_id=dataset.dataset_id,
            kind="votes",
            file_name=file.name,
            file_sha256=file.sha256,
            rows_read=done.read,
            accepted=done.accepted,
            quarantined=done.quarantined,
            already_known=done.already_known,
            created_at=moment,
        )
    ).inserted_primary_key
    assert key is not None
    return int(key[0])


def _quarantine(
    connection: sa.Connection, dataset: Dataset, rows: Gathered, judged: Judged, import_id: int
) -> None:
    """Take out of quarantine what is judged anew, and put in what is neither a vote nor known."""
    released = judged.released
    for start in range(0, len(released), 10_000):
        connection.execute(
            t.quarantined_votes.delete().where(
                t.quarantined_votes.c.quarantine_id.in_(released[start : start + 10_000])
            )
        )
    refused = judged.quarantined
    if not len(refused):
        return
    append(
        connection,
        "quarantined_votes",
        {
            "dataset_id": pa.repeat(pa.scalar(dataset.dataset_id), len(refused)),
            "import_id": np.full(len(refused), import_id),
            "line": rows.line[refused],
            "reason": judged.reason,
            "row": rows.texts.of(refused),
            "fingerprint": judged.fingerprint,
        },
    )
