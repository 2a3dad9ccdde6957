"""A result of a recount written back into the database: all of it in one transaction, or nothing.

What a person decided stands, and so does everything that the recount finds as it is: only rows that are
new are appended. Where the ledger of an item does not lead where the recount does, the item gets a new
generation of it; the old one is kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.recount.output import Result
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.rules.states import POOL_STATES, STATES, State
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import append
from hiveguard_pipeline.store.contested import note_all
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import (
    Dataset,
    RecordedPolicy,
    current_policy,
    lock_dataset,
    now_text,
    progress_of,
)
from hiveguard_pipeline.store.exclusions import counted, retractions
from hiveguard_pipeline.store.horizon import WAIT_SECONDS, safe_horizon
from hiveguard_pipeline.store.ledger import record_progress

_UNLABELED = STATES[State.UNLABELED]

_LABELS = {
    "item_id": "uuid",
    "label": "text",
    "confidence": "int",
    "state": "text",
    "vote_count": "int",
    "revalidation_vote_count": "int",
    "revalidation_epochs": "int",
    "applied_through": "bigint",
}
_LEDGER = {
    "item_id": "uuid",
    "sequence": "int",
    "kind": "text",
    "first_vote_id": "bigint",
    "last_vote_id": "bigint",
    "agree": "int",
    "disagree": "int",
    "label": "text",
    "confidence_before": "int",
    "confidence_after": "int",
    "state_after": "text",
}
_STATES = {"item_id": "uuid", "votes": "int"}
_MILLIONTHS = ("confidence", "confidence_before", "confidence_after")


@dataclass(frozen=True, slots=True)
class WrittenBack:
    """What a recount changed in the database, in items but for ledger_rows.

    extended: got rows at the end of their ledger, or their first. new_generations: got a ledger anew;
    withdrawn: those of them that have no label any more. left_alone: items on which a person has decided.
    """

    extended: int
    new_generations: int
    withdrawn: int
    unchanged: int
    left_alone: int
    ledger_rows: int
    ledger_position: int


def write_back(
    database: Database,
    dataset_name: str,
    result: Result,
    *,
    run_id: str,
    wait_seconds: float = WAIT_SECONDS,
) -> WrittenBack:
    """Make a dataset's labels and ledger what a recount says they are.

    Gold items and items with reviews are left alone. Raises BadInputError, with nothing written, if the
    result is not one of this dataset's votes under its policy, or if a run came in between.
    """
    moment = now_text()
    with database.write() as connection:
        dataset = lock_dataset(connection, dataset_name)
        recorded = current_policy(connection, dataset)
        progress = progress_of(connection, dataset)
        _refuse_other_times(connection, dataset, recorded, result, wait_seconds)
        _load(connection, "recounted_labels", _LABELS, result.batches("labels", _LABELS))
        _load(connection, "recounted_ledger", _LEDGER, result.batches("ledger", _LEDGER))
        _load(connection, "recounted_states", _STATES, result.batches("states", _STATES))
        _refuse_other_votes(connection, dataset, result)
        names = {
            "dataset": dataset.dataset_id,
            "policy": recorded.policy_id,
            "batch": recorded.policy.revalidation_min_votes,
            "horizon": result.manifest.horizon,
            "run_id": run_id,
            "moment": moment,
        }
        _run(connection, _PLAN, names)
        _analyze(connection, "recount_plan")
        ledger_rows = _run(connection, _APPEND, names)
        _run(connection, _LABEL_ROWS.format(completed=t.full_time(connection, "v.created_at")), names)
        _run(connection, _RECHECK, names)
        note_all(connection, dataset.dataset_id, recorded.policy)
        position = record_progress(
            connection,
            dataset,
            progress.ledger_position,
            max(progress.folded_through, result.manifest.horizon),
            recorded,
        )
        done = _counted(connection, ledger_rows, position)
        for table in ("recounted_labels", "recounted_ledger", "recounted_states", "recount_plan"):
            connection.execute(sa.text(f"DROP TABLE {table}"))
    return done


def _refuse_other_times(
    connection: sa.Connection,
    dataset: Dataset,
    recorded: RecordedPolicy,
    result: Result,
    wait_seconds: float,
) -> None:
    found = result.manifest
    if found.dataset is not None and found.dataset != dataset.name:
        raise BadInputError(f"{result.shown} is a recount of {found.dataset}, not of {dataset.name}")
    if found.policy_used != recorded.policy:
        raise BadInputError(
            f"{result.shown} was counted under another policy than {dataset.name} has now; run it again"
        )
    if dataset.schema_version > 1 and found.schema_version != dataset.schema_version:
        raise BadInputError(
            f"{result.shown} was counted under other classes than {dataset.name} has now; run it again"
        )
    if found.retractions not in (None, retractions(connection, dataset)):
        raise BadInputError(
            f"votes of {dataset.name} were excluded, restored or withdrawn since the recount read them;"
            " run it again"
        )
    progress = progress_of(connection, dataset)
    if found.ledger_position is not None and found.ledger_position != progress.ledger_position:
        raise BadInputError(
            f"the ledger of {dataset.name} has moved since the recount read its votes; run it again"
        )
    if safe_horizon(connection, progress.folded_through, wait_seconds) < found.horizon:
        raise BadInputError(
            f"votes of other writers may still come before vote {found.horizon}; nothing was written,"
            " try again when they are done"
        )


def _refuse_other_votes(connection: sa.Connection, dataset: Dataset, result: Result) -> None:
    """A result must hold every item that has votes, with as many; and no vote after them may be applied."""
    names = {"dataset": dataset.dataset_id, "horizon": result.manifest.horizon}
    other_votes = _OTHER_VOTES.format(counted=counted(connection, dataset))
    differs = connection.execute(sa.text(other_votes), names).first()
    if differs is not None:
        raise BadInputError(
            f"{result.shown} counts {differs.counted or 0} votes on item {differs.item_id}, {dataset.name}"
            f" has {differs.votes or 0} up to vote {result.manifest.horizon}: it is a recount of other votes"
        )
    beyond = connection.execute(sa.text(_BEYOND), names).scalar()
    if beyond is not None:
        raise BadInputError(
            f"a run has applied votes after vote {result.manifest.horizon}, the newest of the recount;"
            " run it again"
        )


_VOTED = (
    "(SELECT v.item_id, count(*) AS votes FROM votes v JOIN items i ON i.item_id = v.item_id"
    " WHERE i.dataset_id = :dataset AND i.gold_label IS NULL AND v.vote_id <= :horizon{counted}"
    " GROUP BY v.item_id)"
)
_OTHER_VOTES = (
    f"SELECT w.item_id, w.votes, s.votes AS counted FROM {_VOTED} w"
    " LEFT JOIN recounted_states s ON s.item_id = w.item_id WHERE s.votes IS NULL OR s.votes <> w.votes"
    " UNION ALL SELECT s.item_id, 0, s.votes FROM recounted_states s"
    " LEFT JOIN items i ON i.item_id = s.item_id AND i.dataset_id = :dataset WHERE i.item_id IS NULL LIMIT 1"
)
_NOT_REVIEWED = "NOT EXISTS (SELECT 1 FROM reviews r WHERE r.item_id = {item}.item_id)"
_BEYOND = (
    "SELECT 1 FROM labels l JOIN items i ON i.item_id = l.item_id WHERE l.dataset_id = :dataset"
    f" AND i.gold_label IS NULL AND l.applied_through > :horizon AND {_NOT_REVIEWED.format(item='l')} LIMIT 1"
)

# kept: rows of the recounted ledger that the item's own ledger has already.
_PLAN = (
    "CREATE TEMPORARY TABLE recount_plan AS SELECT p.* FROM ("
    "SELECT s.item_id, r.item_id IS NOT NULL AS has_label, coalesce(g.sequence, 0) AS kept,"
    " l.item_id IS NOT NULL AND (l.label IS NOT NULL OR l.applied_through > 0) AND g.sequence IS NULL"
    " AS anew,"
    " coalesce(l.generation, 1) AS generation"
    " FROM recounted_states s JOIN items i ON i.item_id = s.item_id AND i.gold_label IS NULL"
    " LEFT JOIN labels l ON l.item_id = s.item_id"
    " LEFT JOIN recounted_labels r ON r.item_id = s.item_id"
    " LEFT JOIN recounted_ledger g ON g.item_id = l.item_id AND g.last_vote_id = l.applied_through"
    " AND g.label = l.label AND g.confidence_after = l.confidence AND g.state_after = l.state"
    " AND r.vote_count = l.vote_count AND (g.sequence - 1) * :batch = l.revalidation_vote_count"
    f" WHERE {_NOT_REVIEWED.format(item='s')}) p"
    " WHERE p.anew OR EXISTS (SELECT 1 FROM recounted_ledger n"
    " WHERE n.item_id = p.item_id AND n.sequence > p.kept)"
)
_GENERATION = "p.generation + CASE WHEN p.anew THEN 1 ELSE 0 END"
_APPEND = (
    "INSERT INTO batches (item_id, policy_id, generation, kind, first_vote_id, last_vote_id, agree, disagree,"
    " label, confidence_before, confidence_after, state_after, run_id, applied_at)"
    f" SELECT g.item_id, :policy, {_GENERATION}, g.kind, g.first_vote_id, g.last_vote_id, g.agree,"
    " g.disagree, g.label, g.confidence_before, g.confidence_after, g.state_after, :run_id, {moment}"
    " FROM recount_plan p JOIN recounted_ledger g ON g.item_id = p.item_id AND g.sequence > p.kept"
    " ORDER BY g.item_id, g.sequence"
)
_LABEL_ROWS = (
    "INSERT INTO labels (item_id, dataset_id, label, confidence, state, needs_review, vote_count,"
    " revalidation_vote_count, revalidation_epochs, policy_id, generation, applied_through, created_at,"
    " updated_at)"
    " SELECT p.item_id, i.dataset_id, r.label, r.confidence,"
    f" coalesce(r.state, '{_UNLABELED}'), coalesce(r.state, '') = '{STATES[State.NEEDS_REVIEW]}',"
    " coalesce(r.vote_count, 0), coalesce(r.revalidation_vote_count, 0), coalesce(r.revalidation_epochs, 0),"
    f" :policy, {_GENERATION}, coalesce(r.applied_through, 0), {{completed}}, {{{{moment}}}}"
    " FROM recount_plan p JOIN items i ON i.item_id = p.item_id"
    " LEFT JOIN recounted_labels r ON r.item_id = p.item_id"
    " LEFT JOIN recounted_ledger o ON o.item_id = p.item_id AND o.sequence = 1"
    " LEFT JOIN votes v ON v.vote_id = o.last_vote_id WHERE true"
    " ON CONFLICT (item_id) DO UPDATE SET "
    + ", ".join(
        f"{name} = excluded.{name}"
        for name in (
            *("label", "confidence", "state", "needs_review", "vote_count", "revalidation_vote_count"),
            *(
                "revalidation_epochs",
                "policy_id",
                "generation",
                "applied_through",
                "created_at",
                "updated_at",
            ),
        )
    )
)
# Runs have read up to here under this policy, all but: votes after the recount's, on any item, and waiting
# votes of items that were left alone.
_RECHECK = (
    "INSERT INTO recheck_items (item_id, dataset_id) SELECT i.item_id, i.dataset_id FROM items i"
    " LEFT JOIN labels l ON l.item_id = i.item_id WHERE i.dataset_id = :dataset AND i.gold_label IS NULL"
    f" AND coalesce(l.state, '{_UNLABELED}') IN ('{POOL_STATES[0]}', '{POOL_STATES[1]}')"
    " AND EXISTS (SELECT 1 FROM votes v WHERE v.item_id = i.item_id AND v.vote_id > CASE WHEN"
    f" {_NOT_REVIEWED.format(item='i')} THEN :horizon ELSE coalesce(l.applied_through, 0) END)"
    " ON CONFLICT (item_id) DO NOTHING"
)


def _load(
    connection: sa.Connection, table: str, columns: Mapping[str, str], batches: Iterable[pa.RecordBatch]
) -> None:
    sqlite = connection.dialect.name == "sqlite"
    typed = ", ".join(
        f"{name} {'text' if sqlite and kind == 'uuid' else kind}" for name, kind in columns.items()
    )
    connection.execute(sa.text(f"DROP TABLE IF EXISTS {table}"))
    connection.execute(sa.text(f"CREATE TEMPORARY TABLE {table} ({typed})"))
    for batch in batches:
        append(connection, table, {name: _stored(name, batch.column(name)) for name in columns})
    key = "item_id, sequence" if "sequence" in columns else "item_id"
    connection.execute(sa.text(f"CREATE UNIQUE INDEX {table}_key ON {table} ({key})"))
    _analyze(connection, table)


def _stored(name: str, column: Any) -> Any:
    """A column as the store holds it: confidence in whole millionths."""
    if name not in _MILLIONTHS:
        return column
    scaled = np.rint(pc.fill_null(column, 0).to_numpy(zero_copy_only=False) * ONE).astype(np.int64)
    return pa.array(scaled, mask=pc.is_null(column).to_numpy(zero_copy_only=False))


def _analyze(connection: sa.Connection, table: str) -> None:
    if connection.dialect.name != "sqlite":
        connection.execute(sa.text(f"ANALYZE {table}"))


def _run(connection: sa.Connection, statement: str, names: Mapping[str, Any]) -> int:
    moment = ":moment" if connection.dialect.name == "sqlite" else "CAST(:moment AS timestamptz)"
    text = statement.replace("{moment}", moment)
    used = {name: value for name, value in names.items() if f":{name}" in text}
    return int(connection.execute(sa.text(text), used).rowcount)


def _counted(connection: sa.Connection, ledger_rows: int, position: int) -> WrittenBack:
    plan = connection.execute(
        sa.text(
            "SELECT count(CASE WHEN anew THEN NULL ELSE 1 END) AS extended,"
            " count(CASE WHEN anew THEN 1 END) AS anew,"
            " count(CASE WHEN anew AND NOT has_label THEN 1 END) AS withdrawn FROM recount_plan"
        )
    ).one()
    alone = connection.execute(
        sa.text(
            "SELECT count(*) FROM recounted_states s JOIN items i ON i.item_id = s.item_id"
            f" AND i.gold_label IS NULL WHERE NOT {_NOT_REVIEWED.format(item='s')}"
        )
    ).scalar_one()
    recounted = connection.execute(
        sa.text(
            "SELECT count(*) FROM recounted_states s JOIN items i ON i.item_id = s.item_id"
            " AND i.gold_label IS NULL"
        )
    ).scalar_one()
    return WrittenBack(
        extended=int(plan.extended),
        new_generations=int(plan.anew),
        withdrawn=int(plan.withdrawn),
        unchanged=int(recounted) - int(plan.extended) - int(plan.anew) - int(alone),
        left_alone=int(alone),
        ledger_rows=ledger_rows,
        ledger_position=position,
    )
