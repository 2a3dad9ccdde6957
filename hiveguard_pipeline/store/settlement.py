"""Items that are to go to a person, decided once more from all their votes under the newest calibration.

Only where probability decides, and only what a probability sent to review: what a person has decided is
theirs. What that settles is a row of kind settled in the ledger, and leaves the queue.
"""

from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.rules.adaptive import settle
from hiveguard_pipeline.rules.states import KINDS, Kind, State
from hiveguard_pipeline.store.adaptive_work import current_fit, fold_by_probability, left_to_people
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import (
    Dataset,
    RecordedPolicy,
    current_policy,
    lock_dataset,
    progress_of,
)
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.horizon import WAIT_SECONDS, safe_horizon
from hiveguard_pipeline.store.ledger import Applied, record_position, write_part
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.work import WORK_COLUMNS, Part, drop_work, fill_work

_SENT = (
    f"EXISTS (SELECT 1 FROM batches b WHERE b.item_id = i.item_id AND b.kind = '{KINDS[Kind.ADAPTIVE]}'"
    " AND b.batch_id = (SELECT max(m.batch_id) FROM batches m WHERE m.item_id = i.item_id))"
)
"""SQL: a probability sent item i where it is."""


def settle_reviews(
    database: Database, dataset_name: str, *, run_id: str, wait_seconds: float = WAIT_SECONDS
) -> Applied:
    """Graduate what all votes settle now, in one transaction; does nothing under the documented rule."""
    with database.write() as connection:
        dataset = lock_dataset(connection, dataset_name)
        recorded = current_policy(connection, dataset)
        progress = progress_of(connection, dataset)
        done = Applied(policy_id=recorded.policy_id, ledger_position=progress.ledger_position)
        if not recorded.policy.is_adaptive:
            return done
        horizon = safe_horizon(connection, progress.folded_through, wait_seconds)
        done.items_read = settle_chosen(
            connection,
            dataset,
            recorded,
            ":horizon",
            "labels l JOIN items i ON i.item_id = l.item_id WHERE i.dataset_id = :dataset"
            f" AND i.gold_label IS NULL AND {_SENT}",
            {"dataset": dataset.dataset_id, "horizon": horizon},
            run_id,
            done,
        )
        done.ledger_position = record_position(connection, dataset, progress.ledger_position)
    return done


def settle_chosen(
    connection: sa.Connection,
    dataset: Dataset,
    recorded: RecordedPolicy,
    through: str,
    chosen: str,
    parameters: dict[str, Any],
    run_id: str,
    done: Applied,
) -> int:
    """Settle what can be among items in review, in the caller's transaction; returns how many it looked at.

    chosen: SQL from FROM to WHERE of items i with labels l. through: SQL for the newest vote to look at.
    """
    calibration_id, fit = current_fit(connection, dataset)
    count = fill_work(connection, through, chosen, parameters, (State.NEEDS_REVIEW,))
    if count:
        only = counted(connection, dataset)
        window: dict[str, object] = {"first": 0, "end": count}
        work = read_columns(
            connection,
            f"SELECT {', '.join(WORK_COLUMNS)} FROM work WHERE n >= :first AND n < :end ORDER BY n",
            window,
            WORK_COLUMNS,
        )
        undecided = ~left_to_people(connection, window, count)
        named = window | ({"dataset": dataset.dataset_id} if only else {})
        mine, vote_ids, folded = fold_by_probability(
            connection, named, work, undecided, only, class_map_of(connection, dataset), fit, recorded, settle
        )
        answers = pa.array(fit.classes, type=pa.string())
        part = Part(0, mine, vote_ids, answers, folded, calibration_id)
        write_part(connection, dataset, recorded, part, run_id, done)
    drop_work(connection)
    return count
