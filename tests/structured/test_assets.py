"""The nightly job of a structured dataset: labels and exports as ever, and what is for classes says so."""

import json

import pytest

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.snapshots.settings import set_export_settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from tests.dagster_location.conftest import RunJob
from tests.store.voting import add_items, cast


def test_the_night_goes_on_without_what_is_for_classes(
    database: Database, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIVEGUARD_MAX_CALIBRATION_ERROR", "0.1")  # must keep nothing back that has no error
    dataset = create_dataset(database, "animals", Policy(), classes=("cat",), task_type="bbox")
    set_export_settings(database, "animals", {"formats": ["yolo"]})  # the items have no sizes
    add_items(database, dataset, "ab")
    add_items(database, dataset, "g", gold='{"boxes":[{"bbox":[0.0,0.0,9.0,9.0],"label":"cat"}]}')
    cat = json.dumps({"boxes": [{"label": "cat", "bbox": [0, 0, 9, 10]}]})
    cast(database, dataset, [("a", cat)] * 15 + [("b", "unreadable")] * 3 + [("g", cat), ("g", "[]")])
    done = run_job("nightly_labels_job")
    assert done.success
    told = {
        node: dict(event.metadata)
        for node in ("label_agreement", "posteriors", "label_probabilities", "solver_quality")
        for event in done.asset_materializations_for_node(node)
    }
    assert told["label_agreement"]["votes"].value == 20
    assert told["label_agreement"]["label_agreement"].value == pytest.approx(16 / 20)
    assert "structured" in str(told["posteriors"]["not_fitted"].value)
    assert "one class" in str(told["label_probabilities"]["not_calibrated"].value)
    assert "one class" in str(told["solver_quality"]["not_measured"].value)
    assert told["solver_quality"]["dagster/row_count"].value == 20
    assert all(check.passed for check in done.get_asset_check_evaluations())
    (exported,) = done.asset_materializations_for_node("training_export")
    assert exported.metadata["dagster/row_count"].value == 1
    assert "a" in exported.metadata["refused"].value["yolo"]
