"""Answers to tasks: a vote where the crowd is asked, else an answer of a stage, which may decide it."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.intake.checks import LONGEST_ANSWER
from hiveguard_pipeline.review import checked_label, decide_on
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, now_text
from hiveguard_pipeline.store.events import Act, record_event
from hiveguard_pipeline.store.status import ItemStatus, find_item
from hiveguard_pipeline.workflow.advance import finish_stage
from hiveguard_pipeline.workflow.documented import LIFE_CYCLE
from hiveguard_pipeline.workflow.leases import end_lease
from hiveguard_pipeline.workflow.recorded import RecordedWorkflow, current_workflow

LONGEST_REASON = 2_000


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
        dataset, lease = end_lease(connection, lease_id, solver, "answered")
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
