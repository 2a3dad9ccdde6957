"""Where the project of each dataset stands, as far as it is recorded: no server is asked."""

from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.labelstudio.held import held_tasks
from hiveguard_pipeline.labelstudio.known import QUARANTINED, WAITING, known_annotations
from hiveguard_pipeline.labelstudio.projects import recorded_project
from hiveguard_pipeline.store.datasets import Dataset


@dataclass(frozen=True, slots=True)
class Status:
    """Counts of a project. shown, blind: tasks with a proposal that people see, and that they do not.

    votes: annotations that stand as votes; waiting: that wait for a decision. newest: the server's time of
    the newest change that was seen.
    """

    dataset: str
    url: str
    project_id: int
    tasks: int
    review_tasks: int
    shown: int
    blind: int
    annotations: int
    votes: int
    quarantined: int
    waiting: int
    newest: str | None


def status_of(connection: sa.Connection, dataset: Dataset) -> Status | None:
    """The status of a dataset's project; None where it has none."""
    recorded = recorded_project(connection, dataset)
    if recorded is None:
        return None
    held = list(held_tasks(connection, dataset).values())
    known = list(known_annotations(connection, dataset).values())
    live = [row for row in known if row.deleted_at is None]
    return Status(
        dataset=dataset.name,
        url=recorded[0],
        project_id=recorded[1],
        tasks=len(held),
        review_tasks=sum(row.source == "review" for row in held),
        shown=sum(row.proposal is not None and not row.blind for row in held),
        blind=sum(row.blind for row in held),
        annotations=len(live),
        votes=sum(row.vote_id is not None for row in live),
        quarantined=sum(row.outcome.startswith(QUARANTINED) for row in live),
        waiting=sum(row.outcome == WAITING for row in live),
        newest=max((row.updated_at for row in known), default=None),
    )
