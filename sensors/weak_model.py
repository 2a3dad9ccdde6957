"""The sensor that trains a dataset's weak model anew as labels graduate."""

import dagster as dg

from assets.partitions import DATASETS
from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.learning.extras import is_installed
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store.overview import overview
from sensors.counted import Counted, live_runs, parse, written
from sensors.jobs import nightly_labels_job, weak_model_job
from sensors.runs import BY_HAND

_JOBS = {weak_model_job.name, nightly_labels_job.name, BY_HAND}


def decide(labels: int, wanted: int, live: int) -> str | None:
    """Why not to ask for a run now; None: ask for one. `live`: runs that train the model already."""
    if labels < wanted:
        return f"{labels} of {wanted} new graduated labels"
    if live:
        return f"{labels} new graduated labels, and a run is under way"
    return None


@dg.sensor(
    name="weak_model_sensor",
    job=weak_model_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Asks for a new weak model, proposals and queue of a dataset after every retrain_every (500) labels"
        " that graduate. Without the extra `active` it does nothing."
    ),
)
def weak_model_sensor(
    context: dg.SensorEvaluationContext, store: StoreResource
) -> dg.SensorResult | dg.SkipReason:
    """Count the labels that graduated since the last tick.

    Those that no run was asked for yet stay in the cursor, whatever has happened meanwhile.
    """
    if not is_installed("active"):
        return dg.SkipReason("no model is trained here: pip install 'hiveguard-pipeline[active]'")
    try:
        counted, wanted = _count(store, parse(context.cursor))
    except HiveGuardError as error:
        return dg.SkipReason(f"the labels could not be counted: {error}")
    requests, reasons = [], []
    for name, every in sorted(wanted.items()):
        now = counted[name]
        live = live_runs(context.instance, name, _JOBS) if now.labels >= every else 0
        reason = decide(now.labels, every, live)
        if reason is None:
            requests.append(dg.RunRequest(run_key=f"{name}:weak_model:{now.through}", partition_key=name))
            counted[name] = Counted(now.through, 0)
        else:
            reasons.append(f"{name}: {reason}")
    there = set(context.instance.get_dynamic_partitions(str(DATASETS.name)))
    missing = [str(request.partition_key) for request in requests if request.partition_key not in there]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "; ".join(reasons) or "no label has graduated",
        cursor=written(counted),
        dynamic_partitions_requests=[DATASETS.build_add_request(missing)] if missing else [],
    )


def _count(store: StoreResource, before: dict[str, Counted]) -> tuple[dict[str, Counted], dict[str, int]]:
    """What was counted by dataset; and of those with new labels, after how many each wants a model."""
    from hiveguard_pipeline.learning.graduated import labels_graduated
    from hiveguard_pipeline.learning.settings import active_settings

    counted, wanted = {}, {}
    with store.open().read() as connection:
        for one in overview(connection):
            dataset, position = one.dataset, one.progress.ledger_position
            if is_structured(dataset.task_type):
                continue
            was = before.get(dataset.name, Counted())
            labels = was.labels
            if position > was.through:
                labels += labels_graduated(connection, dataset, was.through, position)
            counted[dataset.name] = Counted(max(position, was.through), labels)
            if labels:
                wanted[dataset.name] = active_settings(connection, dataset).retrain_every
    return counted, wanted
