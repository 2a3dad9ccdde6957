"""The labelling queue: which unlabeled items to ask next, kept until the next choice.

A choice is made once for a model: one that is made again with the model of the last choice, while labels have
come since, says so, and so does a listing of a choice whose model is no longer the newest.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.learning.candidates import Candidates
from hiveguard_pipeline.learning.items import UNLABELED, items_in
from hiveguard_pipeline.learning.recorded import RecordedModel, accepted_model, why_stale
from hiveguard_pipeline.learning.selection import Selection
from hiveguard_pipeline.learning.selection.cautions import stale_model
from hiveguard_pipeline.learning.served import NotServedError
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import append
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, lock_dataset, now_text


@dataclass(frozen=True, slots=True)
class Queued:
    """An item of the queue, rank 1 first. score: in the unit of the strategy, higher = ask first."""

    rank: int
    item_id: str
    external_id: str
    data_ref: str
    score: float
    votes: int


@dataclass(frozen=True, slots=True)
class Queue:
    """The newest choice of a dataset. uncertainty_mean: None where nothing says how sure a model is.

    labelled: items with a label when it was made. stale: why it is no longer what would be chosen now; empty
    while it is. Items that got a label since are not among the rows.
    """

    selection_id: int
    strategy: str
    wanted: int
    pool_size: int
    labelled: int
    model_id: int | None
    seed: int
    uncertainty_mean: float | None
    notes: tuple[str, ...]
    created_at: str
    stale: str
    rows: list[Queued]


def write_queue(
    database: Database,
    dataset: Dataset,
    found: Candidates,
    picks: Selection,
    strategy: str,
    wanted: int,
    labelled: int,
    model: RecordedModel | None,
    seed: int,
    notes: tuple[str, ...],
    run_id: str | None,
) -> Queue:
    """Make picks the queue; those that got a label meanwhile are left out."""
    chosen = found.item_ids.take(pa.array(picks.positions))
    mean = picks.uncertainty_mean
    with database.write() as connection:
        now = lock_dataset(connection, dataset.name)
        if model is not None and (stale := why_stale(model, now)) is not None:
            raise NotServedError(f"{stale}: choose again")
        if model is not None and (again := _chosen_before(connection, now, model, labelled)) is not None:
            notes = (*notes, again)
        connection.execute(
            sa.text("DELETE FROM labeling_queue WHERE dataset_id = :dataset"), {"dataset": now.dataset_id}
        )
        selection_id = connection.execute(
            t.selections.insert()
            .values(
                dataset_id=now.dataset_id,
                strategy=strategy,
                wanted=wanted,
                pool_size=len(found),
                labelled=labelled,
                model_id=model and model.model_id,
                seed=seed,
                uncertainty_mean=None if mean is None else round(mean * ONE),
                notes=list(notes),
                run_id=run_id,
                created_at=now_text(),
            )
            .returning(t.selections.c.selection_id)
        ).scalar_one()
        still = pc.is_in(chosen, value_set=items_in(connection, now, UNLABELED))
        kept = np.asarray(still.to_numpy(zero_copy_only=False))
        count = int(kept.sum())
        append(
            connection,
            "labeling_queue",
            {
                "item_id": chosen.filter(still),
                "dataset_id": pa.repeat(pa.scalar(now.dataset_id), count),
                "selection_id": np.full(count, selection_id, dtype=np.int64),
                "rank": np.arange(1, count + 1, dtype=np.int64),
                "score": picks.scores[kept],
            },
        )
        made = queue_of(connection, now)
    assert made is not None
    return made


def _chosen_before(
    connection: sa.Connection, dataset: Dataset, model: RecordedModel, labelled: int
) -> str | None:
    """What to say of choosing again by one model: it knows nothing of the labels that came since."""
    before = connection.execute(
        sa.select(sa.func.min(t.selections.c.labelled)).where(
            t.selections.c.dataset_id == dataset.dataset_id, t.selections.c.model_id == model.model_id
        )
    ).scalar()
    if before is None or labelled <= before:
        return None
    return stale_model(str(model.model_id), str(model.model_id), labelled - before)


def queue_of(connection: sa.Connection, dataset: Dataset) -> Queue | None:
    """The queue as it stands, without items that got a label since; None before the first choice."""
    made = connection.execute(
        sa.select(t.selections)
        .where(t.selections.c.dataset_id == dataset.dataset_id)
        .order_by(t.selections.c.selection_id.desc())
        .limit(1)
    ).one_or_none()
    if made is None:
        return None
    rows = connection.execute(
        sa.text(
            "SELECT q.rank, q.item_id, s.external_id, s.data_ref, q.score,"
            " (SELECT count(*) FROM votes v WHERE v.item_id = q.item_id) AS votes"
            " FROM labeling_queue q JOIN item_status s ON s.item_id = q.item_id"
            " WHERE q.dataset_id = :dataset AND s.state = 'unlabeled' ORDER BY q.rank"
        ),
        {"dataset": dataset.dataset_id},
    )
    return Queue(
        made.selection_id,
        made.strategy,
        made.wanted,
        made.pool_size,
        made.labelled,
        made.model_id,
        made.seed,
        None if made.uncertainty_mean is None else made.uncertainty_mean / ONE,
        tuple(made.notes),
        made.created_at,
        _stale(connection, dataset, made),
        [Queued(r.rank, str(r.item_id), r.external_id, r.data_ref, r.score, r.votes) for r in rows],
    )


def _stale(connection: sa.Connection, dataset: Dataset, made: Any) -> str:
    if made.model_id is None:
        return ""
    newest = accepted_model(connection, dataset)
    if newest is not None and (why := why_stale(newest, dataset)) is not None:
        return why
    labels = int(
        connection.execute(
            sa.text(
                "SELECT count(*) FROM labels l JOIN items i ON i.item_id = l.item_id"
                " WHERE l.dataset_id = :dataset AND l.state IN ('graduated', 'in_revalidation')"
                " AND i.gold_label IS NULL"
            ),
            {"dataset": dataset.dataset_id},
        ).scalar_one()
    )
    now = str(newest.model_id) if newest is not None else "none"
    if now == str(made.model_id) and labels <= made.labelled:
        return ""
    return stale_model(str(made.model_id), now, labels - made.labelled)
