"""The training export names its snapshot; check and sensor tell when its labels no longer hold."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hiveguard_pipeline.definitions import defs
from hiveguard_pipeline.resources import ExportsResource, StoreResource
from hiveguard_pipeline.review import correct
from hiveguard_pipeline.snapshots import find_snapshot, verify_snapshot
from hiveguard_pipeline.snapshots.settings import set_export_settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from tests.dagster_location.conftest import RunJob
from tests.dagster_location.crowd import CROWD, put_votes

CHECK = "exported_labels_still_hold"


class Ticking:
    """The sensor as the daemon drives it: its cursor is kept."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.cursor = instance, None
        self.sensor = defs.resolve_sensor_def("drift_sensor")

    def events(self) -> list[Any]:
        resources = {"store": StoreResource(), "exports": ExportsResource()}
        found = self.sensor(dg.build_sensor_context(self.instance, self.cursor, resources=resources))
        assert isinstance(found, dg.SensorResult), found
        assert not found.run_requests
        self.cursor = found.cursor  # type: ignore[assignment]
        return list(found.asset_events)


@pytest.fixture
def exported(
    database: Database, dataset: Dataset, run_job: RunJob, environment: dict[str, str]
) -> dg.ExecuteInProcessResult:
    put_votes(database, dataset, CROWD | {"second": "b" * 15})
    set_export_settings(database, "animals", {"formats": ["huggingface"]})
    result = run_job("nightly_labels_job")
    assert result.success
    return result


def evaluations(result: dg.ExecuteInProcessResult) -> list[Any]:
    return [found for found in result.get_asset_check_evaluations() if found.check_name == CHECK]


def test_the_materialisation_says_which_snapshot_votes_and_run(
    exported: dg.ExecuteInProcessResult, database: Database, environment: dict[str, str]
) -> None:
    (event,) = exported.asset_materializations_for_node("training_export")
    said = event.metadata
    snapshot = find_snapshot(database, str(said["snapshot_id"].value))
    root = str(Path(environment["HIVEGUARD_HOME"], "snapshots"))
    assert verify_snapshot(snapshot, root) == []
    assert (snapshot.rows, snapshot.run_id) == (2, exported.run_id)
    assert event.tags["dagster/data_version"].endswith(snapshot.snapshot_id)
    folder = Path(str(said["path"].value))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["snapshot_id"] == snapshot.snapshot_id
    assert (manifest["run_id"], manifest["newest_vote"]) == (exported.run_id, said["newest_vote"].value)
    assert manifest["newest_vote"] > 0
    names = {entry["name"] for entry in manifest["files"]}
    assert {"labels.csv", "huggingface/dataset_dict.json"} <= names
    assert all((folder / name).is_file() for name in names)
    latest = json.loads((folder.parent / "latest.json").read_text())
    assert latest["snapshot_id"] == snapshot.snapshot_id
    (check,) = evaluations(exported)
    assert (check.passed, check.metadata["drifted"].value) == (True, 0)


def test_the_sensor_evaluates_the_check_when_something_drifts_and_the_next_export_is_well(
    exported: dg.ExecuteInProcessResult,
    database: Database,
    dataset: Dataset,
    instance: dg.DagsterInstance,
    run_job: RunJob,
) -> None:
    sensor = Ticking(instance)
    assert sensor.events() == []
    put_votes(database, dataset, {"second": "bbb"})
    assert sensor.events() == [], "votes that agree move no label"
    correct(database, "graduated", "b", reviewer="ann", reason="seen", dataset_name="animals")
    (event,) = sensor.events()
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert (event.check_name, event.passed, event.partition) == (CHECK, False, "animals")
    assert event.severity == dg.AssetCheckSeverity.WARN
    assert "re-export and re-check" in str(event.description)
    assert event.metadata["drifted/relabelled"].value == 1
    assert sensor.events() == [], "it was told once"
    put_votes(database, dataset, {"second": "aaaaaa"})
    (more,) = sensor.events()
    assert (more.metadata["drifted"].value, more.metadata["drifted/lost_agreement"].value) == (2, 1)

    again = run_job("nightly_labels_job")
    assert again.success
    (check,) = evaluations(again)
    assert not check.passed, "the second item lost agreement, and stays exported: a person must look"
    assert check.severity == dg.AssetCheckSeverity.WARN


def test_the_sensor_is_quiet_without_exports_and_begins_anew_from_a_strange_cursor(
    database: Database, dataset: Dataset, instance: dg.DagsterInstance, environment: dict[str, str]
) -> None:
    sensor = Ticking(instance)
    assert sensor.events() == []
    put_votes(database, dataset, CROWD)
    for cursor in ("[]", "no json", '{"animals": 3}'):
        sensor.cursor = cursor  # type: ignore[assignment]
        assert sensor.events() == []
