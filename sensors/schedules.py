"""The nightly run of every dataset."""

from collections.abc import Iterator

import dagster as dg

from assets.partitions import DATASETS
from sensors.jobs import nightly_labels_job
from sensors.runs import DATASET_TAG


@dg.schedule(
    name="nightly_labels_schedule",
    job=nightly_labels_job,
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every dataset at 02:00 UTC; also takes up what the sensor missed or gave up on.",
)
def nightly_labels_schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Ask for one run of each dataset."""
    night = context.scheduled_execution_time.date().isoformat()
    for name in context.instance.get_dynamic_partitions(str(DATASETS.name)):
        yield dg.RunRequest(run_key=f"{name}:{night}", partition_key=name, tags={DATASET_TAG: name})
