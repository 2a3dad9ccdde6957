"""The jobs, and the hook that tells of failures."""

import json
import urllib.error
import urllib.request

import dagster as dg

from assets.partitions import BATCH_MODE, MODE_TAG
from hiveguard_pipeline.settings import Settings

WEBHOOK_SECONDS = 10


@dg.failure_hook(name="report_failure")
def report_failure(context: dg.HookContext) -> None:
    """Log which step of which run failed, and post it to HIVEGUARD_FAILURE_WEBHOOK if that is set."""
    error = context.op_exception
    message = f"{context.job_name} failed in {context.op.name}: {type(error).__name__}: {error}"
    context.log.error(message)
    webhook = Settings.from_environment().failure_webhook
    if not webhook:
        return
    body = json.dumps(
        {"text": message, "job": context.job_name, "step": context.op.name, "run_id": context.run_id}
    ).encode()
    try:
        request = urllib.request.Request(webhook, body, {"Content-Type": "application/json"})  # noqa: S310
        urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS).close()  # noqa: S310
    except (OSError, ValueError) as failure:
        context.log.warning(f"the failure could not be posted: {type(failure).__name__}")


label_batch_job = dg.define_asset_job(
    "label_batch_job",
    selection=dg.AssetSelection.assets("consensus_labels", "revalidation_state").without_checks(),
    description="Apply the votes that came since the last run; counts and draws nothing.",
    executor_def=dg.in_process_executor,
    tags={MODE_TAG: BATCH_MODE},
    hooks={report_failure},
)

nightly_labels_job = dg.define_asset_job(
    "nightly_labels_job",
    selection=dg.AssetSelection.groups("votes", "labels", "pool", "quality", "learning")
    - dg.AssetSelection.assets("recounted_labels"),
    description=(
        "Everything: labels over the whole pool, the checks, the export, the pool, the review queue, quality,"
        " active learning."
    ),
    executor_def=dg.in_process_executor,
    hooks={report_failure},
)

quality_job = dg.define_asset_job(
    "quality_job",
    selection=dg.AssetSelection.groups("quality"),
    description="Measure the votes of a dataset: what they say of its labels and its people. Labels stay.",
    executor_def=dg.in_process_executor,
    hooks={report_failure},
)

recount_job = dg.define_asset_job(
    "recount_job",
    selection=dg.AssetSelection.assets("recounted_labels"),
    description="Recount a dataset from its first vote on, on Spark or here; started by hand.",
    executor_def=dg.in_process_executor,
    hooks={report_failure},
)

weak_model_job = dg.define_asset_job(
    "weak_model_job",
    selection=dg.AssetSelection.groups("learning"),
    description="Train the weak model of a dataset, propose labels by it, and choose what to ask next.",
    executor_def=dg.in_process_executor,
    hooks={report_failure},
)

label_studio_job = dg.define_asset_job(
    "label_studio_job",
    selection=dg.AssetSelection.assets("label_studio_sync"),
    description="Take what people answered in Label Studio as votes, and send what is to be asked.",
    executor_def=dg.in_process_executor,
    hooks={report_failure},
)
