"""What Dagster's storage knows of the runs of datasets, asked for all datasets together.

A query of it costs more than a look at the votes, so there are few: none of them is for one dataset alone,
but where the newest runs of another one take all the room.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import dagster as dg

from sensors.attempts import PastRun, has_died
from sensors.jobs import (
    label_batch_job,
    label_studio_job,
    nightly_labels_job,
    quality_job,
    recount_job,
    weak_model_job,
)

DATASET_TAG = "hiveguard/dataset"
NEWEST_TAG = "hiveguard/newest_vote"
PARTITION_TAG = "dagster/partition"

_JOBS = {label_batch_job.name, nightly_labels_job.name}
BY_HAND = "__ASSET_JOB"
"""The job of what is materialised by hand."""
_LABEL_JOBS = _JOBS | {recount_job.name, BY_HAND}
"""Jobs that work on a dataset's labels."""
_WATCHED_JOBS = _LABEL_JOBS | {quality_job.name, weak_model_job.name, label_studio_job.name}
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


def live_datasets(instance: dg.DagsterInstance, names: Iterable[str], now: float, silence: float) -> set[str]:
    """Those of our datasets in which a run that works on labels waits or is under way.

    Runs that have died are marked as failed first, of whichever dataset: one blocks what is queued behind
    it. By status alone, which is indexed: there are few live runs, and as many others as there ever were.
    """
    ours = set(names)
    live = set()
    for record in instance.get_run_records(dg.RunsFilter(statuses=LIVE)):
        run = record.dagster_run
        name = run.tags.get(PARTITION_TAG)
        if name not in ours or run.job_name not in _WATCHED_JOBS:
            continue
        if run.status in _AT_WORK and _is_dead(instance, record, now, silence):
            instance.report_run_failed(run, f"HiveGuard saw no sign of life for {silence:.0f} seconds")
        elif run.job_name in _LABEL_JOBS:
            live.add(name)
    return live


def _is_dead(instance: dg.DagsterInstance, record: dg.RunRecord, now: float, silence: float) -> bool:
    # The run's row is looked at first: reading its events costs a query each.
    written = record.update_timestamp.timestamp()
    if not has_died(written, now, silence):
        return False
    events = instance.get_records_for_run(record.dagster_run.run_id, limit=1, ascending=False).records
    return has_died(max([written, *(entry.event_log_entry.timestamp for entry in events)]), now, silence)


def past_runs(instance: dg.DagsterInstance, names: list[str]) -> dict[str, list[PastRun]]:
    """The newest runs of each dataset that have ended and made labels, newest first.

    All that `attempts.decide` looks at: up to a success, or among the newest _PAST_RUNS of the dataset.
    """
    if not names:
        return {}
    limit = _PAST_RUNS * len(names)
    found = _ended(instance, names, limit)
    by_dataset: dict[str, list[dg.RunRecord]] = {name: [] for name in names}
    for record in found:
        by_dataset[record.dagster_run.tags[PARTITION_TAG]].append(record)
    past = {name: _label_runs(records[:_PAST_RUNS]) for name, records in by_dataset.items()}
    if len(found) == limit:
        for name, records in by_dataset.items():
            if len(records) < _PAST_RUNS and not any(run.succeeded for run in past[name]):
                past[name] = _label_runs(_ended(instance, [name], _PAST_RUNS))
    return past


def _ended(instance: dg.DagsterInstance, names: list[str], limit: int) -> list[dg.RunRecord]:
    wanted = dg.RunsFilter(tags={PARTITION_TAG: names}, statuses=_ENDED)
    return list(instance.get_run_records(wanted, limit=limit, ascending=False))


def _label_runs(records: list[dg.RunRecord]) -> list[PastRun]:
    return [
        PastRun(record.dagster_run.status == dg.DagsterRunStatus.SUCCESS, record.end_time or 0.0)
        for record in records
        if record.dagster_run.job_name in _JOBS
    ]


def times_asked(instance: dg.DagsterInstance, due: Mapping[str, int]) -> Counter[str]:
    """How many runs were made of each dataset for its newest vote. due: dataset -> that vote."""
    if not due:
        return Counter()
    votes = sorted({str(through) for through in due.values()})
    runs = instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: list(due), NEWEST_TAG: votes}))
    return Counter(
        name
        for run in runs
        if run.job_name in _JOBS and run.tags[NEWEST_TAG] == str(due[name := run.tags[PARTITION_TAG]])
    )
