"""The runs of many datasets, asked of Dagster's storage together, are those of each one alone."""

from types import SimpleNamespace

import dagster as dg
import pytest

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from sensors.runs import NEWEST_TAG, past_runs, times_asked
from tests.dagster_location.crowd import put_votes
from tests.dagster_location.test_sensors import Status, Ticking, later, sensor, start

__all__ = ["later", "sensor"]


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: object) -> str:
    """SQLite alone: what is tested here asks Dagster's storage, and no vote."""
    return f"sqlite:///{tmp_path}/hiveguard.db"


def test_runs_of_a_busy_dataset_hide_no_failure_of_another(
    database: Database, dataset: Dataset, sensor: Ticking
) -> None:
    put_votes(database, dataset, {"cat": "aaa"})
    put_votes(database, create_dataset(database, "birds", Policy()), {"owl": "aaa"})
    start(sensor, Status.SUCCESS)
    start(sensor, Status.FAILURE)
    for _ in range(41):
        start(sensor, Status.FAILURE, name="birds")
    (request,) = sensor.requests()
    assert (request.partition_key, request.tags["hiveguard/attempt"]) == ("animals", "2")
    together = past_runs(sensor.instance, ["animals", "birds"])
    assert [run.succeeded for run in together["animals"]] == [False, True]
    assert together["birds"] == past_runs(sensor.instance, ["birds"])["birds"]
    assert len(together["birds"]) == 20


def test_only_runs_that_make_labels_count(sensor: Ticking, database: Database, dataset: Dataset) -> None:
    start(sensor, Status.FAILURE, job="quality_job")
    start(sensor, Status.SUCCESS, job="nightly_labels_job")
    start(sensor, Status.STARTED)
    assert [run.succeeded for run in past_runs(sensor.instance, ["animals"])["animals"]] == [True]
    assert past_runs(sensor.instance, []) == {}


def test_a_vote_was_asked_for_as_often_as_its_dataset_has_runs_of_it(
    sensor: Ticking, database: Database, dataset: Dataset
) -> None:
    for name, vote, count in (("animals", 7, 25), ("animals", 9, 1), ("birds", 9, 2), ("cars", 7, 1)):
        for _ in range(count):
            run = start(sensor, Status.FAILURE, name=name)
            sensor.instance.add_run_tags(run.run_id, {NEWEST_TAG: str(vote)})
    assert times_asked(sensor.instance, {"animals": 7, "birds": 9}) == {"animals": 25, "birds": 2}
    assert times_asked(sensor.instance, {"cars": 9}) == {}
    assert times_asked(sensor.instance, {}) == {}


def test_a_tick_asks_dagsters_storage_as_often_for_many_datasets_as_for_one(
    database: Database,
    dataset: Dataset,
    sensor: Ticking,
    later: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    for name in ("get_run_records", "get_runs", "get_records_for_run", "get_dynamic_partitions"):
        real = getattr(dg.DagsterInstance, name)

        def noted(*arguments: object, real: object = real, name: str = name, **options: object) -> object:
            asked.append(name)
            return real(*arguments, **options)  # type: ignore[operator]

        monkeypatch.setattr(dg.DagsterInstance, name, noted)
    put_votes(database, dataset, {"cat": "aaa"})
    assert len(sensor.requests()) == 1
    of_one = sorted(asked)
    for number in range(6):
        put_votes(database, create_dataset(database, f"more-{number}", Policy()), {"cat": "aaa"})
    asked.clear()
    assert len(sensor.requests()) == 7
    assert sorted(asked) == of_one
