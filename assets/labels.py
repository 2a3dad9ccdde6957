"""Votes to labels: first consensus, re-validation, the labels that can be used, the training export."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import sqlalchemy as sa

from assets.heartbeat import heartbeat
from assets.metadata import EXPORT_COLUMNS, LABEL_COLUMNS, columns, dataset_pictures
from assets.partitions import DATASETS, OWNERS, is_batch
from assets.votes import ITEMS, VOTES
from hiveguard_pipeline.resources import ExportsResource, StoreResource
from hiveguard_pipeline.settings import differing_settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import current_policy, get_dataset, progress_of
from hiveguard_pipeline.store.ledger import Applied, apply_votes
from hiveguard_pipeline.store.stages import has_workflow

GROUP = "labels"

CONSENSUS = dg.AssetSpec(
    "consensus_labels",
    group_name=GROUP,
    deps=[ITEMS, VOTES],
    description=(
        "The first label of each item: the answer that holds more than half of the earliest"
        " CONSENSUS_THRESHOLD or more votes, with its share as confidence."
    ),
    kinds={"table", "python"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(*LABEL_COLUMNS),
)

REVALIDATION = dg.AssetSpec(
    "revalidation_state",
    group_name=GROUP,
    deps=[CONSENSUS, VOTES],
    description=(
        "Confidence and state after the votes that followed, applied in batches of"
        " REVALIDATION_MIN_VOTES: in re-validation, graduated or flagged for review."
    ),
    kinds={"table", "python"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(*LABEL_COLUMNS),
)


@dg.multi_asset(name="apply_votes", specs=[CONSENSUS, REVALIDATION])
def apply_votes_assets(
    context: dg.AssetExecutionContext, store: StoreResource
) -> Iterator[dg.MaterializeResult[Any]]:
    """Apply all votes that the rules take now: one transaction for both assets.

    The sensor's runs look at what came since the last run; all others at the whole pool.
    """
    database = store.open()
    batch = is_batch(context.run)
    with database.read() as connection:
        dataset = get_dataset(connection, context.partition_key)
        recorded = current_policy(connection, dataset)
        before = progress_of(connection, dataset).ledger_position
        staged = has_workflow(connection, dataset)
    for warning in differing_settings(recorded.policy):
        context.log.warning(warning)
    with heartbeat(context.instance, context.run):
        if recorded.policy.is_adaptive:
            from hiveguard_pipeline.quality.calibration import ensure_calibrated

            ensure_calibrated(database, context.partition_key)
        done = apply_votes(database, context.partition_key, run_id=context.run.run_id, everything=not batch)
        if batch and staged:  # the night does it once probabilities are known
            from hiveguard_pipeline.workflow import advance

            advance(database, context.partition_key, run_id=context.run.run_id, since=before)
        shared = _applied_metadata(done) | ({} if batch else _whole_dataset(database, context.partition_key))
    version = dg.DataVersion(f"{done.ledger_position}.{done.policy_id}")
    yield dg.MaterializeResult(
        CONSENSUS.key, metadata={"first_passes": done.first_passes, **shared}, data_version=version
    )
    yield dg.MaterializeResult(
        REVALIDATION.key, metadata={"batches": done.batches, **shared}, data_version=version
    )


@dg.asset(
    group_name=GROUP,
    deps=[REVALIDATION, "label_probabilities", "workflow_stages", ITEMS],
    description="Every label that is not flagged, discarded or gold.",
    kinds={"view"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(*EXPORT_COLUMNS),
)
def finalized_labels(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult[Any]:
    """Count the usable labels; the blocking checks judge them before they are exported."""
    database = store.open()
    with database.read() as connection:
        dataset = get_dataset(connection, context.partition_key)
        position = progress_of(connection, dataset).ledger_position
    return dg.MaterializeResult(
        metadata=_whole_dataset(database, context.partition_key), data_version=dg.DataVersion(str(position))
    )


@dg.asset(
    group_name=GROUP,
    deps=[finalized_labels],
    description=(
        "The graduated labels as files (csv, jsonl, json, parquet, and the training formats of the dataset's"
        " settings) with a manifest, all from one snapshot; latest.json names the newest."
    ),
    kinds={"file", "parquet", "csv", "json"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(*EXPORT_COLUMNS),
)
def training_export(
    context: dg.AssetExecutionContext, store: StoreResource, exports: ExportsResource
) -> dg.MaterializeResult[Any]:
    """Make a snapshot of the dataset's graduated labels, and write a new export of it."""
    from hiveguard_pipeline.snapshots import write_training_export

    database = store.open()
    with heartbeat(context.instance, context.run):
        written = write_training_export(
            database,
            context.partition_key,
            exports.root,
            kept=exports.kept,
            run_id=context.run.run_id,
            snapshots=exports.snapshot_root,
            snapshots_kept=exports.snapshots_kept,
        )
        with database.read() as connection:
            shown = dataset_pictures(connection, get_dataset(connection, context.partition_key))
    for fmt, why in written.refused.items():
        context.log.warning(f"{context.partition_key}: {fmt} was not written, the other files were: {why}")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": written.rows,
            "path": dg.MetadataValue.path(written.path),
            "export_id": written.export_id,
            "is_latest": written.is_latest,
            "snapshot_id": written.snapshot.snapshot_id,
            "newest_vote": written.newest_vote,
            "ledger_position": written.ledger_position,
            "files": dg.MetadataValue.json(written.files),
            "refused": dg.MetadataValue.json(written.refused),
            **shown,
        },
        data_version=dg.DataVersion(f"{written.ledger_position}.{written.snapshot.snapshot_id}"),
    )


def _applied_metadata(done: Applied) -> dict[str, Any]:
    return {
        "votes_applied": done.votes_applied,
        "votes_read": done.votes_read,
        "items_read": done.items_read,
        "horizon": done.horizon,
        "policy_id": done.policy_id,
        "ledger_position": done.ledger_position,
    }


def _whole_dataset(database: Database, name: str) -> dict[str, Any]:
    """Row count and pictures: what a batch run leaves to the night."""
    with database.read() as connection:
        dataset = get_dataset(connection, name)
        rows = connection.execute(
            sa.text("SELECT count(*) FROM finalized_labels WHERE dataset_id = :dataset"),
            {"dataset": dataset.dataset_id},
        ).scalar_one()
        return {"dagster/row_count": int(rows), **dataset_pictures(connection, dataset)}
