"""Active learning as assets, the sensor that trains anew, and nights without the extra."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hiveguard_pipeline.definitions import defs
from hiveguard_pipeline.learning.settings import set_active_settings
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from sensors.counted import Counted, parse
from sensors.weak_model import decide
from tests.dagster_location.conftest import RunJob
from tests.dagster_location.crowd import put_votes
from tests.dagster_location.test_assets import SVG, materialised, picture
from tests.dagster_location.test_sensors import start
from tests.learning.world import label, named, rows_of, text_dataset, without

Status = dg.DagsterRunStatus


@pytest.fixture
def topics(database: Database, instance: dg.DagsterInstance) -> tuple[Dataset, list[str]]:
    instance.add_dynamic_partitions("datasets", ["topics"])
    return text_dataset(database, 120)


def metadata(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    return {key: entry.value for key, entry in materialised(result)[name].metadata.items()}


def test_the_job_trains_proposes_and_chooses_with_pictures(
    database: Database, topics: Any, run_job: RunJob
) -> None:
    dataset, labels = topics
    label(database, dataset, named(labels, range(90)))
    result = run_job("weak_model_job", "topics")
    assert result.success
    model, proposed, queue = (
        metadata(result, name) for name in ("weak_model", "prelabels", "labeling_queue")
    )
    assert model["accepted"]
    assert model["labels_used"] + model["held_out"] == 90
    assert "fewer than 500" in model["what_to_expect"]
    assert (proposed["dagster/row_count"], proposed["model_id"]) == (30, model["model_id"])
    assert (queue["dagster/row_count"], queue["model_id"]) == (30, model["model_id"])
    assert any("30" in note for note in queue["notes"])
    found = materialised(result)["weak_model"].metadata
    curve, confusion = (picture(found[name]) for name in ("learning_curve", "confusion"))
    assert curve.tag == confusion.tag == SVG
    assert {"labels", "share of held-out items right"} <= set(curve.itertext())
    assert {"sport", "food", "music"} <= set(confusion.itertext())
    assert {row["run_id"] for row in rows_of(database, t.models)} == {result.run_id}
    again = run_job("weak_model_job", "topics")
    assert metadata(again, "weak_model")["model_id"] == model["model_id"]
    assert len(rows_of(database, t.models)) == 1


def test_a_night_goes_on_where_nothing_can_be_trained(
    database: Database, dataset: Dataset, run_job: RunJob
) -> None:
    put_votes(database, dataset, {"cat": "a" * 15, "dog": "b" * 15})
    result = run_job("nightly_labels_job")
    assert result.success
    assert "2 labels of 2 classes" in metadata(result, "weak_model")["not_made"]
    assert "no features yet" in metadata(result, "labeling_queue")["not_made"]
    assert metadata(result, "prelabels")["not_made"] == "there is no accepted model yet"
    assert materialised(result)["training_export"].metadata["dagster/row_count"].value == 2


def test_a_night_goes_on_without_the_extra(
    database: Database, topics: Any, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, labels = topics
    label(database, dataset, named(labels, range(90)))
    without(monkeypatch, "sklearn")
    result = run_job("nightly_labels_job", "topics")
    assert result.success
    assert "pip install 'hiveguard-pipeline[active]'" in metadata(result, "weak_model")["not_made"]
    assert "hiveguard-pipeline[active]" in metadata(result, "labeling_queue")["not_made"]
    assert materialised(result)["training_export"].metadata["dagster/row_count"].value == 90


class Ticking:
    """The sensor as the daemon drives it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None
        self.sensor = defs.resolve_sensor_def("weak_model_sensor")

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


def test_the_sensor_asks_after_every_so_many_graduated_labels(
    database: Database, topics: Any, sensor: Ticking
) -> None:
    dataset, labels = topics
    set_active_settings(database, "topics", {"retrain_every": "40"})
    label(database, dataset, named(labels, range(30)))
    assert sensor.asked() == []
    label(database, dataset, named(labels, range(30, 45)))
    assert sensor.asked() == ["topics"]
    assert sensor.asked() == []
    label(database, dataset, named(labels, range(45, 84)))
    assert sensor.asked() == []
    label(database, dataset, named(labels, range(84, 85)))
    assert sensor.asked() == ["topics"]
    assert json.loads(sensor.cursor or "")["topics"][1] == 0


def test_labels_wait_in_the_cursor_while_a_run_is_under_way(
    database: Database, topics: Any, sensor: Ticking
) -> None:
    dataset, labels = topics
    set_active_settings(database, "topics", {"retrain_every": "10"})
    label(database, dataset, named(labels, range(12)))
    run = start(sensor, Status.STARTED, "topics", "weak_model_job")  # type: ignore[arg-type]
    assert sensor.asked() == []
    sensor.instance.report_run_failed(run)
    assert sensor.asked() == ["topics"]


def test_the_sensor_skips_with_a_reason_without_the_extra_and_without_a_database(
    topics: Any, sensor: Ticking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("HIVEGUARD_DATABASE_URL", f"sqlite:///{tmp_path / 'nowhere' / 'x' / 'h.db'}")
        (tmp_path / "nowhere").write_text("no folder")
        found = sensor.tick()
        assert isinstance(found, dg.SkipReason)
        assert "could not be counted" in str(found.skip_message)
    without(monkeypatch, "sklearn")
    found = sensor.tick()
    assert isinstance(found, dg.SkipReason)
    assert "hiveguard-pipeline[active]" in str(found.skip_message)


def test_the_decision_by_itself() -> None:
    assert decide(499, 500, 0) == "499 of 500 new graduated labels"
    assert decide(500, 500, 0) is None
    assert "under way" in str(decide(500, 500, 1))
    assert parse(None) == parse("no json") == parse("[1]") == {}
    assert parse('{"a": [3, 4]}') == {"a": Counted(3, 4)}
