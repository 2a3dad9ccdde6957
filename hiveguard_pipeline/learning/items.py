"""Items of a dataset as models see them: which have labels, which want some, their features in batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.learning.features import Features, FeatureSource, Items
from hiveguard_pipeline.learning.features.source import stacked
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.schema_versions import class_map_of

ITEMS_AT_ONCE = 2_048
"""Items whose texts or files are in memory together."""

GRADUATED = STATES[State.GRADUATED]
IN_REVALIDATION = STATES[State.IN_REVALIDATION]
UNLABELED = STATES[State.UNLABELED]
NEEDS_REVIEW = STATES[State.NEEDS_REVIEW]

Report = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Items with usable labels, by item_id. item_ids, labels: Arrow strings; graduated: bool; shape (n,)."""

    item_ids: Any
    labels: Any
    graduated: Any

    def __len__(self) -> int:
        return len(self.item_ids)

    def taken(self, positions: Any) -> "Labelled":
        """Some of them."""
        places = pa.array(positions)
        return Labelled(self.item_ids.take(places), self.labels.take(places), self.graduated[positions])


def labelled_items(connection: sa.Connection, dataset: Dataset, *, graduated_only: bool = False) -> Labelled:
    """The items with usable labels (graduated, or in re-validation), gold items left out."""
    states = f"'{GRADUATED}'" + ("" if graduated_only else f", '{IN_REVALIDATION}'")
    found = read_columns(
        connection,
        f"SELECT l.item_id, l.label, CASE WHEN l.state = '{GRADUATED}' THEN 1 ELSE 0 END AS graduated"
        " FROM labels l JOIN items i ON i.item_id = l.item_id"
        f" WHERE l.dataset_id = :dataset AND l.state IN ({states}) AND i.gold_label IS NULL"
        " ORDER BY l.item_id",
        {"dataset": dataset.dataset_id},
        {"item_id": str, "label": str, "graduated": int},
    )
    labels = class_map_of(connection, dataset).of(found["label"])
    return Labelled(found["item_id"], labels, found["graduated"].astype(bool))


def items_in(connection: sa.Connection, dataset: Dataset, *states: str) -> Any:
    """The ids of items in some states, ascending: Arrow strings."""
    listed = ", ".join(f"'{state}'" for state in states)
    return read_columns(
        connection,
        "SELECT item_id FROM item_status"
        f" WHERE dataset_id = :dataset AND state IN ({listed}) ORDER BY item_id",
        {"dataset": dataset.dataset_id},
        {"item_id": str},
    )["item_id"]


def described(connection: sa.Connection, item_ids: Sequence[str]) -> Items:
    """What features are made of, for some items (at most some thousand), in the order asked for."""
    rows = connection.execute(
        sa.select(t.items.c.item_id, t.items.c.external_id, t.items.c.data_ref, t.item_details.c.content)
        .outerjoin_from(t.items, t.item_details, t.items.c.item_id == t.item_details.c.item_id)
        .where(t.items.c.item_id.in_(item_ids))
    )
    found = {row.item_id: row for row in rows}
    chosen = [found[item_id] for item_id in item_ids]
    return Items(
        list(item_ids),
        [row.external_id for row in chosen],
        [row.data_ref for row in chosen],
        [row.content for row in chosen],
    )


def features_in_batches(
    database: Database, source: FeatureSource, item_ids: Any, report: Report | None = None
) -> Iterator[tuple[int, Features]]:
    """The features of items, some at a time, each batch with the position of its first item.

    No transaction is open while files are read. report: called with (items done, items).
    """
    for start in range(0, len(item_ids), ITEMS_AT_ONCE):
        asked = item_ids.slice(start, ITEMS_AT_ONCE).to_pylist()
        with database.read() as connection:
            items = described(connection, asked)
        yield start, source.make(items)
        if report is not None:
            report(start + len(asked), len(item_ids))


def features_of(
    database: Database, source: FeatureSource, item_ids: Any, report: Report | None = None
) -> Features:
    """The features of items, all of them together."""
    rows, positions = [], []
    faults: dict[str, int] = {}
    for start, found in features_in_batches(database, source, item_ids, report):
        add_faults(faults, found.faults)
        if len(found):
            rows.append(found.rows)
            positions.append(found.positions + start)
    places = np.concatenate(positions) if positions else np.empty(0, dtype=np.int64)
    return Features(stacked(rows), places, faults)


def add_faults(faults: dict[str, int], more: dict[str, int]) -> None:
    """Add counts of reasons to counts of reasons."""
    for why, count in more.items():
        faults[why] = faults.get(why, 0) + count
