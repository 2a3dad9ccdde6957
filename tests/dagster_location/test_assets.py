"""What the assets materialise and say of themselves, on both databases."""

import base64
import importlib
import re
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from assets.heartbeat import heartbeat
from hiveguard_pipeline.definitions import defs
from hiveguard_pipeline.intake import import_votes
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from tests.dagster_location.conftest import RunJob
from tests.dagster_location.crowd import CROWD, change, put_votes, states
from tests.dagster_location.fresh import imported_by

QUALITY = {"label_agreement", "label_probabilities", "posteriors", "solver_quality"}
LEARNING = {"weak_model", "prelabels", "labeling_queue"}
ALL = {
    "quarantined_votes",
    "consensus_labels",
    "revalidation_state",
    "workflow_stages",
    "finalized_labels",
    "training_export",
    "challenge_pool",
    "review_queue",
    *QUALITY,
    *LEARNING,
}
SVG = "{http://www.w3.org/2000/svg}svg"


def materialised(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetMaterialization]:
    """The materialisations of a run by asset."""
    found = {}
    for event in result.get_asset_materialization_events():
        assert event.asset_key is not None
        found[event.asset_key.to_user_string()] = event.step_materialization_data.materialization
    return found


def picture(value: object) -> ET.Element:
    """The SVG that a Markdown image carries in its data: address."""
    assert isinstance(value, dg.MarkdownMetadataValue)
    matched = re.fullmatch(r"!\[[^\]]+\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", value.md_str or "")
    assert matched, value.md_str
    return ET.fromstring(base64.b64decode(matched[1], validate=True))


def version(materialisation: dg.AssetMaterialization) -> str:
    return (materialisation.tags or {})["dagster/data_version"]


def newest_ledger_row(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.text("SELECT max(batch_id) FROM batches")).scalar_one())


def test_the_nightly_job_materialises_everything(
    database: Database, dataset: Dataset, run_job: RunJob
) -> None:
    put_votes(database, dataset, CROWD)
    put_votes(database, dataset, {"known": "aaaa"}, gold="a")
    result = run_job("nightly_labels_job")
    assert result.success
    found = materialised(result)
    assert set(found) == ALL
    assert {entry.partition for entry in found.values()} == {"animals"}
    assert states(database, dataset) == {
        "graduated": "graduated",
        "moving": "in_revalidation",
        "flagged": "needs_review",
        "fresh": "unlabeled",
        "contested": "unlabeled",
        "known": "gold",
    }
    checks = result.get_asset_check_evaluations()
    assert len(checks) == 11
    # The small crowd disagrees; the check of that warns, and stops nothing.
    assert {check.check_name for check in checks if not check.passed} == {"agreement_is_sufficient"}
    counts = {name: entry.metadata["dagster/row_count"].value for name, entry in found.items()}
    assert counts == {
        "quarantined_votes": 0,
        "consensus_labels": 2,
        "revalidation_state": 2,
        "workflow_stages": 0,
        "finalized_labels": 2,
        "training_export": 1,
        "challenge_pool": 3,
        "review_queue": 1,
        "label_agreement": 5 + 6 * 3,
        "label_probabilities": 3,
        "posteriors": 6,
        "solver_quality": 15,
        "weak_model": 0,
        "prelabels": 0,
        "labeling_queue": 0,
    }


def test_metadata_says_what_a_run_did(database: Database, dataset: Dataset, run_job: RunJob) -> None:
    put_votes(database, dataset, CROWD)
    found = materialised(run_job("nightly_labels_job"))
    consensus = found["consensus_labels"].metadata
    assert consensus["first_passes"].value == 3
    assert found["revalidation_state"].metadata["batches"].value == 6
    assert consensus["votes_applied"].value == 15 + 6 + 6
    assert consensus["horizon"].value == sum(map(len, CROWD.values()))
    assert found["review_queue"].metadata["waiting_votes"].value == 0
    assert found["challenge_pool"].metadata["tier_1"].value == 2
    assert found["challenge_pool"].metadata["tier_2"].value == 1


def test_pictures_are_whole(database: Database, dataset: Dataset, run_job: RunJob) -> None:
    put_votes(database, dataset, CROWD)
    found = materialised(run_job("nightly_labels_job"))
    for name in ALL - QUALITY - LEARNING - {"quarantined_votes", "workflow_stages"}:
        metadata = found[name].metadata
        funnel, histogram = picture(metadata["funnel"]), picture(metadata["confidence"])
        assert funnel.tag == histogram.tag == SVG
        words = " ".join(funnel.itertext())
        for state in ("unlabeled", "in_revalidation", "needs_review", "graduated"):
            assert state in words, name
        assert "floor 0.6" in list(histogram.itertext())
        assert "exit 0.85" in list(histogram.itertext())


def test_an_empty_dataset_runs_through(database: Database, dataset: Dataset, run_job: RunJob) -> None:
    result = run_job("nightly_labels_job")
    assert result.success
    assert {e.metadata["dagster/row_count"].value for e in materialised(result).values()} == {0}


def test_a_dataset_whose_labels_are_all_flagged_runs_through(
    database: Database, dataset: Dataset, run_job: RunJob
) -> None:
    put_votes(database, dataset, {"flagged": CROWD["flagged"]})
    result = run_job("nightly_labels_job")
    assert result.success
    assert materialised(result)["training_export"].metadata["dagster/row_count"].value == 0


def test_quarantine_is_counted_by_reason(
    database: Database, dataset: Dataset, run_job: RunJob, tmp_path: Path
) -> None:
    put_votes(database, dataset, {"cat": "aaa"})
    file = tmp_path / "votes.csv"
    file.write_text("external_id,solver_id,answer\ncat,x,\ncat,y,  \nnobody,z,a\ncat,w,a\n")
    done = import_votes(database, "animals", file)
    result = run_job("nightly_labels_job")
    assert result.success
    metadata = materialised(result)["quarantined_votes"].metadata
    assert metadata["dagster/row_count"].value == 3
    counted = {
        key.removeprefix("reason/"): v.value for key, v in metadata.items() if key.startswith("reason/")
    }
    assert counted == dict(done.reasons)


def test_data_versions_are_the_ledger_position(database: Database, dataset: Dataset, run_job: RunJob) -> None:
    put_votes(database, dataset, CROWD)
    first = materialised(run_job("nightly_labels_job"))
    position = newest_ledger_row(database)
    assert version(first["finalized_labels"]) == str(position)
    snapshot = first["training_export"].metadata["snapshot_id"].value
    assert version(first["training_export"]) == f"{position}.{snapshot}"
    assert version(first["consensus_labels"]) == version(first["revalidation_state"])
    assert version(first["consensus_labels"]).split(".")[0] == str(position)

    again = materialised(run_job("nightly_labels_job"))
    assert {name: version(again[name]) for name in ("consensus_labels", "training_export")} == {
        name: version(first[name]) for name in ("consensus_labels", "training_export")
    }

    put_votes(database, dataset, {"moving": "bb"})
    later = materialised(run_job("nightly_labels_job"))
    assert version(later["finalized_labels"]) == str(newest_ledger_row(database)) != str(position)
    # No label graduated meanwhile: the ledger has moved on, and the snapshot is the same.
    assert version(later["training_export"]) == f"{newest_ledger_row(database)}.{snapshot}"


def test_the_ledger_names_the_run_that_wrote_it(
    database: Database, dataset: Dataset, run_job: RunJob
) -> None:
    put_votes(database, dataset, CROWD)
    result = run_job("label_batch_job")
    with database.read() as connection:
        runs = set(connection.execute(sa.text("SELECT DISTINCT run_id FROM batches")).scalars())
    assert runs == {result.run_id}


def test_a_batch_run_counts_and_draws_nothing(database: Database, dataset: Dataset, run_job: RunJob) -> None:
    put_votes(database, dataset, CROWD)
    statements: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(" ".join(statement.split()))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        result = run_job("label_batch_job")
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert result.success
    found = materialised(result)
    assert set(found) == {"consensus_labels", "revalidation_state"}
    assert found["consensus_labels"].metadata["votes_applied"].value == 27
    for entry in found.values():
        assert not {"funnel", "confidence", "dagster/row_count"} & set(entry.metadata)
    own = [s for s in statements if "INSERT INTO batches" in s or " work" in s]
    assert own, "the statements of the store were not seen"
    tables = "votes|items|labels|batches|quarantined_votes|finalized_labels|item_status|vote_status"
    counting = re.compile(rf"count\(\*\)[^()]* FROM ({tables})\b|sum\([^)]*\)[^()]* FROM ({tables})\b", re.I)
    assert [s for s in statements if counting.search(s)] == []


def test_a_batch_run_looks_at_new_votes_alone(database: Database, dataset: Dataset, run_job: RunJob) -> None:
    put_votes(database, dataset, CROWD)
    run_job("label_batch_job")
    put_votes(database, dataset, {"moving": "bb"})
    metadata = materialised(run_job("label_batch_job"))["revalidation_state"].metadata
    assert metadata["items_read"].value == 1
    assert metadata["votes_read"].value == 3
    assert metadata["batches"].value == 1


BATCH_RUN = """
import dagster as dg
from hiveguard_pipeline.definitions import defs
with dg.DagsterInstance.ephemeral() as instance:
    instance.add_dynamic_partitions("datasets", ["animals"])
    job = defs.resolve_job_def("label_batch_job")
    assert job.execute_in_process(instance=instance, partition_key="animals").success
"""


def test_a_batch_run_never_imports_great_expectations(
    database: Database, dataset: Dataset, environment: dict[str, str], tmp_path: Path
) -> None:
    put_votes(database, dataset, CROWD)
    assert imported_by(BATCH_RUN, ["great_expectations"], tmp_path, environment) == set()
    assert states(database, dataset)["graduated"] == "graduated"


def test_a_run_on_an_unknown_dataset_fails_and_says_so(
    database: Database, instance: dg.DagsterInstance, run_job: RunJob
) -> None:
    instance.add_dynamic_partitions("datasets", ["ghost"])
    result = run_job("label_batch_job", "ghost")
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "there is no dataset 'ghost'" in str(failure.step_failure_data.error)


def test_a_failed_run_leaves_no_vote_applied(database: Database, dataset: Dataset, run_job: RunJob) -> None:
    put_votes(database, dataset, CROWD)
    change(database, "ALTER TABLE dataset_progress RENAME TO away")
    assert not run_job("label_batch_job").success
    change(database, "ALTER TABLE away RENAME TO dataset_progress")
    assert set(states(database, dataset).values()) == {"unlabeled"}
    assert run_job("label_batch_job").success
    assert states(database, dataset)["graduated"] == "graduated"


def test_a_long_step_gives_signs_of_life(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(defs.resolve_job_def("label_batch_job"))
    with heartbeat(instance, run, every=0.02):
        time.sleep(0.3)
    beats = [entry for entry in instance.all_logs(run.run_id) if "at work" in str(entry.dagster_event)]
    assert len(beats) >= 3
    time.sleep(0.1)
    assert len([e for e in instance.all_logs(run.run_id) if "at work" in str(e.dagster_event)]) == len(beats)


def test_answers_that_are_open_text_are_exported_without_a_model_of_solvers(
    database: Database, dataset: Dataset, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("hiveguard_pipeline.quality.aggregation.aggregate")
    monkeypatch.setattr(module, "MOST_CLASSES", 2)
    put_votes(database, dataset, CROWD)
    result = run_job("nightly_labels_job")
    assert result.success
    found = materialised(result)
    assert found["training_export"].metadata["dagster/row_count"].value == 1
    for name, key in (("posteriors", "not_fitted"), ("label_probabilities", "not_calibrated")):
        assert "different answers are more than the 2" in str(found[name].metadata[key].value)
