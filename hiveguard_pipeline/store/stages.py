"""The stage in which an item waits: how the item is held there, and how a lead's decision ends it.

What stages there are, and where they lead, is the workflow's; here is what runs, recounts and reviews, which
know nothing of that, must keep true: an item that waits for people is out of the pool and of every export if
it has a label, and waits no longer once somebody has decided on it.
"""

import json
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.datasets import Dataset, RecordedPolicy, now_text
from hiveguard_pipeline.store.decisions import write_decisions

DECIDED = "decided"
POOL = "pool"
"""Where an item goes that waits in no stage, where a workflow has no stage of the crowd."""

_USABLE = ", ".join(f"'{STATES[state]}'" for state in (State.IN_REVALIDATION, State.GRADUATED))


def has_workflow(connection: sa.Connection, dataset: Dataset) -> bool:
    """Whether a dataset has stages of its own; without, the documented life cycle holds."""
    found = connection.execute(
        sa.select(t.workflows.c.workflow_id).where(t.workflows.c.dataset_id == dataset.dataset_id).limit(1)
    )
    return found.first() is not None


def hold_waiting(
    connection: sa.Connection,
    dataset: Dataset,
    recorded: RecordedPolicy,
    *,
    run_id: str | None,
    among: str | None = None,
) -> int:
    """Hold the items that wait in a stage and have a label in use: votes gave it, or a recount did.

    among: SQL for the item_ids to look at; None for the whole dataset. Returns how many were held.
    """
    within = f" AND w.item_id IN ({among})" if among else ""
    found = read_columns(
        connection,
        "SELECT w.item_id, w.stage FROM item_stages w JOIN labels l ON l.item_id = w.item_id"
        " JOIN items i ON i.item_id = w.item_id WHERE w.dataset_id = :dataset AND i.gold_label IS NULL"
        f" AND l.state IN ({_USABLE}){within} ORDER BY w.item_id",
        {"dataset": dataset.dataset_id},
        {"item_id": str, "stage": str},
    )
    rows = len(found["item_id"])
    reasons = [f"waits in stage {stage}" for stage in found["stage"].to_pylist()]
    write_decisions(
        connection,
        dataset,
        recorded,
        {
            "item_id": found["item_id"],
            "decision": pa.array(["hold"] * rows, type=pa.string()),
            "label": pa.nulls(rows, pa.string()),
            "reason": pa.array(reasons, type=pa.string()),
        },
        run_id=run_id,
    )
    return rows


def leave_stage(connection: sa.Connection, item_id: str, state: str, review_id: int, decision: str) -> None:
    """Note that a decision ended the stage in which an item waits, if it waits in one."""
    waiting = connection.execute(sa.select(t.item_stages).where(t.item_stages.c.item_id == item_id)).first()
    if waiting is None:
        return
    connection.execute(t.item_stages.delete().where(t.item_stages.c.item_id == item_id))
    connection.execute(
        t.stage_transitions.insert().values(
            item_id=item_id,
            dataset_id=waiting.dataset_id,
            workflow_id=waiting.workflow_id,
            from_stage=waiting.stage,
            to_stage=_next_to(connection, waiting.workflow_id, state),
            outcome=DECIDED,
            detail={"decision": decision},
            review_id=review_id,
            created_at=now_text(),
        )
    )
    end_leases(connection, "SELECT item_id FROM items WHERE item_id = :item", {"item": item_id})


def end_leases(connection: sa.Connection, items: str, parameters: dict[str, Any]) -> None:
    """End the open leases on some items, which are no longer asked about. items: SQL for their ids."""
    connection.execute(
        sa.text(
            f"UPDATE leases SET ended_at = :ended, ending = 'expired' WHERE ended_at IS NULL"
            f" AND item_id IN ({items})"
        ).bindparams(sa.bindparam("ended", now_text(), type_=t.UtcTime)),
        parameters,
    )


def _next_to(connection: sa.Connection, workflow_id: int, state: str) -> str:
    """What a transition says of an item in a state that waits in no stage."""
    if state == STATES[State.DISCARDED]:
        return "discard"
    if state == STATES[State.GRADUATED]:
        return "done"
    stages = connection.execute(
        sa.select(t.workflows.c.stages).where(t.workflows.c.workflow_id == workflow_id)
    ).scalar_one()
    entries = json.loads(stages) if isinstance(stages, str) else stages
    return next((entry["name"] for entry in reversed(entries) if entry["who"] == "crowd"), POOL)
