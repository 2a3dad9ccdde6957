"""Whether there is anything to synchronise: a look at both sides that costs one small request a dataset."""

from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.labelstudio.projects import recorded_project
from hiveguard_pipeline.labelstudio.server import Server
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import Dataset, list_datasets


@dataclass(frozen=True, slots=True)
class Side:
    """Our side of a project: its number on the server, the newest selection, and the model that proposes."""

    dataset: str
    project_id: int
    selection_id: int
    model_id: int


def our_sides(connection: sa.Connection, url: str) -> list[Side]:
    """Our side of each dataset that has a project on the server of that address."""
    found = []
    for dataset in list_datasets(connection):
        recorded = recorded_project(connection, dataset)
        if recorded is not None and recorded[0] == url:
            found.append(_side(connection, dataset, recorded[1]))
    return found


def state_of(server: Server, side: Side) -> str:
    """A text that stays as long as neither side has changed. Raises LabelStudioError."""
    totals = server.totals(side.project_id)
    return (
        f"{side.project_id}/{totals.newest}/{totals.tasks}/{totals.annotations}"
        f"/{side.selection_id}/{side.model_id}"
    )


def _side(connection: sa.Connection, dataset: Dataset, project_id: int) -> Side:
    newest = [
        connection.execute(
            sa.select(sa.func.max(column)).where(table.c.dataset_id == dataset.dataset_id)
        ).scalar()
        for table, column in (
            (t.labeling_queue, t.labeling_queue.c.selection_id),
            (t.prelabels, t.prelabels.c.model_id),
        )
    ]
    return Side(dataset.name, project_id, *(int(one or 0) for one in newest))
