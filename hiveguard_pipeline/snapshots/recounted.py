"""The rows of a snapshot out of a recount made elsewhere (on Spark, say), with its items out of the database.

The same labels give the same snapshot wherever they were counted. A recount knows nothing of what people
decided, so that this holds for datasets without decisions.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.recount.output import Result
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.snapshots.content import WITHOUT_SPLIT
from hiveguard_pipeline.snapshots.header import Selection
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.stream import stream_columns

_READ = (
    "item_id",
    "label",
    "confidence",
    "state",
    "vote_count",
    "revalidation_vote_count",
    "created_at",
    "policy_id",
)
_ITEMS = {
    "item_id": str,
    "external_id": str,
    "data_ref": str,
    "modality": str,
    "width": int,
    "height": int,
    "content": str,
    "group_key": str,
    "licence": str,
}


def open_recount(url: str, dataset: Dataset) -> Result:
    """A finished recount of the dataset; raises BadInputError for what is none, or another dataset's."""
    result = Result(url)
    if result.manifest.dataset not in (None, dataset.name):
        raise BadInputError(f"{url} is a recount of {result.manifest.dataset}, not of {dataset.name}")
    return result


def recounted_rows(
    connection: sa.Connection, dataset: Dataset, selection: Selection, result: Result
) -> Iterator[pa.RecordBatch]:
    """The chosen labels of a recount in batches of WITHOUT_SPLIT. All its labels are in memory meanwhile."""
    labels = _chosen(result, selection)
    ids = labels.column("item_id").combine_chunks()
    found = 0
    for items in _items(connection, dataset):
        place = pc.index_in(items.column("item_id"), value_set=ids)
        there = pc.is_valid(place)
        items = items.filter(there)
        if not items.num_rows:
            continue
        found += items.num_rows
        yield _joined(items, labels.take(place.filter(there)))
    if found != labels.num_rows:
        raise BadInputError(
            f"{result.shown} has labels of {labels.num_rows - found:,} items that are not in {dataset.name}:"
            " it is another dataset's, or the items were not imported here"
        )


def _chosen(result: Result, selection: Selection) -> pa.Table:
    whole = pa.Table.from_batches(result.batches("labels", _READ))
    states = [State.GRADUATED] if selection.graduated else [State.IN_REVALIDATION, State.GRADUATED]
    confidence = pc.cast(pc.round(pc.multiply(whole.column("confidence"), float(ONE))), pa.int64())
    whole = whole.set_column(whole.schema.get_field_index("confidence"), "confidence", confidence)
    kept = pc.and_(
        pc.is_in(whole.column("state"), value_set=pa.array([STATES[state] for state in states])),
        pc.greater_equal(confidence, selection.min_confidence),
    )
    return whole.filter(kept).combine_chunks()


def _items(connection: sa.Connection, dataset: Dataset) -> Iterator[pa.RecordBatch]:
    return stream_columns(
        connection,
        "SELECT CAST(i.item_id AS text), i.external_id, i.data_ref, i.modality, d.width, d.height, d.content,"
        " d.group_key, d.licence FROM items i LEFT JOIN item_details d ON d.item_id = i.item_id"
        " WHERE i.dataset_id = :dataset ORDER BY i.item_id",
        {"dataset": dataset.dataset_id},
        _ITEMS,
    )


def _joined(items: pa.RecordBatch, labels: pa.Table) -> pa.RecordBatch:
    rows = items.num_rows
    columns: dict[str, Any] = dict(zip(items.schema.names, items.columns, strict=True))
    for name in ("label", "confidence", "policy_id"):
        columns[name] = labels.column(name).combine_chunks()
    columns["solver_count"] = pc.add(
        labels.column("vote_count"), labels.column("revalidation_vote_count")
    ).combine_chunks()
    written = pc.strftime(labels.column("created_at"), format="%Y-%m-%dT%H:%M:%S").combine_chunks()
    columns["created_at"] = pc.binary_join_element_wise(written, "Z", "")
    columns["source"] = pa.repeat(pa.scalar("votes"), rows)
    return pa.record_batch(
        [columns.get(field.name, pa.nulls(rows, field.type)) for field in WITHOUT_SPLIT],
        schema=WITHOUT_SPLIT,
    )
