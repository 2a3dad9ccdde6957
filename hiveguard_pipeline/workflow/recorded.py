"""Workflows in the store: the one that holds, their history, and what a change does to open items."""

from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.rules.stages import Stages
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.workflow.parse import parse_stages


@dataclass(frozen=True, slots=True)
class RecordedWorkflow:
    """A workflow as it stands in the table: under which id, by whom, why and when."""

    workflow_id: int
    stages: Stages
    actor: str
    reason: str
    created_at: str


def workflow_history(connection: sa.Connection, dataset: Dataset) -> list[RecordedWorkflow]:
    """All workflows of a dataset, oldest first; none: the documented life cycle holds."""
    rows = connection.execute(
        sa.select(t.workflows)
        .where(t.workflows.c.dataset_id == dataset.dataset_id)
        .order_by(t.workflows.c.workflow_id)
    )
    return [
        RecordedWorkflow(row.workflow_id, parse_stages(row.stages), row.actor, row.reason, row.created_at)
        for row in rows
    ]


def current_workflow(connection: sa.Connection, dataset: Dataset) -> RecordedWorkflow | None:
    """The workflow that holds; None for the documented life cycle."""
    row = connection.execute(
        sa.select(t.workflows)
        .where(t.workflows.c.dataset_id == dataset.dataset_id)
        .order_by(t.workflows.c.workflow_id.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    return RecordedWorkflow(row.workflow_id, parse_stages(row.stages), row.actor, row.reason, row.created_at)
