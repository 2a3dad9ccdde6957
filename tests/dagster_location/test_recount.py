"""The asset that recounts: a process of its own, followed in the run's log, and ended with the run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.definitions import build_defs
from hiveguard_pipeline.recount.output import Result
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.schema import open_database
from tests.dagster_location.crowd import CROWD, put_votes, states
from tests.recount.clusters import needs_java
from tests.recount.crowd import serialised


def recounted(instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    return (
        build_defs()
        .resolve_job_def("recount_job")
        .execute_in_process(
            instance=instance,
            partition_key="animals",
            run_config={
                "ops": {"recounted_labels": {"config": config}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
    )


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node("recounted_labels")
    return {name: entry.value for name, entry in event.metadata.items()}


def log_of(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> str:
    return "\n".join(entry.user_message for entry in instance.all_logs(result.run_id))


@pytest.fixture
def animals(database: Database) -> Dataset:
    """An item in each state, once it is counted."""
    dataset = create_dataset(database, "animals", Policy())
    put_votes(database, dataset, CROWD)
    return dataset


def test_the_job_holds_that_asset_alone_and_the_other_jobs_do_without_it() -> None:
    jobs = {job.name: job.asset_layer.selected_asset_keys for job in build_defs().resolve_all_job_defs()}
    key = dg.AssetKey("recounted_labels")
    assert jobs["recount_job"] == {key}
    assert key not in jobs["nightly_labels_job"] | jobs["label_batch_job"]


def test_a_recount_here_says_what_it_made_and_where(
    instance: dg.DagsterInstance, animals: Dataset, database: Database, environment: dict[str, str]
) -> None:
    result = recounted(instance, engine="local", into_database=True)
    assert result.success
    found = metadata_of(result)
    assert (found["dagster/row_count"], found["votes"], found["extended"], found["left_alone"]) == (
        3,
        34,
        3,
        0,
    )
    assert (found["graduated"], found["needs_review"], found["unlabeled"]) == (1, 1, 2)
    home = Path(environment["HIVEGUARD_HOME"])
    assert found["path"] == str(home / "exports" / "_recounts" / "animals" / result.run_id)
    assert Result(found["path"]).manifest.run_id == result.run_id
    assert "writing the result into the database" in log_of(result, instance)
    assert states(database, animals)["flagged"] == "needs_review"
    assert verify(database, "animals").findings == []


def test_a_recount_that_fails_says_why_in_the_run(
    instance: dg.DagsterInstance, animals: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").touch()
    result = recounted(instance, engine="local", output=str(tmp_path / "taken"))
    assert not result.success
    assert "holds something already" in log_of(result, instance)


@pytest.mark.slow
@needs_java
def test_a_recount_on_spark_is_followed_and_gives_the_same(
    instance: dg.DagsterInstance,
    animals: Dataset,
    tmp_path: Path,
) -> None:
    on_spark = recounted(instance, master="local[2]", output=str(tmp_path / "spark"))
    assert on_spark.success, log_of(on_spark, instance)
    assert recounted(instance, engine="local", output=str(tmp_path / "here")).success
    assert serialised(str(tmp_path / "spark")) == serialised(str(tmp_path / "here"))
    assert metadata_of(on_spark)["engine"] == "spark"
    assert "Spark 4." in log_of(on_spark, instance)
    assert "tasks" in log_of(on_spark, instance)


RUN = """
import os, sys
import dagster as dg
from hiveguard_pipeline.definitions import build_defs
with dg.DagsterInstance.ephemeral() as instance:
    instance.add_dynamic_partitions("datasets", ["animals"])
    build_defs().resolve_job_def("recount_job").execute_in_process(
        instance=instance, partition_key="animals",
        run_config={"ops": {"recounted_labels": {"config": {"master": "local[1]", "output": sys.argv[1]}}}},
    )
"""


@pytest.mark.slow
@needs_java
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_spark_ends_with_the_run_that_started_it(
    how: signal.Signals,
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'hiveguard.db'}"
    database = open_database(url)
    put_votes(database, create_dataset(database, "animals", Policy()), CROWD)
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path / "out")],
        env=os.environ | {"HIVEGUARD_DATABASE_URL": url, "HIVEGUARD_HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
    )
    try:
        started = _with_java(psutil.Process(run.pid))
        run.send_signal(how)
        run.wait(90)
    finally:
        run.kill()
        run.wait()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []
    assert not (tmp_path / "out" / "manifest.json").exists()


def _with_java(run: psutil.Process) -> list[psutil.Process]:
    """The run's processes, once Spark is among them."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = run.children(recursive=True)
        if any(child.name() == "java" for child in found):
            return found
        time.sleep(0.1)
    raise AssertionError("Spark has not started")
