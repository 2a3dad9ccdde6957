"""The sensor that asks for a batch run where one would write to the ledger."""

import time

import dagster as dg

from assets.partitions import DATASETS
from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.backlog import Look, Position, look
from sensors.attempts import PastRun, decide, has_died
from sensors.jobs import label_batch_job, nightly_labels_job, quality_job, recount_job

DATASET_TAG = "hiveguard/dataset"
NEWEST_TAG = "hiveguard/newest_vote"
PARTITION_TAG = "dagster/partition"
_JOBS = {label_batch_job.name, nightly_labels_job.name}
BY_HAND = "__ASSET_JOB"
"""The job of what is materialised by hand."""
_LIVE_JOBS = _JOBS | {recount_job.name, BY_HAND}
"""Jobs that work on a dataset's labels."""
_WATCHED_JOBS = _LIVE_JOBS | {quality_job.name}
"""Jobs whose runs may be found dead."""

_AT_WORK = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
LIVE = [*_AT_WORK, dg.DagsterRunStatus.QUEUED]
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PAST_RUNS = 20


@dg.sensor(
    name="unprocessed_votes_sensor",
    job=label_batch_job,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Asks for one run for each dataset in which a run would write to the ledger: an item of the pool"
        " with a full batch, or with enough votes for a majority."
    ),
)
def unprocessed_votes_sensor(
    context: dg.SensorEvaluationContext, store: StoreResource
) -> dg.SensorResult | dg.SkipReason:
    """Look at the votes that came since the last tick."""
    try:
        found = look(store.open(), Position.parse(context.cursor))
        silence = Settings.from_environment().run_silence_seconds
    except HiveGuardError as error:
        return dg.SkipReason(f"the votes could not be read: {error}")
    _report_dead(context.instance, found.datasets, silence)
    requests, reasons = [], []
    for name, through in sorted(found.position.due.items()):
        request, reason = _request(context.instance, name, through)
        if request is not None:
            requests.append(request)
        else:
            reasons.append(f"{name}: {reason}")
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "; ".join(reasons) or "no dataset has a full batch",
        cursor=found.position.text(),
        dynamic_partitions_requests=_missing_partitions(context.instance, found, requests),
        asset_events=[
            dg.AssetObservation(
                "votes",
                partition=name,
                metadata={"newest_vote": newest},
                tags={"dagster/data_version": str(newest)},
            )
            for name, newest in sorted(found.newest.items())
        ],
    )


def _request(instance: dg.DagsterInstance, name: str, through: int) -> tuple[dg.RunRequest | None, str]:
    now = time.time()
    live = _live_runs(instance, name)
    ended = _runs(instance, {PARTITION_TAG: name}, _ENDED)
    past = [
        PastRun(record.dagster_run.status == dg.DagsterRunStatus.SUCCESS, record.end_time or 0.0)
        for record in ended
    ]
    verdict = decide(past, live, now)
    if verdict.attempt is None:
        return None, verdict.reason
    # A run key is for ever, so it counts all runs that were made for this newest vote.
    asked = len(_runs(instance, {PARTITION_TAG: name, NEWEST_TAG: str(through)}, None))
    return (
        dg.RunRequest(
            run_key=f"{name}:{through}:{asked + 1}",
            partition_key=name,
            tags={
                DATASET_TAG: name,
                NEWEST_TAG: str(through),
                "hiveguard/attempt": str(verdict.attempt),
            },
        ),
        verdict.reason,
    )


def _live_runs(instance: dg.DagsterInstance, name: str) -> int:
    """Runs of a dataset that wait or are under way."""
    return len(_runs(instance, {PARTITION_TAG: name}, LIVE))


def _report_dead(instance: dg.DagsterInstance, datasets: list[str], silence: float) -> None:
    """Mark the runs that have died as failed: of every dataset, since one blocks what is queued behind it."""
    now = time.time()
    for record in instance.get_run_records(dg.RunsFilter(statuses=_AT_WORK)):
        run = record.dagster_run
        ours = run.job_name in _WATCHED_JOBS and run.tags.get(PARTITION_TAG) in datasets
        # The run's row is looked at first: reading its events costs a query each.
        if not ours or not has_died(record.update_timestamp.timestamp(), now, silence):
            continue
        if has_died(_last_sign(instance, record), now, silence):
            instance.report_run_failed(run, f"HiveGuard saw no sign of life for {silence:.0f} seconds")


def _last_sign(instance: dg.DagsterInstance, record: dg.RunRecord) -> float:
    events = instance.get_records_for_run(record.dagster_run.run_id, limit=1, ascending=False).records
    written = [entry.event_log_entry.timestamp for entry in events]
    return max([*written, record.update_timestamp.timestamp()])


def _runs(
    instance: dg.DagsterInstance, tags: dict[str, str], statuses: list[dg.DagsterRunStatus] | None
) -> list[dg.RunRecord]:
    records = instance.get_run_records(
        dg.RunsFilter(tags=dict(tags), statuses=statuses), limit=_PAST_RUNS, ascending=False
    )
    jobs = _LIVE_JOBS if statuses is LIVE else _JOBS
    return [record for record in records if record.dagster_run.job_name in jobs]


def _missing_partitions(
    instance: dg.DagsterInstance, found: Look, requests: list[dg.RunRequest]
) -> list[dg.AddDynamicPartitionsRequest]:
    if not requests and not found.newest:
        return []
    there = set(instance.get_dynamic_partitions(str(DATASETS.name)))
    missing = [name for name in found.datasets if name not in there]
    return [DATASETS.build_add_request(missing)] if missing else []
