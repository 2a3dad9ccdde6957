"""The sensor that measures a dataset's quality again after every 200 new labels."""

import dagster as dg

from assets.partitions import DATASETS
from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.quality.new_labels import labels_given
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.store.overview import overview
from sensors.counted import Counted, live_runs, parse, written
from sensors.jobs import nightly_labels_job, quality_job
from sensors.runs import BY_HAND

LABELS_A_RUN = 200

_JOBS = {quality_job.name, nightly_labels_job.name, BY_HAND}


def decide(labels: int, live: int) -> str | None:
    """Why not to ask for a run now; None: ask for one. `live`: runs that measure the dataset already."""
    if labels < LABELS_A_RUN:
        return f"{labels} of {LABELS_A_RUN} new labels"
    if live:
        return f"{labels} new labels, and a run is under way"
    return None


@dg.sensor(
    name="quality_sensor",
    job=quality_job,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=f"Asks for a run of the quality assets of a dataset after every {LABELS_A_RUN} new labels.",
)
def quality_sensor(
    context: dg.SensorEvaluationContext, store: StoreResource
) -> dg.SensorResult | dg.SkipReason:
    """Count the labels that the ledger gained since the last tick.

    Labels that no run was asked for yet stay in the cursor, whatever has happened meanwhile.
    """
    try:
        counted = _count(store, parse(context.cursor))
    except HiveGuardError as error:
        return dg.SkipReason(f"the labels could not be counted: {error}")
    requests, reasons = [], []
    for name, now in sorted(counted.items()):
        live = live_runs(context.instance, name, _JOBS) if now.labels >= LABELS_A_RUN else 0
        reason = decide(now.labels, live)
        if reason is None:
            requests.append(dg.RunRequest(run_key=f"{name}:quality:{now.through}", partition_key=name))
            counted[name] = Counted(now.through, 0)
        else:
            reasons.append(f"{name}: {reason}")
    there = set(context.instance.get_dynamic_partitions(str(DATASETS.name)))
    missing = [str(request.partition_key) for request in requests if request.partition_key not in there]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "; ".join(reasons) or "there is no dataset",
        cursor=written(counted),
        dynamic_partitions_requests=[DATASETS.build_add_request(missing)] if missing else [],
    )


def _count(store: StoreResource, before: dict[str, Counted]) -> dict[str, Counted]:
    counted = {}
    with store.open().read() as connection:
        for one in overview(connection):
            was = before.get(one.dataset.name, Counted())
            position = one.progress.ledger_position
            new = (
                labels_given(connection, one.dataset, was.through, position) if position > was.through else 0
            )
            counted[one.dataset.name] = Counted(max(position, was.through), was.labels + new)
    return counted
