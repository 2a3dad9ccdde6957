"""A dataset recounted from its first vote on, for datasets that one machine or one run is too small for."""

import os
import sys
from typing import Any

import dagster as dg
from pydantic import Field

from assets.heartbeat import heartbeat
from assets.labels import GROUP
from assets.metadata import columns
from assets.partitions import DATASETS, OWNERS
from assets.votes import ITEMS, VOTES
from hiveguard_pipeline.resources import ExportsResource, StoreResource

FOLDER = "_recounts"
"""Under the export root, beside the datasets: no dataset's name begins with an underscore."""

COMMAND = [sys.executable, "-c", "from hiveguard_pipeline.cli.main import main; main()", "recount"]

STOP_SECONDS = 60.0


class RecountConfig(dg.Config):
    """Where and how the recount runs."""

    engine: str = Field("spark", description="spark, or local for this machine")
    master: str | None = Field(
        None, description="spark://host:7077, k8s://..., sc://host; without it SPARK_REMOTE, else local[*]"
    )
    output: str | None = Field(
        None, description="a new folder that Spark's executors reach; without it one under the export root"
    )
    into_database: bool = Field(False, description="write the result into the labels and the ledger too")


@dg.asset(
    group_name=GROUP,
    deps=[ITEMS, VOTES],
    description=(
        "Labels, ledger and states counted anew from the first vote on under the dataset's policy, as"
        " Parquet, and back into the database if asked for. A process of its own submits it to Spark."
    ),
    kinds={"spark", "parquet"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(
        ("item_id", "text", "the item"),
        ("label", "text", "the answer that holds the majority"),
        ("confidence", "double", "between 0 and 1, at most six decimals"),
        ("state", "text", "in_revalidation, needs_review or graduated"),
        ("needs_review", "boolean", "whether the label is flagged"),
        ("vote_count", "integer", "votes of the first pass"),
        ("revalidation_vote_count", "integer", "votes applied after it"),
        ("revalidation_epochs", "integer", "1 once graduated"),
        ("policy_id", "integer", "the policy that made the label"),
        ("generation", "integer", "1: a recount begins anew"),
        ("applied_through", "integer", "the newest vote that counts as processed"),
        ("created_at", "timestamp", "when the vote came that completed the first pass, UTC"),
    ),
)
def recounted_labels(
    context: dg.AssetExecutionContext,
    config: RecountConfig,
    store: StoreResource,
    exports: ExportsResource,
) -> dg.MaterializeResult[Any]:
    """Start the recount and follow it; it ends when this run is cancelled or killed."""
    name, run_id = context.partition_key, context.run.run_id
    output = config.output or f"{exports.root.rstrip('/')}/{FOLDER}/{name}/{run_id}"
    command = [*COMMAND, "--engine", config.engine, "--dataset", name, "--output", output]
    command += ["--run-id", run_id, "--end-with", str(os.getpid())]
    command += ["--master", config.master] if config.master else []
    command += ["--into-database"] if config.into_database else []
    # The process reads the address of the store from its environment, as every command does.
    address = os.environ.get(store.url_variable)
    environment = {"HIVEGUARD_DATABASE_URL": address} if address else {}
    client = dg.PipesSubprocessClient(termination_timeout_seconds=STOP_SECONDS)
    with heartbeat(context.instance, context.run):
        done = client.run(context=context, command=command, env=environment)
    return done.get_materialize_result()
