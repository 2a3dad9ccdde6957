"""The sensor that asks for a synchronisation with Label Studio where one side has changed."""

import json
import time
from dataclasses import dataclass

import dagster as dg

from assets.partitions import DATASETS
from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.settings import Settings
from sensors.attempts import MOST_ATTEMPTS, PastRun, Verdict
from sensors.attempts import decide as decide_again
from sensors.jobs import label_studio_job
from sensors.runs import LIVE, PARTITION_TAG

STATE_TAG = "hiveguard/label_studio"
FIRST_WAIT = 60.0
LONGEST_WAIT = 3600.0
"""Seconds until a server that did not answer is asked again: 60, 120, 240, ... up to an hour."""

TIMEOUTS = (3.0, 15.0)
"""A tick waits no longer for a connection and for an answer; it tries once."""

_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PAST_RUNS = 10


@dataclass(frozen=True, slots=True)
class Away:
    """How often in a row the server did not answer, and until when it is left alone (seconds since 1970)."""

    failures: int = 0
    until: float = 0.0

    def again(self, now: float) -> "Away":
        """After one more failure."""
        return Away(self.failures + 1, now + min(FIRST_WAIT * 2.0**self.failures, LONGEST_WAIT))


def parse(cursor: str | None) -> Away:
    """The cursor; a server that answers, if it holds nothing that can be read."""
    try:
        failures, until = json.loads(cursor) if cursor else (0, 0.0)
        return Away(max(int(failures), 0), float(until))
    except (ValueError, TypeError):
        return Away()


def decide(past: list[PastRun], live: int, now: float) -> Verdict:
    """`past`: the runs for what is there now, newest first. After a success or three failures none more."""
    if past and past[0].succeeded:
        return Verdict(None, "nothing has changed")
    verdict = decide_again(past, live, now)
    if verdict.attempt is None and not live and len(past) >= MOST_ATTEMPTS:
        return Verdict(None, f"{len(past)} runs failed: tried again when something changes, or by hand")
    return verdict


@dg.sensor(
    name="label_studio_sensor",
    job=label_studio_job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Asks for a synchronisation of each dataset with a Label Studio project when annotations, the"
        " labelling queue or proposals have changed. Idle while HIVEGUARD_LABEL_STUDIO_URL is not set."
    ),
)
def label_studio_sensor(
    context: dg.SensorEvaluationContext, store: StoreResource
) -> dg.SensorResult | dg.SkipReason:
    """One small request a dataset; none to a server that was away a moment ago."""
    now = time.time()
    away = parse(context.cursor)
    try:
        settings = Settings.from_environment()
        if not settings.label_studio_url or not settings.label_studio_token:
            missing = "URL" if not settings.label_studio_url else "TOKEN"
            return dg.SkipReason(f"HIVEGUARD_LABEL_STUDIO_{missing} is not set")
        if away.until > now:
            return dg.SkipReason(f"the server was away; it is asked again in {away.until - now:.0f} s")
        from hiveguard_pipeline.labelstudio.change import our_sides, state_of
        from hiveguard_pipeline.labelstudio.client import Client, checked_url
        from hiveguard_pipeline.labelstudio.server import Server

        url = checked_url(settings.label_studio_url)
        with store.open().look() as connection:
            sides = our_sides(connection, url)
    except HiveGuardError as error:
        return dg.SkipReason(str(error))
    if not sides:
        return dg.SkipReason(f"no dataset has a project on {url}: `hiveguard label-studio push` makes one")
    server = Server(Client(url, settings.label_studio_token, attempts=1, timeouts=TIMEOUTS))
    requests, reasons = [], []
    try:
        for side in sides:
            request, reason = _request(context.instance, side.dataset, state_of(server, side), now)
            if request is not None:
                requests.append(request)
            else:
                reasons.append(f"{side.dataset}: {reason}")
        away = Away()
    except HiveGuardError as error:
        away = away.again(now)
        reasons.append(f"{error} Asked again in {away.until - now:.0f} s.")
    there = set(context.instance.get_dynamic_partitions(str(DATASETS.name)))
    missing_keys = [str(one.partition_key) for one in requests if one.partition_key not in there]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "; ".join(reasons),
        cursor=json.dumps([away.failures, away.until]),
        dynamic_partitions_requests=[DATASETS.build_add_request(missing_keys)] if missing_keys else [],
    )


def _request(
    instance: dg.DagsterInstance, name: str, state: str, now: float
) -> tuple[dg.RunRequest | None, str]:
    mine = {PARTITION_TAG: name}
    live = sum(
        run.job_name == label_studio_job.name
        for run in instance.get_runs(dg.RunsFilter(tags=mine, statuses=LIVE))
    )
    ended = instance.get_run_records(
        dg.RunsFilter(tags=mine | {STATE_TAG: state}, statuses=_ENDED), limit=_PAST_RUNS, ascending=False
    )
    past = [
        PastRun(record.dagster_run.status == dg.DagsterRunStatus.SUCCESS, record.end_time or 0.0)
        for record in ended
    ]
    verdict = decide(past, live, now)
    if verdict.attempt is None:
        return None, verdict.reason
    return (
        dg.RunRequest(
            run_key=f"{name}:label-studio:{state}:{len(past) + 1}",
            partition_key=name,
            tags={STATE_TAG: state},
        ),
        verdict.reason,
    )
