"""Agreement as an asset with its check, and the sensor that measures again after every 200 labels."""

import json
from pathlib import Path

import dagster as dg
import pytest

from hiveguard_pipeline.definitions import defs
from hiveguard_pipeline.intake import import_votes
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.review import decide as review
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from sensors import agreement as sensor_module
from sensors.agreement import LABELS_A_RUN, decide
from sensors.counted import Counted, parse
from tests.dagster_location.conftest import RunJob
from tests.dagster_location.crowd import change, put_votes
from tests.dagster_location.test_assets import SVG, materialised, picture, version
from tests.dagster_location.test_sensors import start

CHECK = "agreement_is_sufficient"
Status = dg.DagsterRunStatus


def judged(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = [check for check in result.get_asset_check_evaluations() if check.check_name == CHECK]
    return found


def test_real_votes_are_measured_and_the_warning_names_the_causes(
    database: Database, run_job: RunJob, instance: dg.DagsterInstance, shared_votes: Path
) -> None:
    instance.add_dynamic_partitions("datasets", ["cf_amt"])
    create_dataset(database, "cf_amt", Policy())
    import_votes(database, "cf_amt", shared_votes / "cf_amt" / "votes.csv", create_items=True)
    result = run_job("quality_job", "cf_amt")
    assert result.success
    found = materialised(result)["label_agreement"]
    assert found.metadata["votes"].value == 6025
    assert found.metadata["fleiss_kappa"].value == pytest.approx(0.5210388961, abs=1e-9)
    intervals, confusion = (picture(found.metadata[name]) for name in ("agreement", "confusion"))
    assert intervals.tag == confusion.tag == SVG
    assert {"percent agreement", "fleiss kappa of 4", "0.521"} <= set(intervals.itertext())
    assert {"0", "4", "65%"} <= set(confusion.itertext())
    check = judged(result)
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert not check.blocking
    assert "Fleiss' kappa 0.521 is under 0.7" in str(check.description)
    for what, name in (("labels", "4"), ("pairs_of_labels", "1"), ("solvers", "w0012")):
        table = check.metadata[what]
        assert isinstance(table, dg.TableMetadataValue)
        assert name in {value for record in table.records for value in record.data.values()}


def test_good_agreement_passes_and_a_dataset_without_votes_too(
    database: Database, dataset: Dataset, run_job: RunJob
) -> None:
    empty = run_job("quality_job")
    assert empty.success
    assert judged(empty).passed
    assert "undefined" in str(judged(empty).description)
    put_votes(database, dataset, {"cat": "aaa", "dog": "bbb", "owl": "aaa"})
    put_votes(database, dataset, {"known": "bbb"}, gold="b")
    result = run_job("quality_job")
    found = materialised(result)["label_agreement"]
    assert (found.metadata["items"].value, found.metadata["votes"].value) == (4, 12)
    assert judged(result).passed
    assert version(found) == "12.12"


def test_excluded_solvers_are_not_measured(database: Database, dataset: Dataset, run_job: RunJob) -> None:
    put_votes(database, dataset, {"cat": "aab", "dog": "bba"})
    change(
        database,
        "INSERT INTO exclusions (solver_id, dataset_id, reason, actor, created_at)"
        " VALUES ('solver-2', :dataset, 'r', 'a', '2026-11-20T12:00:00.000000Z')",
        dataset=dataset.dataset_id,
    )
    found = materialised(run_job("quality_job"))["label_agreement"].metadata
    assert (found["solvers"].value, found["votes"].value, found["percent_agreement"].value) == (2, 4, 1.0)


def test_low_agreement_stops_no_export(database: Database, dataset: Dataset, run_job: RunJob) -> None:
    put_votes(database, dataset, {"cat": "aab" * 5, "dog": "bba" * 5, "good": "a" * 15})
    result = run_job("nightly_labels_job")
    assert result.success
    assert not judged(result).passed
    assert materialised(result)["training_export"].metadata["dagster/row_count"].value == 3


class Ticking:
    """The quality sensor as the daemon drives it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None
        self.sensor = defs.resolve_sensor_def("quality_sensor")

    def tick(self) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(self.instance, self.cursor, resources={"store": StoreResource()})
        found = self.sensor(context)
        assert isinstance(found, dg.SensorResult | dg.SkipReason)
        if isinstance(found, dg.SensorResult):
            self.cursor = found.cursor
        return found

    def asked(self) -> list[str]:
        """The datasets that a run is asked for."""
        found = self.tick()
        assert isinstance(found, dg.SensorResult), found
        return [str(request.partition_key) for request in found.run_requests or []]


@pytest.fixture
def sensor(instance: dg.DagsterInstance) -> Ticking:
    return Ticking(instance)


@pytest.fixture
def after_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three labels instead of 200."""
    monkeypatch.setattr(sensor_module, "LABELS_A_RUN", 3)


def label(database: Database, dataset: Dataset, *names: str) -> None:
    """Each item gets three votes, and so a label."""
    put_votes(database, dataset, dict.fromkeys(names, "aaa"))
    apply_votes(database, dataset.name, run_id="label")


def test_a_run_is_due_at_200_labels_and_not_while_one_is_live() -> None:
    assert LABELS_A_RUN == 200
    assert decide(200, live=0) is None
    assert decide(199, live=0) == "199 of 200 new labels"
    assert "under way" in str(decide(200, live=1))


@pytest.mark.parametrize("cursor", [None, "", "rubbish", "[1]", '{"a": 3}', '{"a": [1, "x"]}'])
def test_a_cursor_that_cannot_be_read_is_the_beginning(cursor: str | None) -> None:
    assert parse(cursor) == {}
    assert parse('{"a": [7, 2]}') == {"a": Counted(7, 2)}


@pytest.mark.usefixtures("after_three")
def test_a_run_is_asked_for_once_after_so_many_labels(
    database: Database, dataset: Dataset, sensor: Ticking
) -> None:
    other = create_dataset(database, "birds", Policy())
    assert sensor.asked() == []
    label(database, dataset, "a1", "a2")
    label(database, other, "b1", "b2", "b3")
    assert sensor.asked() == ["birds"]
    put_votes(database, dataset, {"a1": "aaa", "a2": "aaa"})  # re-validation gives no label
    apply_votes(database, "animals", run_id="more")
    assert sensor.asked() == []
    label(database, dataset, "a3")
    assert sensor.asked() == ["animals"]
    assert sensor.asked() == []


@pytest.mark.usefixtures("after_three")
def test_a_persons_first_label_counts_and_a_confirmed_one_does_not(
    database: Database, dataset: Dataset, sensor: Ticking
) -> None:
    label(database, dataset, "a1", "a2")
    put_votes(database, dataset, {"torn": "abcabcabcabcabc"})
    put_votes(database, dataset, {"low": "aabbbb"})
    apply_votes(database, "animals", run_id="more")
    assert sensor.asked() == ["animals"]  # low is the third
    names = {"reviewer": "ada", "reason": "seen", "dataset_name": "animals"}
    review(database, "low", "confirm", **names)
    assert sensor.asked() == []
    assert json.loads(str(sensor.cursor))["animals"][1] == 0
    review(database, "torn", "relabel", label="a", **names)
    assert sensor.asked() == []
    assert json.loads(str(sensor.cursor))["animals"][1] == 1


@pytest.mark.usefixtures("after_three")
@pytest.mark.parametrize("job", ["quality_job", "nightly_labels_job"])
@pytest.mark.parametrize("status", [Status.QUEUED, Status.STARTED])
def test_no_run_is_asked_for_while_one_is_live(
    job: str, status: Status, database: Database, dataset: Dataset, sensor: Ticking
) -> None:
    label(database, dataset, "a1", "a2", "a3")
    run = start(sensor, status, job=job)  # type: ignore[arg-type]
    other = start(sensor, Status.STARTED, name="birds", job="quality_job")  # type: ignore[arg-type]
    assert sensor.asked() == []
    sensor.instance.report_run_failed(run)
    assert sensor.asked() == ["animals"]
    assert other.run_id != run.run_id


@pytest.mark.usefixtures("after_three")
def test_a_missing_partition_is_asked_for_with_the_run(database: Database, sensor: Ticking) -> None:
    label(database, create_dataset(database, "birds", Policy()), "b1", "b2", "b3")
    found = sensor.tick()
    assert isinstance(found, dg.SensorResult)
    (added,) = found.dynamic_partitions_requests or []
    assert list(added.partition_keys) == ["birds"]


@pytest.mark.usefixtures("after_three")
def test_labels_are_not_lost_while_the_database_is_away(
    database: Database, dataset: Dataset, sensor: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(database, dataset, "a1", "a2", "a3")
    before = sensor.cursor
    with monkeypatch.context() as away:
        away.setenv("HIVEGUARD_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
        found = sensor.tick()
    assert isinstance(found, dg.SkipReason)
    assert "could not be" in str(found.skip_message)
    assert sensor.cursor == before
    assert sensor.asked() == ["animals"]
