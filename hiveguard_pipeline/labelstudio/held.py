"""Our side of a project: which items it holds as tasks, and which items it is to hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.labelstudio.payload import Sent
from hiveguard_pipeline.review import list_flagged
from hiveguard_pipeline.rules.states import POOL_STATES
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.datasets import Dataset

SOURCES = ("queue", "review", "all")
QUEUE, REVIEW, ALL = SOURCES
"""Where items come from: the queue of active learning in its order, the review list, the whole pool."""

GONE = 0
"""In the place of the number of a task that was deleted on the server."""

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Held:
    """An item that the project holds. proposal: of a model, hidden where blind; None where there is none."""

    item_id: str
    task_id: int
    source: str
    model_id: int | None
    proposal: str | None
    probability: int | None
    blind: bool
    pushed_at: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """What a model proposes for an item now; probability in millionths."""

    model_id: int
    answer: str
    probability: int
    blind: bool


def held_tasks(connection: sa.Connection, dataset: Dataset) -> dict[str, Held]:
    """The items that a dataset's project holds, by item_id."""
    columns = [t.label_studio_tasks.c[name] for name in Held.__dataclass_fields__]
    rows = connection.execute(
        sa.select(*columns).where(t.label_studio_tasks.c.dataset_id == dataset.dataset_id)
    )
    return {str(row.item_id): Held(*row) for row in rows}


def hold(connection: sa.Connection, dataset: Dataset, tasks: Sequence[Held]) -> None:
    """Write rows of tasks, in place of those of the same items."""
    for start in range(0, len(tasks), _AT_ONCE):
        part = tasks[start : start + _AT_ONCE]
        ids = [task.item_id for task in part]
        connection.execute(t.label_studio_tasks.delete().where(t.label_studio_tasks.c.item_id.in_(ids)))
        rows = [
            {name: getattr(task, name) for name in Held.__dataclass_fields__}
            | {"dataset_id": dataset.dataset_id}
            for task in part
        ]
        connection.execute(t.label_studio_tasks.insert(), rows)


def chosen_items(connection: sa.Connection, dataset: Dataset, source: str) -> list[str]:
    """The item_ids that a source names now, in the order in which they are to be asked."""
    if source == REVIEW:
        return [flagged.item_id for flagged in list_flagged(connection, dataset)]
    if source not in SOURCES:
        raise BadInputError(f"{source!r} is no source of items; there are {', '.join(SOURCES)}")
    in_pool = ", ".join(f"'{state}'" for state in POOL_STATES)
    queries = {
        QUEUE: "SELECT q.item_id FROM labeling_queue q JOIN item_status s ON s.item_id = q.item_id"
        f" WHERE q.dataset_id = :dataset AND s.state IN ({in_pool}) ORDER BY q.rank, q.item_id",
        ALL: "SELECT s.item_id FROM item_status s WHERE s.dataset_id = :dataset"
        f" AND s.state IN ({in_pool}) ORDER BY CASE s.state WHEN 'unlabeled' THEN 0 ELSE 1 END, s.item_id",
    }
    found = read_columns(connection, queries[source], {"dataset": dataset.dataset_id}, {"item_id": str})
    return list(found["item_id"].to_pylist())


def proposals(connection: sa.Connection, dataset: Dataset) -> dict[str, Proposed]:
    """What a model proposes now, by item_id."""
    rows = connection.execute(sa.select(t.prelabels).where(t.prelabels.c.dataset_id == dataset.dataset_id))
    return {
        str(row.item_id): Proposed(row.model_id, row.answer, row.probability, bool(row.blind)) for row in rows
    }


def items_to_send(
    connection: sa.Connection, item_ids: Sequence[str], proposed: Mapping[str, Proposed]
) -> Iterator[Sent]:
    """Items with what is needed of them, in the order of their ids here. Never their true labels."""
    for start in range(0, len(item_ids), _AT_ONCE):
        part = item_ids[start : start + _AT_ONCE]
        rows = connection.execute(
            sa.select(
                t.items.c.item_id,
                t.items.c.external_id,
                t.items.c.data_ref,
                t.items.c.modality,
                t.item_details.c.content,
                t.item_details.c.width,
                t.item_details.c.height,
            )
            .outerjoin_from(t.items, t.item_details, t.items.c.item_id == t.item_details.c.item_id)
            .where(t.items.c.item_id.in_(part))
        )
        found: dict[str, Any] = {str(row.item_id): row for row in rows}
        for item_id in part:
            own = proposed.get(item_id)
            row = found[item_id]
            yield Sent(
                item_id,
                row.external_id,
                row.data_ref,
                row.modality,
                row.content,
                row.width,
                row.height,
                answer=None if own is None else own.answer,
                probability=None if own is None else own.probability,
            )


def texts_of(connection: sa.Connection, item_ids: Sequence[str]) -> dict[str, str]:
    """The texts of items as they are sent: their content, else their data_ref."""
    found = {}
    for start in range(0, len(item_ids), _AT_ONCE):
        part = item_ids[start : start + _AT_ONCE]
        rows = connection.execute(
            sa.select(t.items.c.item_id, sa.func.coalesce(t.item_details.c.content, t.items.c.data_ref))
            .outerjoin_from(t.items, t.item_details, t.items.c.item_id == t.item_details.c.item_id)
            .where(t.items.c.item_id.in_(part))
        )
        found.update({str(item_id): text for item_id, text in rows})
    return found
