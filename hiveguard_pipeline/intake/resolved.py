"""Which item each row of a file is about."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.intake.gathered import Gathered
from hiveguard_pipeline.intake.items import insert_items
from hiveguard_pipeline.store.bulk import append, read_columns
from hiveguard_pipeline.store.datasets import Dataset


@dataclass(slots=True)
class Resolved:
    """The items that a file names, and for each row which of them it is about, -1 for none there is."""

    item_id: Any
    of_row: Any
    created: int


def resolve_items(connection: sa.Connection, dataset: Dataset, rows: Gathered, create: bool) -> Resolved:
    """Find the items of the rows by item_id or external_id; `create` makes those named that are not there."""
    by_id = _encoded(rows.values["item_id"])
    without = pc.is_null(rows.values["item_id"])
    by_name = _encoded(pc.if_else(without, rows.values["external_id"], pa.scalar(None, pa.string())))
    ids = _find(connection, dataset, by_id.dictionary, "item_id")
    named = _find(connection, dataset, by_name.dictionary, "external_id")
    created = 0
    if create and named.null_count:
        new = by_name.dictionary.filter(pc.is_null(named))
        modality = pa.repeat(pa.scalar(dataset.modality), len(new))
        created = insert_items(connection, dataset, new, data_ref=new, modality=modality)
        named = _find(connection, dataset, by_name.dictionary, "external_id")
    # An item may be named in both ways.
    items = pa.concat_arrays([ids, named]).dictionary_encode()
    code = items.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    code = np.append(code, -1)
    of_row = code[_codes(by_id)]
    names = _codes(by_name)
    of_row = np.where(names >= 0, code[len(ids) + names], of_row)
    return Resolved(items.dictionary, of_row, created)


def _encoded(column: Any) -> Any:
    encoded = pc.dictionary_encode(column).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # a column without rows
        return pa.array([], type=pa.string()).dictionary_encode()
    return encoded


def _codes(encoded: Any) -> Any:
    return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def _find(connection: sa.Connection, dataset: Dataset, keys: Any, column: str) -> Any:
    """The item_id of each key, null where the dataset has no such item; shape (keys,)."""
    if not len(keys):
        return pa.array([], type=pa.string())
    sqlite = connection.dialect.name == "sqlite"
    kind = "uuid" if column == "item_id" and not sqlite else "text"
    connection.execute(sa.text(f"CREATE TEMPORARY TABLE named (n int, key {kind})"))
    append(connection, "named", {"n": np.arange(len(keys)), "key": keys})
    if not sqlite:
        connection.execute(sa.text("ANALYZE named"))
    found = read_columns(
        connection,
        "SELECT k.n AS n, i.item_id AS item_id FROM named k"
        f" JOIN items i ON i.dataset_id = :dataset AND i.{column} = k.key",
        {"dataset": dataset.dataset_id},
        {"n": int, "item_id": str},
    )
    connection.execute(sa.text("DROP TABLE named"))
    place = np.full(len(keys), -1, dtype=np.int64)
    place[found["n"]] = np.arange(len(found["n"]))
    return found["item_id"].take(pa.array(place, mask=place < 0))
