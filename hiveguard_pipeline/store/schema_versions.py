"""Schema versions: the classes of a dataset through time, and what earlier answers mean now. Append-only.

A version's class_map is that of its change alone; the table `class_map` holds all changes taken together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.rules.arithmetic import Codes, Integers
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.class_map import ClassMap
from hiveguard_pipeline.store.datasets import Dataset


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """The classes that held for the ledger rows above ledger_position, until the next version's.

    classes: None where any answer is taken. class_map: names of the version before that mean others here.
    """

    version: int
    task_type: str
    classes: tuple[str, ...] | None
    change: str
    class_map: dict[str, str]
    ledger_position: int
    actor: str
    reason: str
    created_at: str


def schema_history(connection: sa.Connection, dataset: Dataset) -> list[SchemaVersion]:
    """All versions of a dataset's classes, oldest first; the last one holds."""
    rows = connection.execute(
        sa.select(*(t.schema_versions.c[name] for name in SchemaVersion.__dataclass_fields__))
        .where(t.schema_versions.c.dataset_id == dataset.dataset_id)
        .order_by(t.schema_versions.c.version)
    )
    return [
        SchemaVersion(
            row.version,
            row.task_type,
            tuple(row.classes) if row.classes is not None else None,
            row.change,
            dict(row.class_map or {}),
            row.ledger_position,
            row.actor,
            row.reason,
            row.created_at,
        )
        for row in rows
    ]


def class_map_of(connection: sa.Connection, dataset: Dataset) -> ClassMap:
    """What answers mean now; a look at a small table."""
    return class_maps_of(connection, [dataset])[dataset.dataset_id]


def class_maps_of(connection: sa.Connection, datasets: Sequence[Dataset]) -> dict[str, ClassMap]:
    """What answers mean now in each of some datasets, by dataset_id."""
    rows = connection.execute(
        sa.select(t.class_map)
        .where(t.class_map.c.dataset_id.in_([dataset.dataset_id for dataset in datasets]))
        .order_by(t.class_map.c.answer)
    ).all()
    return {
        dataset.dataset_id: ClassMap(
            {row.answer: row.label for row in rows if row.dataset_id == dataset.dataset_id},
            is_structured(dataset.task_type),
        )
        for dataset in datasets
    }


def accepted_names(connection: sa.Connection, dataset: Dataset) -> tuple[str, ...] | None:
    """The names that answers may use: the classes, and former ones that mean one of them; None: any."""
    if dataset.classes is None:
        return None
    return (*dataset.classes, *class_map_of(connection, dataset).names)


def maps_by_era(history: Sequence[SchemaVersion], *, structured: bool) -> list[ClassMap]:
    """What answers meant under each version, oldest first."""
    maps = [ClassMap({}, structured)]
    for version in history[1:]:
        maps.append(maps[-1].then(version.class_map))
    return maps


def eras_of(history: Sequence[SchemaVersion], batch_ids: Integers) -> Integers:
    """Which version each ledger row is under, 0 for the first; shape (rows,)."""
    positions = np.array([version.ledger_position for version in history], dtype=np.int64)
    return np.asarray(np.maximum(np.searchsorted(positions, batch_ids, side="left") - 1, 0))


def mapped_words(words: Any, maps: Sequence[ClassMap]) -> tuple[Any, Codes]:
    """A dictionary with what its words meant under each version added, and the codes of those.

    words: Arrow strings without null, each once. The codes are of shape (versions, words + 1), the last
    column NO_LABEL (-1): the mapping of `rules.classes.Eras`.
    """
    read = [found.of(words) for found in maps]
    every = pc.unique(pa.chunked_array([words, *read], type=pa.string()))
    # A word that only a map brings in stands for what it came to mean later, as all others do.
    mapping = [
        np.append(pc.index_in(found.of(every), value_set=every).to_numpy(zero_copy_only=False), -1)
        for found in maps
    ]
    return every, np.stack(mapping).astype(np.int32)
