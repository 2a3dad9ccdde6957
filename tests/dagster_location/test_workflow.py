"""Stages in the jobs: what a batch and a night do with them, and the drawing."""

import sqlalchemy as sa

from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.workflow import parse_stages, set_workflow
from tests.dagster_location.conftest import RunJob
from tests.dagster_location.crowd import CROWD, put_votes, states
from tests.dagster_location.test_assets import materialised, picture

STAGES = [
    {"name": "ask", "who": "crowd", "on_fail": "review"},
    {"name": "again", "who": "crowd", "on_pass": "done", "on_fail": "review"},
    {"name": "review", "who": "experts", "on_pass": "again"},
    {"name": "look", "who": "experts", "gate": {"state": "graduated"}, "on_pass": "done"},
]


def waiting(database: Database) -> dict[str, str]:
    with database.read() as connection:
        rows = connection.execute(
            sa.text("SELECT i.external_id, w.stage FROM item_stages w JOIN items i ON i.item_id = w.item_id")
        )
        return {row.external_id: row.stage for row in rows}


def test_a_batch_moves_what_its_votes_concern_and_a_night_everything_before_it_exports(
    database: Database, dataset: Dataset, run_job: RunJob
) -> None:
    set_workflow(database, "animals", parse_stages(STAGES), actor="lead", reason="a test")
    put_votes(database, dataset, CROWD)
    assert run_job("label_batch_job").success
    assert waiting(database) == {"graduated": "look", "flagged": "review"}
    assert states(database, dataset)["graduated"] == "needs_review"
    result = run_job("nightly_labels_job")
    assert result.success
    found = materialised(result)
    metadata = found["workflow_stages"].metadata
    assert metadata["moves"].value == 0
    assert metadata["dagster/row_count"].value == 2
    assert metadata["items"].value == {"ask": 2, "again": 1, "review": 1, "look": 1, "done": 0, "discard": 0}
    words = " ".join(picture(metadata["stages"]).itertext())
    assert "look: 1 items" in words
    assert found["training_export"].metadata["dagster/row_count"].value == 0
    assert found["finalized_labels"].metadata["dagster/row_count"].value == 1
