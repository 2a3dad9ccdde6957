"""The sensor that asks for a batch run where one would write to the ledger."""

import time

import dagster as dg

from assets.partitions import DATASETS
from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.backlog import Position, look
from sensors.attempts import decide
from sensors.jobs import label_batch_job
from sensors.runs import DATASET_TAG, NEWEST_TAG, live_datasets, past_runs, times_asked


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
    live = live_datasets(context.instance, found.datasets, time.time(), silence)
    requests, reasons = _requests(context.instance, found.position.due, live)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "; ".join(reasons) or "no dataset has a full batch",
        cursor=found.position.text(),
        dynamic_partitions_requests=_missing_partitions(context.instance, found.datasets, requests),
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


def _requests(
    instance: dg.DagsterInstance, due: dict[str, int], live: set[str]
) -> tuple[list[dg.RunRequest], list[str]]:
    """A request for each due dataset that may be asked for now, and for the others why not."""
    past = past_runs(instance, sorted(due.keys() - live))
    now = time.time()
    verdicts = {name: decide(past.get(name, []), int(name in live), now) for name in sorted(due)}
    attempts = {name: verdict.attempt for name, verdict in verdicts.items() if verdict.attempt is not None}
    # A run key is for ever, so it counts all runs that were made for this newest vote.
    asked = times_asked(instance, {name: due[name] for name in attempts})
    requests = [
        dg.RunRequest(
            run_key=f"{name}:{due[name]}:{asked[name] + 1}",
            partition_key=name,
            tags={
                DATASET_TAG: name,
                NEWEST_TAG: str(due[name]),
                "hiveguard/attempt": str(attempt),
            },
        )
        for name, attempt in attempts.items()
    ]
    return requests, [
        f"{name}: {verdict.reason}" for name, verdict in verdicts.items() if name not in attempts
    ]


def _missing_partitions(
    instance: dg.DagsterInstance, datasets: list[str], requests: list[dg.RunRequest]
) -> list[dg.AddDynamicPartitionsRequest]:
    """All that are missing, once a run is asked for; until then they are `datasets_sensor`'s to add."""
    if not requests:
        return []
    there = set(instance.get_dynamic_partitions(str(DATASETS.name)))
    missing = [name for name in datasets if name not in there]
    return [DATASETS.build_add_request(missing)] if missing else []
