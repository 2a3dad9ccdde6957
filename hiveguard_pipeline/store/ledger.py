"""The ledger's transaction: unprocessed votes in; ledger rows, labels and watermarks out, all or nothing.

A run looks at the items that got votes since the last run looked (and those that a review released), so
its cost follows new votes, not history. After a change of policy or of classes, and in the nightly run, it
looks at every item of the pool.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa

from hiveguard_pipeline.rules.adaptive import AdaptiveLedger
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE
from hiveguard_pipeline.rules.states import KINDS, STATES, State
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.arrow import from_numbers, from_texts, repeated
from hiveguard_pipeline.store.bulk import append
from hiveguard_pipeline.store.contested import note_worked
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import (
    Dataset,
    RecordedPolicy,
    current_policy,
    lock_dataset,
    now_text,
    progress_of,
)
from hiveguard_pipeline.store.horizon import WAIT_SECONDS, safe_horizon
from hiveguard_pipeline.store.work import Part, drop_work, fold_work, gather_work

ReportProgress = Callable[[int, int], None]
"""Called with the items done and the items to do."""


@dataclass(slots=True)
class Applied:
    """What one run did to a dataset."""

    horizon: int = 0
    policy_id: int = 0
    items_read: int = 0
    votes_read: int = 0
    votes_applied: int = 0
    first_passes: int = 0
    batches: int = 0
    ledger_position: int = 0
    states: Counter[str] = field(default_factory=Counter)
    """Items by the state that this run brought them to."""


def apply_votes(
    database: Database,
    dataset_name: str,
    *,
    run_id: str,
    everything: bool = False,
    wait_seconds: float = WAIT_SECONDS,
    report: ReportProgress | None = None,
) -> Applied:
    """Apply to a dataset all votes that its rules take now, in one transaction.

    `everything` looks at the whole pool instead of at what came since the last run. Two calls on one
    dataset take turns; a killed one leaves nothing behind.
    """
    with database.write() as connection:
        dataset = lock_dataset(connection, dataset_name)
        progress = progress_of(connection, dataset)
        recorded = current_policy(connection, dataset)
        horizon = safe_horizon(connection, progress.folded_through, wait_seconds)
        everything = (
            everything
            or progress.policy_id != recorded.policy_id
            or progress.schema_version != dataset.schema_version
        )
        since = None if everything else progress.folded_through
        count = gather_work(connection, dataset, since, horizon)
        done = Applied(horizon=horizon, policy_id=recorded.policy_id, items_read=count)
        for part in fold_work(connection, dataset, count, recorded):
            write_part(connection, dataset, recorded, part, run_id, done)
            if report:
                report(min(part.first + len(part.folded.applied), count), count)
        note_worked(connection, dataset.dataset_id, recorded.policy)
        connection.execute(t.recheck_items.delete().where(t.recheck_items.c.dataset_id == dataset.dataset_id))
        done.ledger_position = record_progress(
            connection, dataset, progress.ledger_position, horizon, recorded
        )
        drop_work(connection)
    return done


def write_part(
    connection: sa.Connection,
    dataset: Dataset,
    recorded: RecordedPolicy,
    part: Part,
    run_id: str,
    done: Applied,
) -> None:
    """Write ledger rows, labels and watermarks of folded items, and add to what was done."""
    ledger, after, work = part.folded.ledger, part.folded.items, part.work
    done.votes_read += len(part.vote_ids)
    if not len(ledger):
        return
    moment = now_text()
    rows = len(ledger)
    last_votes = part.vote_ids[ledger.last]
    none_taken = ledger.first > ledger.last
    first_votes = part.vote_ids[np.minimum(ledger.first, len(part.vote_ids) - 1)]
    before = ledger.confidence_before
    append(
        connection,
        "batches",
        {
            "item_id": work["item_id"].take(from_numbers(ledger.item)),
            "policy_id": np.full(rows, recorded.policy_id),
            "generation": work["generation"][ledger.item],
            "kind": _words(KINDS, ledger.kind),
            "first_vote_id": from_numbers(first_votes, null=none_taken),
            "last_vote_id": from_numbers(last_votes, null=none_taken),
            "agree": ledger.agree,
            "disagree": ledger.disagree,
            "label": part.answers.take(from_numbers(ledger.label)),
            "confidence_before": from_numbers(before, null=before == NO_CONFIDENCE),
            "confidence_after": ledger.confidence_after,
            "state_after": _words(STATES, ledger.state_after),
            "run_id": repeated(run_id, rows),
            "applied_at": repeated(moment, rows),
            **_by_probability(part),
        },
    )
    # The last ledger row of an item says where it stands now.
    final = np.flatnonzero(np.append(ledger.item[1:] != ledger.item[:-1], True))
    item = ledger.item[final]
    opened = np.zeros(len(part.folded.applied), dtype=np.int64)
    opens = ledger.opens
    opened[ledger.item[opens]] = last_votes[opens]
    epochs = work["revalidation_epochs"][item] + (after.state[item] == State.GRADUATED)
    upsert_labels(
        connection,
        dataset,
        {
            "item_id": work["item_id"].take(from_numbers(item)),
            "label": part.answers.take(from_numbers(after.label[item])),
            "confidence": after.confidence[item],
            "state": _words(STATES, after.state[item]),
            "vote_count": after.vote_count[item],
            "revalidation_vote_count": after.revalidation_vote_count[item],
            "revalidation_epochs": epochs,
            "policy_id": np.full(len(item), recorded.policy_id),
            "generation": work["generation"][item],
            "applied_through": last_votes[final],
            "completed_by": opened[item],
            "updated_at": repeated(moment, len(item)),
            **({"probability": ledger.probability[final]} if isinstance(ledger, AdaptiveLedger) else {}),
        },
        are_new=bool(work["is_new"][item].all()),
    )
    done.votes_applied += int(part.folded.applied.sum())
    done.first_passes += int(opens.sum())
    done.batches += int(rows - opens.sum())
    done.states.update(
        dict(zip(STATES, np.bincount(after.state[item], minlength=len(STATES)).tolist(), strict=True))
    )


def _by_probability(part: Part) -> dict[str, Any]:
    """The columns that only rows have which a probability decided."""
    ledger = part.folded.ledger
    if not isinstance(ledger, AdaptiveLedger):
        return {}
    return {
        "probability": ledger.probability,
        "calibration_id": np.full(len(ledger), part.calibration_id),
    }


def upsert_labels(
    connection: sa.Connection, dataset: Dataset, columns: dict[str, Any], *, are_new: bool = False
) -> None:
    """Write labels. completed_by is the vote that completed the first pass just now, 0 where none did.

    are_new: none of the items has a row, which saves the database from asking for each.
    """
    sqlite = connection.dialect.name == "sqlite"
    uuid_type = "TEXT" if sqlite else "uuid"
    connection.execute(sa.text("DROP TABLE IF EXISTS folded"))
    connection.execute(
        sa.text(
            f"CREATE TEMPORARY TABLE folded (item_id {uuid_type}, label text, confidence int, state text,"
            " vote_count int, revalidation_vote_count int, revalidation_epochs int, policy_id bigint,"
            " generation int, applied_through bigint, completed_by bigint, probability int, updated_at "
            + ("text)" if sqlite else "timestamptz)")
        )
    )
    append(connection, "folded", columns)
    names = [name for name in columns if name not in ("item_id", "completed_by")]
    created = t.full_time(connection, "v.created_at")
    updates = [
        "needs_review = excluded.needs_review",
        "created_at = coalesce(excluded.created_at, labels.created_at)",
        *(f"{name} = excluded.{name}" for name in names),
    ]
    connection.execute(
        sa.text(
            f"INSERT INTO labels (item_id, dataset_id, needs_review, created_at, {', '.join(names)})"
            f" SELECT f.item_id, :dataset, f.state = '{STATES[State.NEEDS_REVIEW]}', {created},"
            f" {', '.join('f.' + name for name in names)}"
            " FROM folded f LEFT JOIN votes v ON v.vote_id = f.completed_by WHERE true"
            + ("" if are_new else f" ON CONFLICT (item_id) DO UPDATE SET {', '.join(updates)}")
        ).bindparams(sa.bindparam("dataset", dataset.dataset_id, type_=t.Uuid))
    )
    connection.execute(sa.text("DROP TABLE folded"))


def record_progress(
    connection: sa.Connection,
    dataset: Dataset,
    position_before: int,
    horizon: int,
    recorded: RecordedPolicy,
) -> int:
    """Note how far this run has read; returns the dataset's newest ledger row."""
    return _note(
        connection,
        dataset,
        position_before,
        folded_through=horizon,
        policy_id=recorded.policy_id,
        schema_version=dataset.schema_version,
    )


def record_position(connection: sa.Connection, dataset: Dataset, position_before: int) -> int:
    """Note the dataset's newest ledger row, and that alone; returns it."""
    return _note(connection, dataset, position_before)


def _note(connection: sa.Connection, dataset: Dataset, position_before: int, **progress: int) -> int:
    newest = connection.execute(
        sa.text(
            "SELECT b.batch_id FROM batches b WHERE b.batch_id > :before AND EXISTS"
            " (SELECT 1 FROM items i WHERE i.item_id = b.item_id AND i.dataset_id = :dataset)"
            " ORDER BY b.batch_id DESC LIMIT 1"
        ),
        {"before": position_before, "dataset": dataset.dataset_id},
    ).scalar()
    position = int(newest) if newest is not None else position_before
    connection.execute(
        t.dataset_progress.update()
        .where(t.dataset_progress.c.dataset_id == dataset.dataset_id)
        .values(ledger_position=position, updated_at=now_text(), **progress)
    )
    return position


def _words(words: tuple[str, ...], codes: Any) -> Any:
    return from_texts(words).take(from_numbers(codes))
