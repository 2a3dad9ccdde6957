"""The sensor of batches, on an ephemeral instance with real runs, on both databases."""

import time
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from hiveguard_pipeline.definitions import defs
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from sensors import unprocessed_votes
from tests.dagster_location.crowd import CROWD, change, put_votes

JOB = defs.resolve_job_def("label_batch_job")
LOCATION = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("hiveguard_pipeline"), "__repository__")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
Status = dg.DagsterRunStatus


class Ticking:
    """The sensor as the daemon drives it: its cursor is kept, its partitions are added."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None
        self.sensor = defs.resolve_sensor_def("unprocessed_votes_sensor")

    def tick(self) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(self.instance, self.cursor, resources={"store": StoreResource()})
        found = self.sensor(context)
        assert isinstance(found, dg.SensorResult | dg.SkipReason)
        if isinstance(found, dg.SensorResult):
            self.cursor = found.cursor
            for request in found.dynamic_partitions_requests or []:
                self.instance.add_dynamic_partitions("datasets", list(request.partition_keys))
        return found

    def requests(self) -> list[dg.RunRequest]:
        found = self.tick()
        assert isinstance(found, dg.SensorResult), found
        return list(found.run_requests or [])

    def request(self) -> dg.RunRequest:
        (request,) = self.requests()
        return request

    def reason(self) -> str:
        found = self.tick()
        assert not (isinstance(found, dg.SensorResult) and found.run_requests)
        skipped = found if isinstance(found, dg.SkipReason) else found.skip_reason
        return str(skipped.skip_message if isinstance(skipped, dg.SkipReason) else skipped)

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """What the daemon does with a request."""
        return JOB.execute_in_process(
            instance=self.instance,
            partition_key=request.partition_key,
            tags=dict(request.tags),
            run_config=QUIET,
            raise_on_error=False,
        )


@pytest.fixture
def sensor(instance: dg.DagsterInstance) -> Ticking:
    return Ticking(instance)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock for the sensor: `later.seconds` ahead of the real one."""
    clock = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(unprocessed_votes, "time", SimpleNamespace(time=lambda: time.time() + clock.seconds))
    return clock


def start(
    sensor: Ticking, status: Status, name: str = "animals", job: str = "label_batch_job"
) -> dg.DagsterRun:
    """A run record in a status, as the daemon or the UI makes it."""
    return sensor.instance.create_run_for_job(
        defs.resolve_job_def(job),
        tags={"dagster/partition": name},
        status=status,
        remote_job_origin=RemoteJobOrigin(LOCATION, job),
    )


def test_one_run_is_asked_for_each_due_dataset(database: Database, dataset: Dataset, sensor: Ticking) -> None:
    others = {name: create_dataset(database, name, Policy()) for name in ("birds", "cars")}
    put_votes(database, dataset, {"cat": "aaa", "dog": "bbb"})
    put_votes(database, others["birds"], {"owl": "aaa"})
    put_votes(database, others["cars"], {"bus": "aa"})
    requests = sensor.requests()
    assert [request.partition_key for request in requests] == ["animals", "birds"]
    assert len({request.run_key for request in requests}) == 2
    assert all(request.tags["hiveguard/dataset"] == request.partition_key for request in requests)
    assert all(sensor.run(request).success for request in requests)
    assert sensor.requests() == []
    assert apply_votes(database, "animals", run_id="again", everything=True).votes_applied == 0


def test_missing_partitions_are_asked_for(database: Database, dataset: Dataset, sensor: Ticking) -> None:
    put_votes(database, create_dataset(database, "birds", Policy()), {"owl": "aaa"})
    found = sensor.tick()
    assert isinstance(found, dg.SensorResult)
    (asked,) = found.dynamic_partitions_requests or []
    assert (asked.partitions_def_name, list(asked.partition_keys)) == ("datasets", ["birds"])
    assert set(sensor.instance.get_dynamic_partitions("datasets")) == {"animals", "birds"}


def test_new_votes_are_observed_with_their_newest_id(
    database: Database, dataset: Dataset, sensor: Ticking
) -> None:
    put_votes(database, dataset, {"cat": "aa", "dog": "b"})
    found = sensor.tick()
    assert isinstance(found, dg.SensorResult)
    (observed,) = found.asset_events
    assert isinstance(observed, dg.AssetObservation)
    assert (observed.asset_key.to_user_string(), observed.partition) == ("votes", "animals")
    assert observed.tags == {"dagster/data_version": "3"}
    again = sensor.tick()
    assert isinstance(again, dg.SensorResult)
    assert list(again.asset_events) == []


@pytest.mark.parametrize(
    ("settings", "answers"),
    [
        ({"CONSENSUS_THRESHOLD": "5"}, "aaa"),
        ({"CONSENSUS_THRESHOLD": "4"}, "abab"),
        ({}, "abca"),
        ({}, "ab"),
        ({}, "aaa" + "aa"),
        ({"REVALIDATION_MIN_VOTES": "4"}, "aaa" + "aab"),
    ],
    ids=["three of five", "two against two", "two of four", "two", "rest of a batch", "three of four"],
)
def test_what_a_run_would_not_write_asks_for_none(
    settings: dict[str, str], answers: str, database: Database, dataset: Dataset, sensor: Ticking
) -> None:
    if settings:
        set_policy(database, "animals", settings, actor="lead", reason="test")
    put_votes(database, dataset, {"cat": answers})
    if answers.startswith("aaa"):
        apply_votes(database, "animals", run_id="before")
    assert "no dataset has a full batch" in sensor.reason()


@pytest.mark.parametrize("state", ["graduated", "flagged"])
def test_votes_for_an_item_out_of_the_pool_ask_for_no_run(
    state: str, database: Database, dataset: Dataset, sensor: Ticking
) -> None:
    put_votes(database, dataset, CROWD)
    apply_votes(database, "animals", run_id="before")
    assert sensor.requests() == []
    put_votes(database, dataset, {state: "bbbbbb"})
    assert sensor.requests() == []


def test_votes_for_a_gold_item_ask_for_no_run(database: Database, dataset: Dataset, sensor: Ticking) -> None:
    put_votes(database, dataset, {"known": "aaaaaa"}, gold="a")
    assert sensor.requests() == []


@pytest.mark.parametrize(
    "status", [Status.NOT_STARTED, Status.QUEUED, Status.STARTING, Status.STARTED, Status.CANCELING]
)
@pytest.mark.parametrize("job", ["label_batch_job", "nightly_labels_job"])
def test_no_run_is_asked_for_while_one_lives(
    status: Status, job: str, database: Database, dataset: Dataset, sensor: Ticking
) -> None:
    put_votes(database, dataset, {"cat": "aaa"})
    put_votes(database, create_dataset(database, "birds", Policy()), {"owl": "aaa"})
    live = start(sensor, status, job=job)
    assert [request.partition_key for request in sensor.requests()] == ["birds"]
    sensor.instance.report_run_canceled(live)
    assert [request.partition_key for request in sensor.requests()] == [
        "birds"
    ]  # it waits as after a failure


def test_each_attempt_has_its_own_run_key_and_after_three_the_sensor_gives_up(
    database: Database, dataset: Dataset, sensor: Ticking, later: SimpleNamespace
) -> None:
    put_votes(database, dataset, {"cat": "aaa"})
    change(database, "ALTER TABLE batches RENAME TO away")  # runs fail, looking does not
    keys = []
    for attempt, wait in ((1, 0.0), (2, 31.0), (3, 121.0)):
        later.seconds += wait
        request = sensor.request()
        assert request.tags["hiveguard/attempt"] == str(attempt)
        keys.append(request.run_key)
        assert not sensor.run(request).success
        if attempt < 3:
            assert f"{attempt} failed, tried again in" in sensor.reason()
    assert len(set(keys)) == 3
    later.seconds += 100_000
    assert "3 runs in a row failed: left to the nightly run" in sensor.reason()

    change(database, "ALTER TABLE away RENAME TO batches")
    put_votes(database, dataset, {"dog": "aaa"})
    assert "3 runs in a row failed" in sensor.reason()
    nightly = defs.resolve_job_def("nightly_labels_job")
    done = nightly.execute_in_process(instance=sensor.instance, partition_key="animals", run_config=QUIET)
    assert done.success
    assert sensor.requests() == []
    put_votes(database, dataset, {"emu": "aaa"})
    assert sensor.request().tags["hiveguard/attempt"] == "1"


def test_a_new_tick_asks_again_with_the_same_key_until_the_run_is_there(
    database: Database, dataset: Dataset, sensor: Ticking
) -> None:
    put_votes(database, dataset, {"cat": "aaa"})
    assert sensor.request().run_key == sensor.request().run_key


def test_a_lost_cursor_asks_for_no_run_twice(database: Database, dataset: Dataset, sensor: Ticking) -> None:
    put_votes(database, dataset, {"cat": "aaa"})
    request = sensor.request()
    sensor.cursor = None
    assert sensor.request().run_key == request.run_key
    assert sensor.run(request).success
    sensor.cursor = "not a cursor"
    assert sensor.requests() == []


def test_a_changed_policy_that_lets_waiting_votes_through_asks_for_a_run(
    database: Database, dataset: Dataset, sensor: Ticking
) -> None:
    set_policy(database, "animals", {"CONSENSUS_THRESHOLD": "5"}, actor="lead", reason="strict")
    put_votes(database, dataset, {"cat": "aaa", "dog": "aaaaa"})
    assert sensor.run(sensor.request()).success
    assert sensor.requests() == []
    set_policy(database, "animals", {"CONSENSUS_THRESHOLD": "3"}, actor="lead", reason="softer")
    assert sensor.run(sensor.request()).success
    assert sensor.requests() == []
