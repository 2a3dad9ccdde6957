"""Tasks: items that annotators, experts and reviewers are asked about, leased for a while."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Path, Response
from pydantic import Field

from hiveguard_pipeline.errors import NotFoundError
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.web.access import Caller, Named, Store, require
from hiveguard_pipeline.web.api.texts import Name, Strict, Text
from hiveguard_pipeline.workflow import answer, lease_next, release

router = APIRouter(tags=["tasks"])

Lease = Annotated[int, Path(ge=1, lt=2**63, description="The lease of a task.")]
LONGEST_LEASE_MINUTES = 24 * 60


class Leasing(Strict):
    """Who wants tasks, and how many. solver: where a key is used; who is signed in asks for themselves."""

    solver: Name | None = None
    n: int = Field(default=1, ge=1, le=50)
    lease_minutes: int = Field(default=30, ge=1, le=LONGEST_LEASE_MINUTES)


class TaskShown(Strict):
    """A task, and nothing that others have said of its item. classes: null where any answer is taken.

    may_discard: whether an answer of null is taken.
    """

    lease_id: int
    dataset: str
    stage: str
    item_id: str
    external_id: str
    data_ref: str
    modality: str
    task_type: str
    classes: list[str] | None
    may_discard: bool
    leased_at: str
    expires_at: str


class Answering(Strict):
    """An answer to a task. answer: null to have the item discarded, where the stage allows it."""

    solver: Name | None = None
    answer: Text | None
    reason: Annotated[Text, Field(max_length=10_000)] = ""
    duration_ms: int | None = Field(default=None, ge=0, lt=10**15)


class Returning(Strict):
    """Who gives a task back."""

    solver: Name | None = None


class AnsweredTask(Strict):
    """What an answer did. outcome: of the stage, null while it waits for more answers."""

    lease_id: int
    dataset: str
    item_id: str
    external_id: str
    stage: str
    wrote: str
    outcome: str | None
    state: str


@router.post("/datasets/{name}/tasks", status_code=201)
def lease_tasks(
    caller: Annotated[Caller, require("review")], dataset: Named, database: Store, given: Leasing
) -> list[TaskShown]:
    """Lease the next tasks of a person, in the order of the work; none where there is nothing to do."""
    leased = lease_next(
        database,
        solver=caller.acting_as(given.solver, "solver"),
        n=given.n,
        dataset_name=dataset.name,
        lease_minutes=given.lease_minutes,
    )
    return [
        TaskShown(
            **{name: getattr(task, name) for name in TaskShown.model_fields if name != "classes"},
            classes=None if task.classes is None else list(task.classes),
        )
        for task in leased
    ]


@router.post("/datasets/{name}/tasks/{lease_id}/answer")
def answer_task(
    caller: Annotated[Caller, require("review")],
    dataset: Named,
    database: Store,
    lease_id: Lease,
    given: Answering,
) -> AnsweredTask:
    """Answer a task."""
    _of_dataset(database, dataset.dataset_id, lease_id)
    done = answer(
        database,
        lease_id,
        answer=given.answer,
        reason=given.reason,
        solver=caller.acting_as(given.solver, "solver"),
        duration_ms=given.duration_ms,
    )
    return AnsweredTask(**{name: getattr(done, name) for name in AnsweredTask.model_fields})


@router.post("/datasets/{name}/tasks/{lease_id}/return", status_code=204)
def return_task(
    caller: Annotated[Caller, require("review")],
    dataset: Named,
    database: Store,
    lease_id: Lease,
    given: Returning,
) -> Response:
    """Give a task back unanswered: it goes to somebody else."""
    _of_dataset(database, dataset.dataset_id, lease_id)
    release(database, lease_id, solver=caller.acting_as(given.solver, "solver"))
    return Response(status_code=204)


def _of_dataset(database: Database, dataset_id: str, lease_id: int) -> None:
    """Raise NotFoundError for a lease that is not of the dataset: the caller may have no other."""
    with database.look() as connection:
        found = connection.execute(
            sa.select(t.leases.c.lease_id).where(
                t.leases.c.lease_id == lease_id, t.leases.c.dataset_id == dataset_id
            )
        ).first()
    if found is None:
        raise NotFoundError(f"there is no task {lease_id} in this dataset")
