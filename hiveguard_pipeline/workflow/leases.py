"""Leases: an item in a person's hands for a while, until it is answered, given back, or time runs out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import (
    Dataset,
    get_dataset,
    list_datasets,
    lock_dataset,
    now_text,
)
from hiveguard_pipeline.workflow.documented import LIFE_CYCLE
from hiveguard_pipeline.workflow.people import check_solver
from hiveguard_pipeline.workflow.recorded import current_workflow
from hiveguard_pipeline.workflow.routing import Chosen, choose, hold_leases

LEASE_MINUTES = 30.0
LONGEST_LEASE_MINUTES = 7 * 24 * 60
MOST_OPEN = 50
"""Open leases of one person."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a person is shown, and nothing that others have said of it.

    classes: None where any answer is taken. may_discard: whether the answer may be that the item cannot be
    labelled. expires_at: when the task goes to somebody else.
    """

    lease_id: int
    dataset: str
    stage: str
    item_id: str
    external_id: str
    data_ref: str
    modality: str
    task_type: str
    classes: tuple[str, ...] | None
    may_discard: bool
    leased_at: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class Lease:
    """A task in somebody's hands, or that was. ending: answered, returned, expired; None while it is open."""

    lease_id: int
    dataset: str
    stage: str
    item_id: str
    external_id: str
    solver_id: str
    leased_at: str
    expires_at: str
    ended_at: str | None
    ending: str | None


def lease_next(
    database: Database,
    *,
    solver: str,
    n: int = 1,
    dataset_name: str | None = None,
    lease_minutes: float = LEASE_MINUTES,
    most_open: int = MOST_OPEN,
) -> list[Task]:
    """Up to n tasks for a person, in the order of the work; fewer, or none, where there are no more.

    dataset_name: None takes from every dataset, by name. most_open: leases that one person may hold at once.
    Raises BadInputError for a name or number that cannot be.
    """
    check_solver(solver)
    if n < 1 or most_open < 1 or not 0 < lease_minutes <= LONGEST_LEASE_MINUTES:
        raise BadInputError(
            "tasks are leased one at least, for more than 0 and up to"
            f" {LONGEST_LEASE_MINUTES:,} minutes, and one open at least"
        )
    with database.read() as connection:
        chosen = [get_dataset(connection, dataset_name)] if dataset_name else list_datasets(connection)
    tasks: list[Task] = []
    for dataset in chosen:
        with database.write() as connection:
            hold_leases(connection, dataset)
            room = min(n - len(tasks), most_open - _open_of(connection, solver))
            if room > 0:
                now = get_dataset(connection, dataset.name)
                found = choose(connection, now, solver, room)
                tasks += [_lease(connection, now, solver, entry, lease_minutes) for entry in found]
        if len(tasks) >= n:
            break
    return tasks


def _open_of(connection: sa.Connection, solver: str) -> int:
    return int(
        connection.execute(
            sa.select(sa.func.count())
            .select_from(t.leases)
            .where(
                t.leases.c.solver_id == solver,
                t.leases.c.ended_at.is_(None),
                t.leases.c.expires_at > now_text(),
            )
        ).scalar_one()
    )


def _lease(connection: sa.Connection, dataset: Dataset, solver: str, chosen: Chosen, minutes: float) -> Task:
    moment = now_text()
    key = connection.execute(
        t.leases.insert().values(
            item_id=chosen.item_id,
            dataset_id=dataset.dataset_id,
            stage=chosen.stage,
            solver_id=solver,
            shown=chosen.shown,
            leased_at=moment,
            expires_at=t.time_text(datetime.fromisoformat(moment) + timedelta(minutes=minutes)),
        )
    ).inserted_primary_key
    assert key is not None
    (task,) = _tasks(connection, dataset, t.leases.c.lease_id == int(key[0]))
    return task


def open_tasks(connection: sa.Connection, dataset: Dataset, solver: str) -> list[Task]:
    """What a person has in hand of a dataset, oldest first."""
    return _tasks(
        connection,
        dataset,
        (t.leases.c.dataset_id == dataset.dataset_id)
        & (t.leases.c.solver_id == solver)
        & t.leases.c.ended_at.is_(None)
        & (t.leases.c.expires_at > now_text()),
    )


def _tasks(connection: sa.Connection, dataset: Dataset, which: sa.ColumnElement[bool]) -> list[Task]:
    recorded = current_workflow(connection, dataset)
    by_name = (LIFE_CYCLE if recorded is None else recorded.stages).by_name
    rows = connection.execute(
        sa.select(t.leases, t.items.c.external_id, t.items.c.data_ref, t.items.c.modality)
        .join(t.items, t.items.c.item_id == t.leases.c.item_id)
        .where(which)
        .order_by(t.leases.c.lease_id)
    )
    return [
        Task(
            lease_id=row.lease_id,
            dataset=dataset.name,
            stage=row.stage,
            item_id=str(row.item_id),
            external_id=row.external_id,
            data_ref=row.data_ref,
            modality=row.modality,
            task_type=dataset.task_type,
            classes=dataset.classes,
            may_discard=row.stage in by_name and by_name[row.stage].has_people,
            leased_at=row.leased_at,
            expires_at=row.expires_at,
        )
        for row in rows
    ]


def release(database: Database, lease_id: int, *, solver: str | None = None) -> None:
    """Give a task back unanswered: it goes to somebody else, and not to the same person again."""
    with database.write() as connection:
        end_lease(connection, lease_id, solver, "returned")


def list_leases(
    connection: sa.Connection, dataset: Dataset, *, solver: str | None = None, ended: bool = False
) -> list[Lease]:
    """The leases of a dataset that are open, oldest first; ended: all there were."""
    query = (
        sa.select(t.leases, t.items.c.external_id)
        .join(t.items, t.items.c.item_id == t.leases.c.item_id)
        .where(t.leases.c.dataset_id == dataset.dataset_id)
        .order_by(t.leases.c.lease_id)
    )
    moment = now_text()
    if solver is not None:
        query = query.where(t.leases.c.solver_id == solver)
    if not ended:
        query = query.where(t.leases.c.ended_at.is_(None), t.leases.c.expires_at > moment)
    return [
        Lease(
            lease_id=row.lease_id,
            dataset=dataset.name,
            stage=row.stage,
            item_id=str(row.item_id),
            external_id=row.external_id,
            solver_id=row.solver_id,
            leased_at=row.leased_at,
            expires_at=row.expires_at,
            ended_at=row.ended_at,
            ending=row.ending or ("expired" if row.expires_at <= moment else None),
        )
        for row in connection.execute(query)
    ]


def end_lease(
    connection: sa.Connection, lease_id: int, solver: str | None, ending: str
) -> tuple[Dataset, Any]:
    """End an open lease, and hold its dataset; of two who try at once the second is refused."""
    found = connection.execute(
        sa.select(t.leases, t.datasets.c.name)
        .join(t.datasets, t.datasets.c.dataset_id == t.leases.c.dataset_id)
        .where(t.leases.c.lease_id == lease_id)
    ).first()
    if found is None or (solver is not None and found.solver_id != solver):
        raise BadInputError(f"there is no lease {lease_id}" + (f" of {solver}" if solver else ""))
    dataset = lock_dataset(connection, found.name)
    moment = now_text()
    changed = connection.execute(
        t.leases.update()
        .where(t.leases.c.lease_id == lease_id, t.leases.c.ended_at.is_(None), t.leases.c.expires_at > moment)
        .values(ended_at=moment, ending=ending)
    ).rowcount
    if not changed:
        now = connection.execute(sa.select(t.leases).where(t.leases.c.lease_id == lease_id)).one()
        raise BadInputError(f"lease {lease_id} is over ({now.ending or 'expired'}): take another task")
    return dataset, found
