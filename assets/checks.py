"""The expectations as asset checks: one check an expectation, the blocking ones in front of the exports."""

from collections.abc import Iterator

import dagster as dg

from assets.heartbeat import heartbeat
from assets.labels import finalized_labels
from hiveguard_pipeline.expectations import EXPECTATIONS, judge_labels
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.store.datasets import get_dataset

SPECS = [
    dg.AssetCheckSpec(
        expectation.name,
        asset=finalized_labels,
        description=expectation.description,
        blocking=expectation.blocking,
    )
    for expectation in EXPECTATIONS
]


@dg.multi_asset_check(name="label_expectations", specs=SPECS)
def label_expectations(
    context: dg.AssetCheckExecutionContext, store: StoreResource
) -> Iterator[dg.AssetCheckResult]:
    """Run the Great Expectations suite on a dataset, inside the database."""
    database = store.open()
    with database.read() as connection:
        dataset = get_dataset(connection, context.partition_key)
    op_context = context.op_execution_context
    with heartbeat(op_context.instance, op_context.run):
        judgements = judge_labels(database, dataset)
    for judgement in judgements:
        yield dg.AssetCheckResult(
            asset_key=finalized_labels.key,
            check_name=judgement.name,
            passed=judgement.passed,
            metadata={
                "dataset": dataset.name,
                "unexpected_rows": judgement.unexpected,
                **({"examples": dg.MetadataValue.json(judgement.examples)} if judgement.examples else {}),
            },
        )
