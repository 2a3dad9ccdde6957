"""Stages: where items go after votes were applied, drawn with how many are in each."""

from typing import Any

import dagster as dg
import sqlalchemy as sa

from assets.heartbeat import heartbeat
from assets.labels import GROUP, REVALIDATION
from assets.metadata import columns
from assets.partitions import DATASETS, OWNERS
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.store.datasets import get_dataset, progress_of


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
        ("item_id", "uuid", "an item that waits for people, or for a model"),
        ("stage", "text", "the stage that it waits in"),
        ("entered_at", "timestamp", "since when"),
        ("due_at", "timestamp", "when its time there runs out"),
    ),
)
def workflow_stages(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult[Any]:
    """Move every item that can move, before labels are exported."""
    from hiveguard_pipeline.workflow import advance, current_workflow
    from hiveguard_pipeline.workflow.drawn import picture, shown_stages

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
        waiting = connection.execute(
            sa.text("SELECT count(*) FROM item_stages WHERE dataset_id = :dataset"),
            {"dataset": dataset.dataset_id},
        ).scalar_one()
        position = progress_of(connection, dataset).ledger_position
    workflow_id = 0 if recorded is None else recorded.workflow_id
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": int(waiting),
            "workflow_id": workflow_id,
            "moves": moved,
            "items": dg.MetadataValue.json(items),
            "stages": dg.MetadataValue.md(picture(stages, items)),
        },
        data_version=dg.DataVersion(f"{workflow_id}.{position}"),
    )
