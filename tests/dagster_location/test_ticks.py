"""Ticks that meet trouble, and the quieter starters of runs: dead runs, an absent database, the night."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from hiveguard_pipeline.definitions import defs
from hiveguard_pipeline.intake import import_items
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from tests.dagster_location.crowd import put_votes
from tests.dagster_location.test_sensors import Status, Ticking, later, sensor, start

__all__ = ["later", "sensor"]


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the time zone of this process, and takes it back."""

    def set_zone(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_zone
    monkeypatch.delenv("TZ", raising=False)
    time.tzset()


@pytest.mark.parametrize("status", [Status.STARTING, Status.STARTED, Status.CANCELING])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Lima"])
def test_a_run_without_a_sign_of_life_for_ten_minutes_has_failed(
    status: Status,
    zone: str,
    database: Database,
    dataset: Dataset,
    sensor: Ticking,
    later: SimpleNamespace,
    in_zone: Callable[[str], None],
) -> None:
    in_zone(zone)
    put_votes(database, dataset, {"cat": "aaa"})
    run = start(sensor, status)
    later.seconds = 590
    assert "a run is under way" in sensor.reason()
    later.seconds = 605
    request = sensor.request()
    found = sensor.instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == Status.FAILURE
    assert request.tags["hiveguard/attempt"] == "2"
    assert any("no sign of life" in entry.message for entry in sensor.instance.all_logs(run.run_id))


def test_a_run_that_writes_events_lives_on(
    database: Database, dataset: Dataset, sensor: Ticking, later: SimpleNamespace
) -> None:
    put_votes(database, dataset, {"cat": "aaa"})
    run = start(sensor, Status.STARTED)
    time.sleep(1.2)
    sensor.instance.report_engine_event("HiveGuard is at work", run)
    later.seconds = 599.5  # over ten minutes since it started
    assert "a run is under way" in sensor.reason()


def test_a_run_that_waits_in_the_queue_is_never_dead(
    database: Database, dataset: Dataset, sensor: Ticking, later: SimpleNamespace
) -> None:
    put_votes(database, dataset, {"cat": "aaa"})
    run = start(sensor, Status.QUEUED)
    later.seconds = 100_000
    assert "a run is under way" in sensor.reason()
    found = sensor.instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == Status.QUEUED


@pytest.mark.parametrize("name", ["unprocessed_votes_sensor", "datasets_sensor"])
@pytest.mark.parametrize("kind", ["no server", "no database file", "no folder"])
def test_a_database_that_is_away_skips_the_tick_with_a_reason_and_no_password(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "text.db").write_text("this is no database, but it is long enough to be looked at" * 20)
    monkeypatch.setenv(
        "HIVEGUARD_DATABASE_URL",
        {
            "no server": "postgresql://someone:sw0rdfish@127.0.0.1:1/votes",
            "no database file": f"sqlite:///{tmp_path / 'text.db'}",
            "no folder": "sqlite:////etc/hostname/x/votes.db",
        }[kind],
    )
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(
            instance, cursor='{"animals": 3}', resources={"store": StoreResource()}
        )
        found = defs.resolve_sensor_def(name)(context)
        assert isinstance(found, dg.SkipReason)
        assert "could not be read" in str(found.skip_message)
        assert "sw0rdfish" not in str(found.skip_message)


def test_a_tick_after_an_outage_asks_for_what_came_meanwhile(
    database: Database, dataset: Dataset, sensor: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor.tick()
    with monkeypatch.context() as away:
        away.setenv("HIVEGUARD_DATABASE_URL", "postgresql://someone:sw0rdfish@127.0.0.1:1/votes")
        put_votes(database, dataset, {"cat": "aaa"})
        assert isinstance(sensor.tick(), dg.SkipReason)
    assert sensor.request().partition_key == "animals"


def _tick_datasets(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    context = dg.build_sensor_context(instance, cursor, resources={"store": StoreResource()})
    found = defs.resolve_sensor_def("datasets_sensor")(context)
    assert isinstance(found, dg.SensorResult)
    return found


def test_datasets_become_partitions_once(
    database: Database, dataset: Dataset, instance: dg.DagsterInstance
) -> None:
    create_dataset(database, "birds", Policy())
    create_dataset(database, "cars", Policy())
    first = _tick_datasets(instance, None)
    (asked,) = first.dynamic_partitions_requests or []
    assert (asked.partitions_def_name, list(asked.partition_keys)) == ("datasets", ["birds", "cars"])
    instance.add_dynamic_partitions("datasets", list(asked.partition_keys))
    again = _tick_datasets(instance, first.cursor)
    assert not again.dynamic_partitions_requests
    assert again.skip_reason is not None


def test_imported_items_are_observed_once(
    database: Database, dataset: Dataset, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    before = _tick_datasets(instance, None)
    assert list(before.asset_events) == []
    file = tmp_path / "items.csv"
    file.write_text("external_id,data_ref,modality\ncat,https://example.com/cat.jpg,image\n")
    import_items(database, "animals", file)
    found = _tick_datasets(instance, before.cursor)
    (observed,) = found.asset_events
    assert isinstance(observed, dg.AssetObservation)
    assert (observed.asset_key.to_user_string(), observed.partition) == ("items", "animals")
    assert observed.tags == {"dagster/data_version": "1"}
    assert json.loads(str(found.cursor)) == {"animals": 1}
    assert list(_tick_datasets(instance, found.cursor).asset_events) == []


def test_the_night_asks_for_one_run_a_dataset() -> None:
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("datasets", ["animals", "birds"])
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=datetime(2026, 11, 20, 2, tzinfo=UTC)
        )
        requests = list(defs.resolve_schedule_def("nightly_labels_schedule")(context))
    assert [request.partition_key for request in requests] == ["animals", "birds"]
    assert [request.run_key for request in requests] == ["animals:2026-11-20", "birds:2026-11-20"]
    assert all(request.tags["hiveguard/dataset"] == request.partition_key for request in requests)
