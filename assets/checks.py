"""The expectations as asset checks: one check an expectation, the blocking ones in front of the exports."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.heartbeat import heartbeat
from assets.labels import finalized_labels, training_export
from hiveguard_pipeline.expectations import EXPECTATIONS, judge_labels
from hiveguard_pipeline.resources import ExportsResource, StoreResource
from hiveguard_pipeline.store.datasets import get_dataset

if TYPE_CHECKING:
    from hiveguard_pipeline.snapshots.watch import Watched

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


STILL_HOLD = "exported_labels_still_hold"
RE_EXPORT = "re-export and re-check"
_LISTED = 50


@dg.asset_check(
    asset=training_export,
    name=STILL_HOLD,
    description=(
        "The labels of the latest export are what they were: not relabelled, flagged, discarded or withdrawn,"
        " and the votes that came since do not bring one below the exit."
    ),
)
def exported_labels_still_hold(
    context: dg.AssetCheckExecutionContext, store: StoreResource, exports: ExportsResource
) -> dg.AssetCheckResult:
    """Look for drift of the latest export; a warning, which blocks nothing."""
    from hiveguard_pipeline.snapshots.watch import look

    op_context = context.op_execution_context
    with heartbeat(op_context.instance, op_context.run):
        watched = look(store.open(), context.partition_key, exports.root, exports.snapshot_root)
    return dg.AssetCheckResult(
        passed=watched is None or not watched.drifted,
        severity=dg.AssetCheckSeverity.WARN,
        description=said(watched),
        metadata=drift_metadata(watched),
    )


def said(watched: "Watched | None") -> str:
    """One line on what was found."""
    if watched is None:
        return "there is no export yet"
    if not watched.drifted:
        return f"all {watched.rows:,} labels hold"
    return f"{len(watched.drifted):,} of {watched.rows:,} labels no longer hold: {RE_EXPORT}"


def drift_metadata(watched: "Watched | None") -> dict[str, Any]:
    """Which export and snapshot was looked at, and what of it has drifted, some of it by name."""
    if watched is None:
        return {}
    records = [
        dg.TableRecord(
            {
                "what": row.what,
                "external_id": row.external_id,
                "label": row.label,
                "label_now": row.label_now or "",
                "source": row.source or "",
                "actor": row.actor or "",
                "reason": row.reason or "",
            }
        )
        for row in watched.drifted[:_LISTED]
    ]
    return {
        "export_id": watched.export_id,
        "snapshot_id": watched.snapshot_id,
        "drifted": len(watched.drifted),
        **{f"drifted/{what}": count for what, count in watched.counts.items()},
        **({"labels": dg.MetadataValue.table(records)} if records else {}),
    }
