"""The asset of solvers: counts, the outliers, pictures; by itself and in the nightly job."""

import base64
from xml.etree import ElementTree

import dagster as dg
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from tests.dagster_location.conftest import RunJob
from tests.dagster_location.crowd import put_item
from tests.quality.solver_crowds import Plan, crowd_of


@pytest.fixture
def lazy_crowd(database: Database, dataset: Dataset) -> None:
    """Forty people, one of whom gives one class only."""
    crowd = crowd_of(Plan(solvers=40, items=200, votes=6, evenly=True, skill=(40, 4), one_class=[3]), 1)
    names = crowd.external_ids.to_pylist()
    with database.write() as connection:
        ids = [put_item(connection, dataset, name) for name in names]
        rows = [
            {
                "item_id": ids[crowd.item[row]],
                "solver_id": "<b>|s3|</b>" if crowd.solver[row] == 3 else crowd.solvers[crowd.solver[row]],
                "answer": crowd.classes[crowd.answer[row]],
                "duration_ms": int(crowd.duration_ms[row]),
            }
            for row in range(len(crowd.answer))
        ]
        connection.execute(t.votes.insert(), rows)


def metadata_of(done: dg.ExecuteInProcessResult) -> dict[str, dg.MetadataValue]:  # type: ignore[type-arg]
    assert done.success
    (event,) = done.asset_materializations_for_node("solver_quality")
    return dict(event.metadata)


def test_solvers_are_counted_flagged_and_drawn(lazy_crowd: None, run_job: RunJob) -> None:
    found = metadata_of(run_job("quality_job"))
    assert found["dagster/row_count"].value == 40
    assert found["votes"].value == 1200
    assert found["excluded"].value == 0
    assert found["flagged"].value >= 1
    assert found["flagged/one_class"].value >= 1
    assert found["false_discovery_rate"].value == 0.05
    table = str(found["outliers"].value)
    assert "| \\<b\\>\\|s3\\|\\</b\\> | " in table
    for name in ("accuracy", "accuracy_by_votes", "accuracy_by_time"):
        picture = str(found[name].value).split("base64,")[1].rstrip(")")
        drawn = ElementTree.fromstring(base64.b64decode(picture))
        assert drawn.tag.endswith("svg")
        if name != "accuracy":
            assert any(
                "<b>|s3|</b>" in (text.text or "") for text in drawn.iter() if text.tag.endswith("text")
            )


def test_a_dataset_without_votes_has_no_solvers(dataset: Dataset, run_job: RunJob) -> None:
    found = metadata_of(run_job("quality_job"))
    assert found["dagster/row_count"].value == 0
    assert found["flagged"].value == 0
    assert "accuracy" not in found


def test_the_night_measures_solvers_and_changes_no_vote(
    lazy_crowd: None, database: Database, run_job: RunJob
) -> None:
    def votes() -> list[tuple[object, ...]]:
        with database.read() as connection:
            return [tuple(row) for row in connection.execute(sa.text("SELECT * FROM votes ORDER BY vote_id"))]

    before = votes()
    assert metadata_of(run_job("nightly_labels_job"))["dagster/row_count"].value == 40
    assert votes() == before
