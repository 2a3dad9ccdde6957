"""The classes of a dataset as they stand: who has them, and which former names mean them."""

from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.schema_versions import class_map_of


@dataclass(frozen=True, slots=True)
class ListedClass:
    """A class; labels and gold_items: how many have it, None where answers are structured."""

    name: str
    labels: int | None
    gold_items: int | None
    former_names: tuple[str, ...]


def list_classes(connection: sa.Connection, dataset: Dataset) -> list[ListedClass]:
    """The classes in their order; where any answer is taken those that labels and maps name, by name."""
    former = class_map_of(connection, dataset).names
    structured = is_structured(dataset.task_type)
    counts = {} if structured else _counts(connection, dataset)
    names = sorted({*counts, *former.values()}) if dataset.classes is None else dataset.classes
    found = []
    for name in names:
        labels, gold = (None, None) if structured else counts.get(name, (0, 0))
        meant = tuple(sorted(old for old, new in former.items() if new == name))
        found.append(ListedClass(name, labels, gold, meant))
    return found


def _counts(connection: sa.Connection, dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Labels and gold items by class; a gold item's label is the one that it was given."""
    rows = connection.execute(
        sa.text(
            "SELECT name, sum(labels) AS labels, sum(gold) AS gold FROM ("
            " SELECT l.label AS name, count(*) AS labels, 0 AS gold FROM labels l"
            " JOIN items i ON i.item_id = l.item_id WHERE l.dataset_id = :dataset AND l.label IS NOT NULL"
            " AND i.gold_label IS NULL GROUP BY l.label UNION ALL"
            " SELECT gold_label, 0, count(*) FROM items WHERE dataset_id = :dataset"
            " AND gold_label IS NOT NULL GROUP BY gold_label) counted GROUP BY name"
        ),
        {"dataset": dataset.dataset_id},
    )
    return {row.name: (int(row.labels), int(row.gold)) for row in rows}
