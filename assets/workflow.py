"""Stages: where items go after votes were applied, drawn with how many are in each."""

from typing import Any

import dagster as dg

from assets.heartbeat import heartbeat
from assets.labels import GROUP, REVALIDATION
from assets.metadata import columns
from assets.partitions import DATASETS, OWNERS
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.store.datasets import get_dataset, progress_of
from hiveguard_pipeline.workflow import advance, current_workflow
from hiveguard_pipeline.workflow.drawn import picture, shown_stages


@dg.asset(
    group_name=GROUP,
    deps=[REVALIDATION, "label_probabilities"],
    description=(
        "The stages of the dataset's workflow, and how many items are in each: gates hold labels for people,"
        " what people answered or left too long goes on. Without a workflow, the documented life cycle."
        " `hiveguard workflow show` prints it."
    ),
    kinds={"table", "python"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(
        ("stage", "text", "the stage, done, or discard"),
        ("items", "integer", "items in it"),
    ),
)
def workflow_stages(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult[Any]:
    """Move every item that can move, before labels are exported."""
    database = store.open()
    with database.read() as connection:
        recorded = current_workflow(connection, get_dataset(connection, context.partition_key))
    moved = 0
    if recorded is not None:
        with heartbeat(context.instance, context.run):
            done = advance(database, context.partition_key, run_id=context.run.run_id)
        moved = done.moved
        for (start, outcome, end), count in sorted(done.ways.items()):
            context.log.info(f"{count:,} items: {start or 'the pool'} -> {end} ({outcome})")
    with database.read() as connection:
        dataset = get_dataset(connection, context.partition_key)
        stages, items = shown_stages(connection, dataset)
        position = progress_of(connection, dataset).ledger_position
    workflow_id = 0 if recorded is None else recorded.workflow_id
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(items),
            "workflow_id": workflow_id,
            "moves": moved,
            "items": dg.MetadataValue.json(items),
            "stages": dg.MetadataValue.md(picture(stages, items)),
        },
        data_version=dg.DataVersion(f"{workflow_id}.{position}"),
    )
