"""What a run that goes wrong leaves alone, and whom it tells: the last good export, the hook, no password."""

import json
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.snapshots import latest_export
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.schema import open_database
from tests.dagster_location.conftest import RunJob
from tests.dagster_location.crowd import CROWD, change, put_votes
from tests.dagster_location.roles import PASSWORD, role_with_password, url_of

MOVING = "(SELECT item_id FROM items WHERE external_id = 'moving')"
GRADUATED = "(SELECT item_id FROM items WHERE external_id = 'graduated')"

BREAKS = {
    "nothing_below_the_floor": f"UPDATE labels SET confidence = 5 WHERE item_id = {MOVING}",
    "nothing_gold": f"UPDATE items SET gold_label = 'a' WHERE item_id = {GRADUATED}",
    "nothing_flagged": f"UPDATE labels SET needs_review = true WHERE item_id = {GRADUATED}",
}
"""Check -> what, done behind the pipeline's back, it must catch."""


def contents(folder: Path) -> dict[str, str]:
    """Every file under a folder with its hash."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("check", sorted(BREAKS))
def test_a_failing_check_leaves_the_last_good_export_untouched(
    check: str, database: Database, dataset: Dataset, run_job: RunJob, environment: dict[str, str]
) -> None:
    put_votes(database, dataset, CROWD)
    assert run_job("nightly_labels_job").success
    exports = Path(environment["HIVEGUARD_HOME"]) / "exports"
    before = contents(exports)
    latest = latest_export(str(exports), "animals")
    assert latest is not None
    assert f"animals/{latest['export_id']}/labels.parquet" in before

    change(database, BREAKS[check])
    put_votes(database, dataset, {"later": "a" * 15})
    result = run_job("nightly_labels_job")

    assert not result.success
    assert contents(exports) == before
    assert latest_export(str(exports), "animals") == latest
    failed = {
        entry.check_name
        for entry in result.get_asset_check_evaluations()
        if not entry.passed and entry.severity == dg.AssetCheckSeverity.ERROR
    }
    assert failed == {check}
    wrote = {
        str(event.asset_key and event.asset_key.to_user_string())
        for event in result.get_asset_materialization_events()
    }
    assert "training_export" not in wrote
    assert "finalized_labels" in wrote


def test_a_mended_label_is_exported_again(
    database: Database, dataset: Dataset, run_job: RunJob, environment: dict[str, str]
) -> None:
    put_votes(database, dataset, CROWD)
    change(database, "UPDATE items SET gold_label = NULL")
    assert run_job("nightly_labels_job").success
    change(database, BREAKS["nothing_flagged"])
    assert not run_job("nightly_labels_job").success
    change(database, BREAKS["nothing_flagged"].replace("true", "false"))
    assert run_job("nightly_labels_job").success
    root = Path(environment["HIVEGUARD_HOME"]) / "exports"
    assert len([path for path in (root / "animals").iterdir() if path.is_dir()]) == 2


def test_an_export_root_that_cannot_be_written_fails_the_run_with_its_path(
    database: Database, dataset: Dataset, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIVEGUARD_EXPORT_ROOT", "/etc/hostname/exports")
    put_votes(database, dataset, CROWD)
    result = run_job("nightly_labels_job")
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_key == "training_export"
    assert "/etc/hostname/exports" in str(failure.step_failure_data.error)


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that takes posts: its address, and what it was sent."""
    received: list[dict[str, Any]] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append({"type": self.headers["Content-Type"], **json.loads(body)})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Taker) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/alerts", received
        server.shutdown()
        thread.join()


def logged(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [entry.user_message for entry in instance.all_logs(run_id)]


def test_a_failed_run_is_posted_to_the_webhook(
    webhook: tuple[str, list[dict[str, Any]]],
    instance: dg.DagsterInstance,
    run_job: RunJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, received = webhook
    monkeypatch.setenv("HIVEGUARD_FAILURE_WEBHOOK", address)
    result = run_job("label_batch_job")  # there is no dataset `animals`
    assert not result.success
    (post,) = received
    assert post["type"] == "application/json"
    assert (post["job"], post["step"], post["run_id"]) == ("label_batch_job", "apply_votes", result.run_id)
    assert "label_batch_job failed in apply_votes" in post["text"]
    assert "there is no dataset 'animals'" in post["text"]


def test_a_good_run_posts_nothing(
    webhook: tuple[str, list[dict[str, Any]]],
    dataset: Dataset,
    run_job: RunJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HIVEGUARD_FAILURE_WEBHOOK", webhook[0])
    assert run_job("label_batch_job").success
    assert webhook[1] == []


def test_without_a_webhook_a_failure_is_logged(instance: dg.DagsterInstance, run_job: RunJob) -> None:
    result = run_job("label_batch_job")
    (line,) = [line for line in logged(instance, result.run_id) if line.startswith("label_batch_job failed")]
    assert "there is no dataset 'animals'" in line


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/x", "nonsense"])
def test_a_webhook_that_is_away_is_a_warning(
    address: str, instance: dg.DagsterInstance, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIVEGUARD_FAILURE_WEBHOOK", address)
    result = run_job("label_batch_job")
    lines = logged(instance, result.run_id)
    assert any(line.startswith("label_batch_job failed") for line in lines)
    assert any("could not be posted" in line for line in lines)


def everything_recorded(instance: dg.DagsterInstance, run_id: str) -> str:
    """All that Dagster keeps of a run, as text: events with their metadata, config, tags, the run itself."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    parts = [repr(run), repr(run.run_config), repr(run.tags), dg.serialize_value(run)]
    for entry in instance.all_logs(run_id):
        parts += [repr(entry), dg.serialize_value(entry), entry.message]
    return "\n".join(parts)


@pytest.mark.parametrize("as_option", [False, True], ids=["in the authority", "as an option"])
def test_no_password_is_in_anything_a_run_records(
    as_option: bool,
    new_postgres: Callable[..., str],
    webhook: tuple[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    url = new_postgres()
    owner = open_database(url)
    put_votes(owner, create_dataset(owner, "animals", Policy()), CROWD)
    monkeypatch.setenv("HIVEGUARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HIVEGUARD_FAILURE_WEBHOOK", webhook[0])
    from hiveguard_pipeline.definitions import build_defs

    with role_with_password(url) as role, dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setenv("HIVEGUARD_DATABASE_URL", url_of(url, role, as_option=as_option))
        instance.add_dynamic_partitions("datasets", ["animals"])

        def run() -> dg.ExecuteInProcessResult:
            job = build_defs().resolve_job_def("nightly_labels_job")
            return job.execute_in_process(instance=instance, partition_key="animals", raise_on_error=False)

        good = run()
        assert good.success
        # An asset and a check stumble over these.
        change(owner, "ALTER TABLE quarantined_votes RENAME TO away")
        change(owner, "ALTER VIEW vote_counts RENAME TO counts_away")
        broken = run()
        failed = {event.step_key for event in broken.all_events if event.is_step_failure}
        assert failed == {"quarantined_votes", "label_expectations"}
        monkeypatch.setenv("HIVEGUARD_DATABASE_URL", url_of(url, role, PASSWORD + "x", as_option=as_option))
        refused = run()
        assert not refused.success
        assert "password authentication failed" in everything_recorded(instance, refused.run_id)
        for result in (good, broken, refused):
            assert PASSWORD not in everything_recorded(instance, result.run_id)
    printed = capfd.readouterr()
    assert PASSWORD not in printed.out + printed.err
    assert webhook[1]
    assert PASSWORD not in json.dumps(webhook[1])
