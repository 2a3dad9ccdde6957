"""A change of a dataset's workflow: what is refused, what items that wait do, and the numbers it sets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.stage_checks import quorum_fault
from hiveguard_pipeline.rules.stages import KAPPA, Stages
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import (
    Dataset,
    current_policy,
    lock_dataset,
    now_text,
    set_policy_in,
)
from hiveguard_pipeline.store.events import Act, record_event
from hiveguard_pipeline.workflow.advance import advance_in, place_of
from hiveguard_pipeline.workflow.documented import policy_settings
from hiveguard_pipeline.workflow.moves import Move, carried, later, move
from hiveguard_pipeline.workflow.parse import StageError
from hiveguard_pipeline.workflow.people import add_people_in, group_sizes
from hiveguard_pipeline.workflow.recorded import current_workflow


@dataclass(frozen=True, slots=True)
class WorkflowChange:
    """What a change did, or would do (dry_run).

    workflow_id: None if nothing changed. settings: of the policy that are others now. open_items: those that
    wait in a stage, by from and to; where both are one they stay. unlisted: groups that a stage asks and that
    nobody is in yet.
    """

    dataset: str
    dry_run: bool
    workflow_id: int | None
    settings: dict[str, str]
    open_items: Counter[tuple[str, str]]
    unlisted: tuple[str, ...]


class _DryRunError(Exception):
    """Ends a transaction that is not to stay."""


def set_workflow(
    database: Database,
    dataset_name: str,
    stages: Stages,
    *,
    actor: str,
    reason: str,
    settings: Mapping[str, str] | None = None,
    people: Mapping[str, Sequence[str]] | None = None,
    key: str = "stages",
    dry_run: bool = False,
) -> WorkflowChange:
    """Give a dataset a workflow from now on. No finished item moves; what waits stays in a stage of its name.

    settings: of the policy, beside those that the stages say. people: to put into groups first. key: what the
    list of stages is called where it was written. Raises StageError for stages that this dataset cannot
    satisfy, with the key; BadInputError for settings that make no policy.
    """
    for name, text in (("actor", actor), ("reason", reason)):
        if not text.strip():
            raise BadInputError(f"{name} must not be empty: it stands in the history of workflows")
    made: list[WorkflowChange] = []
    try:
        with database.write() as connection:
            dataset = lock_dataset(connection, dataset_name)
            for group, names in (people or {}).items():
                add_people_in(connection, dataset, group, names, actor=actor)
            made.append(_set(connection, dataset, stages, actor, reason, settings or {}, key, dry_run))
            if dry_run:
                raise _DryRunError
    except _DryRunError:
        pass
    return made[0]


def _set(
    connection: sa.Connection,
    dataset: Dataset,
    stages: Stages,
    actor: str,
    reason: str,
    more: Mapping[str, str],
    key: str,
    dry_run: bool,
) -> WorkflowChange:
    fault = quorum_fault(stages, group_sizes(connection, dataset))
    if fault is not None:
        raise StageError(f"{key}.{fault.stage}.{fault.key}", fault.why)
    refuse_stages(stages, dataset.task_type, dataset.classes, key)
    groups = group_sizes(connection, dataset)
    unlisted = tuple(
        sorted({stage.who for stage in stages if stage.has_people and not groups.get(stage.who)})
    )
    recorded = current_workflow(connection, dataset)
    same = recorded is not None and recorded.stages == stages
    if same and not more:
        return WorkflowChange(dataset.name, dry_run, None, {}, Counter(), unlisted)
    before = current_policy(connection, dataset).policy.settings(whole=True)
    settings = {**policy_settings(stages), **more}
    after = set_policy_in(connection, dataset, settings, actor=actor, reason=reason).policy
    changed = {name: value for name, value in after.settings(whole=True).items() if value != before[name]}
    if same:
        return WorkflowChange(dataset.name, dry_run, None, changed, Counter(), unlisted)
    # What was due under the workflow before it is done under it.
    advance_in(connection, dataset, run_id=None)
    connection.execute(
        t.workflows.insert().values(
            dataset_id=dataset.dataset_id,
            stages=[stage.values() for stage in stages],
            actor=actor,
            reason=reason,
            created_at=now_text(),
        )
    )
    place = place_of(connection, dataset, None)
    assert place is not None
    record_event(
        connection,
        dataset.dataset_id,
        Act(
            actor,
            "workflow.set",
            f"dataset {dataset.name}",
            reason,
            before=None if recorded is None else _told(recorded.workflow_id, recorded.stages),
            after=_told(place.workflow_id, stages),
        ),
    )
    return WorkflowChange(
        dataset.name,
        dry_run,
        place.workflow_id,
        changed,
        _carry_over(connection, dataset, stages),
        unlisted,
    )


def _told(workflow_id: int, stages: Stages) -> dict[str, Any]:
    return {"workflow_id": workflow_id, "stages": [stage.values() for stage in stages]}


def refuse_stages(stages: Stages, task_type: str, classes: Sequence[str] | None, key: str) -> None:
    """Raise StageError for stages that a dataset of some task type and classes cannot have."""
    for number, stage in enumerate(stages):
        place = f"{key}.{number}"
        gate = stage.gate
        if gate is not None and gate.classes is not None and classes is not None:
            for name in gate.classes:
                if name not in classes:
                    raise StageError(
                        f"{place}.gate.class", f"{name!r} is no class; there are {', '.join(classes)}"
                    )
        by_kappa = gate is not None and gate.kappa_below is not None
        if is_structured(task_type) and (stage.measure == KAPPA or by_kappa):
            where = "agreement" if stage.measure == KAPPA else "gate.kappa"
            raise StageError(
                f"{place}.{where}", f"kappa is of answers that are one class, not of {task_type}"
            )


def _carry_over(connection: sa.Connection, dataset: Dataset, stages: Stages) -> Counter[tuple[str, str]]:
    """Open items under the new stages: those whose stage is gone go where the crowd's failures go."""
    place = place_of(connection, dataset, None)
    assert place is not None
    waiting = connection.execute(
        sa.select(t.item_stages.c.item_id, t.item_stages.c.stage, t.item_stages.c.entered_at)
        .where(t.item_stages.c.dataset_id == dataset.dataset_id)
        .order_by(t.item_stages.c.item_id)
    ).all()
    there = {stage.name for stage in stages if not stage.is_crowd}
    target = _home(stages)
    gone = [str(row.item_id) for row in waiting if row.stage not in there]
    labels = carried(connection, gone)
    move(
        connection,
        place,
        [
            Move(
                str(row.item_id),
                row.stage,
                "workflow",
                target,
                labels.get(str(row.item_id)),
                "its stage is gone",
            )
            for row in waiting
            if row.stage not in there
        ],
    )
    for name in sorted(there & {row.stage for row in waiting}):
        timeout = stages.by_name[name].timeout
        for entered_at in sorted({row.entered_at for row in waiting if row.stage == name}):
            connection.execute(
                t.item_stages.update()
                .where(
                    t.item_stages.c.dataset_id == dataset.dataset_id,
                    t.item_stages.c.stage == name,
                    t.item_stages.c.entered_at == entered_at,
                )
                .values(
                    workflow_id=place.workflow_id,
                    due_at=None if timeout is None else later(entered_at, timeout),
                )
            )
    return Counter((row.stage, row.stage if row.stage in there else target) for row in waiting)


def _home(stages: Stages) -> str:
    """Where what waits goes when its stage is gone: the crowd's failures' way, else the first people's."""
    failed = [stage.on_fail for stage in reversed(stages.crowd) if stage.on_fail in stages.by_name]
    people = [stage.name for stage in stages if not stage.is_crowd]
    return str((failed or people or [stages.pool])[0])
