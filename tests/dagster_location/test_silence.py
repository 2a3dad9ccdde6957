"""How long a run may be silent: the setting, beats through an outage, dead runs that nobody waits for."""

import time
from types import SimpleNamespace

import dagster as dg
import pytest
import sqlalchemy as sa

from assets.heartbeat import heartbeat
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from tests.dagster_location.crowd import put_votes
from tests.dagster_location.test_sensors import Status, Ticking, later, sensor, start

__all__ = ["later", "sensor"]


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_the_setting_says_how_long_a_run_may_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIVEGUARD_RUN_SILENCE_SECONDS", raising=False)
    assert Settings.from_environment().run_silence_seconds == 600
    monkeypatch.setenv("HIVEGUARD_RUN_SILENCE_SECONDS", "45")
    assert Settings.from_environment().run_silence_seconds == 45


@pytest.mark.parametrize("text", ["9", "0", "-60", "1.5", "soon", "6e2"])
def test_a_setting_that_cannot_be_used_is_refused_by_name(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEGUARD_RUN_SILENCE_SECONDS", text)
    with pytest.raises(BadInputError, match=f"HIVEGUARD_RUN_SILENCE_SECONDS .* not '{text}'"):
        Settings.from_environment()


def test_a_silence_that_is_set_shorter_is_kept_to(
    database: Database,
    dataset: Dataset,
    sensor: Ticking,
    later: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HIVEGUARD_RUN_SILENCE_SECONDS", "60")
    put_votes(database, dataset, {"cat": "aaa"})
    run = start(sensor, Status.STARTED)
    later.seconds = 55
    assert "a run is under way" in sensor.reason()
    later.seconds = 65
    assert sensor.request().tags["hiveguard/attempt"] == "2"
    assert status_of(sensor.instance, run) == Status.FAILURE


@pytest.mark.parametrize("job", ["nightly_labels_job", "quality_job"])
def test_a_dead_run_is_reported_where_no_vote_is_due_too(
    job: str, dataset: Dataset, sensor: Ticking, later: SimpleNamespace
) -> None:
    run = start(sensor, Status.STARTED, job=job)
    later.seconds = 605
    assert sensor.requests() == []
    assert status_of(sensor.instance, run) == Status.FAILURE


def test_a_silent_run_of_another_code_location_is_left_alone(
    dataset: Dataset, sensor: Ticking, later: SimpleNamespace
) -> None:
    run = start(sensor, Status.STARTED, name="their partition", job="nightly_labels_job")
    later.seconds = 100_000
    assert sensor.requests() == []
    assert status_of(sensor.instance, run) == Status.STARTED


def test_the_beats_go_on_after_an_outage_of_dagsters_storage(
    dataset: Dataset, sensor: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(sensor, Status.STARTED)
    written = sensor.instance.report_engine_event
    tried: list[float] = []

    def away_at_first(*arguments: object) -> object:
        tried.append(time.monotonic())
        if len(tried) < 3:
            raise sa.exc.OperationalError("INSERT", {}, Exception("server closed the connection"))
        return written(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sensor.instance, "report_engine_event", away_at_first)
    with heartbeat(sensor.instance, run, every=0.02):
        until = time.monotonic() + 20
        while len(tried) < 5 and time.monotonic() < until:
            time.sleep(0.02)
    beats = [entry for entry in sensor.instance.all_logs(run.run_id) if "is at work" in entry.message]
    assert len(beats) >= 2
