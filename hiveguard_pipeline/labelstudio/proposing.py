"""Proposals on tasks that are there: brought to the newest model, and shown to people from then on.

The server shows the predictions of one model version, the project's. So a newer model's go beside those
before it, then the project changes over; what an annotation saw is told by the times of the two.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hiveguard_pipeline.labelstudio.client import LabelStudioError, UnsureError
from hiveguard_pipeline.labelstudio.held import (
    GONE,
    Held,
    Proposed,
    held_tasks,
    hold,
    items_to_send,
    proposals,
)
from hiveguard_pipeline.labelstudio.payload import prediction
from hiveguard_pipeline.labelstudio.server import Project, Server
from hiveguard_pipeline.labelstudio.templates import Shape
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset

PREDICTIONS_A_REQUEST = 250
_ROUNDS = 4
_VERSION = "hiveguard-model-"


def version_of(model_id: int) -> str:
    """The name of a model's predictions on the server."""
    return f"{_VERSION}{model_id}"


def update_predictions(
    database: Database,
    server: Server,
    dataset: Dataset,
    shape: Shape,
    project: Project,
    is_blind: Callable[[str], bool],
) -> int:
    """Send what the newest model proposes for tasks that have no prediction of it; returns how many.

    A task that was blind stays so, and one that was shown a proposal is never made blind. is_blind: of an
    item that gets its first proposal.
    """
    with database.look() as connection:
        held = held_tasks(connection, dataset)
        proposed = proposals(connection, dataset)
    newest = max((own.model_id for own in proposed.values()), default=None)
    if newest is None:
        return 0
    stale = {
        item_id: _hidden_or_not(row, proposed[item_id], is_blind)
        for item_id, row in held.items()
        if row.task_id != GONE and item_id in proposed and row.model_id != proposed[item_id].model_id
    }
    shown = [item_id for item_id, row in stale.items() if not row.blind]
    count = _sent(database, server, shape, project, held, proposed, shown)
    rows = [
        replace(
            row,
            model_id=proposed[item_id].model_id,
            proposal=proposed[item_id].answer,
            probability=proposed[item_id].probability,
        )
        for item_id, row in stale.items()
        if row.blind or item_id in count
    ]
    told = {row.item_id: row for row in rows}
    version = version_of(newest)
    any_shown = any(
        row.model_id == newest and not row.blind
        for row in (told.get(item_id, row) for item_id, row in held.items())
    )
    now = server.project(project.project_id).model_version
    if any_shown and now != version:
        server.update_project(project.project_id, model_version=version)
    # What an earlier model proposed is not shown any more.
    gone = [
        replace(row, model_id=None, proposal=None, probability=None)
        for item_id, row in held.items()
        if any_shown and item_id not in told and row.model_id not in (None, newest) and not row.blind
    ]
    if rows or gone:
        with database.write() as connection:
            hold(connection, dataset, [*rows, *gone])
    return sum(count.values())


def _hidden_or_not(row: Held, own: Proposed, is_blind: Callable[[str], bool]) -> Held:
    if row.model_id is not None or row.blind:
        return row
    return replace(row, blind=own.blind or is_blind(row.item_id))


def _sent(
    database: Database,
    server: Server,
    shape: Shape,
    project: Project,
    held: dict[str, Held],
    proposed: dict[str, Proposed],
    item_ids: Sequence[str],
) -> dict[str, int]:
    """By item that has its prediction now: 1 where it was sent, 0 where it was there."""
    with database.look() as connection:
        made = {
            item.item_id: prediction(item, shape, version_of(proposed[item.item_id].model_id))
            for item in items_to_send(connection, item_ids, proposed)
        }
    wanted = {item_id: found for item_id, found in made.items() if found is not None}
    done: dict[str, int] = {}
    broken: UnsureError | None = None
    for _ in range(_ROUNDS):
        missing = [item_id for item_id in wanted if item_id not in done]
        if not missing:
            return done
        tasks = {held[item_id].task_id: item_id for item_id in missing}
        there = list(server.tasks_of(project.project_id, sorted(tasks)))
        has = {task.task_id for task in there if _has(task.predictions, wanted[tasks[task.task_id]])}
        done |= {tasks[task_id]: 0 for task_id in has}
        to_send = [task.task_id for task in there if task.task_id not in has]
        try:
            for start in range(0, len(to_send), PREDICTIONS_A_REQUEST):
                part = to_send[start : start + PREDICTIONS_A_REQUEST]
                server.import_predictions(
                    project.project_id, [{"task": task_id, **wanted[tasks[task_id]]} for task_id in part]
                )
                done |= {tasks[task_id]: 1 for task_id in part}
        except UnsureError as error:
            broken = error
            continue
        return done
    raise LabelStudioError(f"{broken}; push again when the server is well")


def _has(predictions: Sequence[Any], wanted: dict[str, Any]) -> bool:
    version = wanted["model_version"]
    return any(isinstance(one, dict) and one.get("model_version") == version for one in predictions)


def is_ours(version: object) -> bool:
    """Whether predictions of that name are of a model of ours."""
    return isinstance(version, str) and version.startswith(_VERSION)
