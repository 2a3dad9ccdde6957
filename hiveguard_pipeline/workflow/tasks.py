"""Tasks: an item that a person is asked about, leased for a while, answered or given back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.intake.checks import LONGEST_ANSWER
from hiveguard_pipeline.review import checked_label, decide_on
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import (
    Dataset,
    get_dataset,
    list_datasets,
    lock_dataset,
    now_text,
)
from hiveguard_pipeline.store.events import Act, record_event
from hiveguard_pipeline.store.status import ItemStatus, find_item
from hiveguard_pipeline.workflow.advance import finish_stage
from hiveguard_pipeline.workflow.documented import LIFE_CYCLE
from hiveguard_pipeline.workflow.people import check_solver
from hiveguard_pipeline.workflow.recorded import RecordedWorkflow, current_workflow
from hiveguard_pipeline.workflow.routing import Chosen, choose, hold_leases

LEASE_MINUTES = 30.0
LONGEST_LEASE_MINUTES = 7 * 24 * 60
MOST_OPEN = 50
"""Open leases of one person."""

LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True)
class Task:
    """What a person is shown, and nothing that others have said of it.

    classes: None where any answer is taken. expires_at: when the task goes to somebody else.
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
    leased_at: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer did. wrote: vote or stage_answer. outcome: of the stage, None while it waits for more.

    state: of the item now.
    """

    lease_id: int
    dataset: str
    item_id: str
    external_id: str
    stage: str
    wrote: str
    outcome: str | None
    state: str


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
    expires_at = t.time_text(datetime.fromisoformat(moment) + timedelta(minutes=minutes))
    key = connection.execute(
        t.leases.insert().values(
            item_id=chosen.item_id,
            dataset_id=dataset.dataset_id,
            stage=chosen.stage,
            solver_id=solver,
            shown=chosen.shown,
            leased_at=moment,
            expires_at=expires_at,
        )
    ).inserted_primary_key
    assert key is not None
    item = connection.execute(sa.select(t.items).where(t.items.c.item_id == chosen.item_id)).one()
    return Task(
        lease_id=int(key[0]),
        dataset=dataset.name,
        stage=chosen.stage,
        item_id=str(item.item_id),
        external_id=item.external_id,
        data_ref=item.data_ref,
        modality=item.modality,
        task_type=dataset.task_type,
        classes=dataset.classes,
        leased_at=moment,
        expires_at=expires_at,
    )


def answer(
    database: Database,
    lease_id: int,
    *,
    answer: str | None,
    reason: str = "",
    solver: str | None = None,
    duration_ms: int | None = None,
) -> Answered:
    """Answer a task. answer None: the item is to be discarded (people's stages only).

    solver: if given, the lease must be theirs. Raises BadInputError where the lease is unknown, somebody
    else's, ended or run out, where the item has left the stage, or where the answer cannot be taken.
    """
    if len(reason) > LONGEST_REASON or "\0" in reason:
        raise BadInputError(f"a reason has at most {LONGEST_REASON:,} characters, none of them NUL")
    with database.write() as connection:
        dataset, lease = _ended(connection, lease_id, solver, "answered")
        found = find_item(connection, str(lease.item_id))
        recorded = current_workflow(connection, dataset)
        stages = LIFE_CYCLE if recorded is None else recorded.stages
        stage = stages.by_name.get(lease.stage)
        outcome = None
        if stage is None or not (stage.is_crowd or stage.has_people):
            raise _gone(lease_id, found)
        if stage.is_crowd:
            _vote(connection, dataset, found, lease, answer, duration_ms)
        else:
            given = None if answer is None else checked_label(connection, dataset, found.item_id, answer)
            outcome = _answer_stage(connection, dataset, recorded, found, lease, given, reason)
        now = find_item(connection, found.item_id)
    return Answered(
        lease_id=lease_id,
        dataset=dataset.name,
        item_id=found.item_id,
        external_id=found.external_id,
        stage=stage.name,
        wrote="vote" if stage.is_crowd else "stage_answer",
        outcome=outcome,
        state=now.state,
    )


def release(database: Database, lease_id: int, *, solver: str | None = None) -> None:
    """Give a task back unanswered: it goes to somebody else, and not to the same person again."""
    with database.write() as connection:
        _ended(connection, lease_id, solver, "returned")


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


def _ended(connection: sa.Connection, lease_id: int, solver: str | None, ending: str) -> tuple[Dataset, Any]:
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


def _gone(lease_id: int, found: ItemStatus) -> BadInputError:
    return BadInputError(
        f"item {found.external_id} of lease {lease_id} has moved on since it was leased: take another task"
    )


def _vote(
    connection: sa.Connection,
    dataset: Dataset,
    found: ItemStatus,
    lease: Any,
    answer: str | None,
    duration_ms: int | None,
) -> None:
    """A vote, as an import would take it; an item that left the pool meanwhile takes it too, unprocessed."""
    if answer is None:
        raise BadInputError("the crowd answers; only reviewers discard")
    if not answer.strip() or len(answer) > LONGEST_ANSWER or "\0" in answer:
        raise BadInputError(
            f"an answer has 1 to {LONGEST_ANSWER:,} characters, not all blank, none of them NUL"
        )
    if duration_ms is not None and not 0 <= duration_ms < 10**15:
        raise BadInputError(f"a duration is a whole number of milliseconds, not {duration_ms}")
    given = checked_label(connection, dataset, found.item_id, answer)
    there = connection.execute(
        sa.select(t.votes.c.vote_id).where(
            t.votes.c.item_id == found.item_id, t.votes.c.solver_id == lease.solver_id
        )
    ).first()
    if there is not None:
        raise BadInputError(f"{lease.solver_id} has voted on item {found.external_id} already")
    connection.execute(
        t.votes.insert().values(
            item_id=found.item_id, solver_id=lease.solver_id, answer=given, duration_ms=duration_ms
        )
    )


def _answer_stage(
    connection: sa.Connection,
    dataset: Dataset,
    recorded: RecordedWorkflow | None,
    found: ItemStatus,
    lease: Any,
    given: str | None,
    reason: str,
) -> str | None:
    """Note an answer; returns the outcome of the stage if it was the last one wanted."""
    shown = _shown(connection, recorded, found, lease)
    if shown is None or shown != lease.shown:
        raise _gone(lease.lease_id, found)
    key = connection.execute(
        t.stage_answers.insert().values(
            item_id=found.item_id,
            dataset_id=dataset.dataset_id,
            workflow_id=None if recorded is None else recorded.workflow_id,
            stage=lease.stage,
            entered_at=shown or now_text(),
            solver_id=lease.solver_id,
            answer=given,
            reason=reason,
            lease_id=lease.lease_id,
            created_at=now_text(),
        )
    ).inserted_primary_key
    assert key is not None
    record_event(
        connection,
        dataset.dataset_id,
        Act(
            lease.solver_id,
            "stage.answer",
            f"item {found.item_id}",
            reason,
            after={"answer_id": int(key[0]), "stage": lease.stage, "answer": given},
        ),
    )
    if recorded is not None:
        ways = finish_stage(connection, dataset, found.item_id, None)
        return next((outcome for (stage, outcome, _), _ in ways.items() if stage == lease.stage), None)
    decision = "discard" if given is None else "confirm" if given == found.label else "relabel"
    decide_on(
        connection,
        dataset,
        found,
        decision,
        reviewer=lease.solver_id,
        reason=reason or "a task",
        label=given,
    )
    return "pass"


def _shown(
    connection: sa.Connection, recorded: RecordedWorkflow | None, found: ItemStatus, lease: Any
) -> str | None:
    """Since when an item stands in the stage of its lease; None if it does not."""
    if recorded is None:
        since = connection.execute(
            sa.select(t.labels.c.updated_at).where(t.labels.c.item_id == found.item_id)
        ).scalar()
        return since or ""
    return connection.execute(
        sa.select(t.item_stages.c.entered_at).where(
            t.item_stages.c.item_id == found.item_id, t.item_stages.c.stage == lease.stage
        )
    ).scalar()
