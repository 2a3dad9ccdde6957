"""The code location as a whole: what it holds, how it loads, and that a change of it shows in review."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hiveguard_pipeline.definitions import build_defs, defs
from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.expectations import EXPECTATIONS
from hiveguard_pipeline.resources import ExportsResource, StoreResource
from tests.dagster_location.fresh import run_python

SNAPSHOT = Path(__file__).with_name("asset_graph.json")
WRITE = "HIVEGUARD_WRITE_SNAPSHOTS"
"""Set to 1, this writes the snapshot anew instead of comparing with it."""

GROUPS = {
    "votes": {"items", "votes", "quarantined_votes"},
    "labels": {
        "consensus_labels",
        "revalidation_state",
        "workflow_stages",
        "finalized_labels",
        "training_export",
        "recounted_labels",
    },
    "pool": {"challenge_pool", "review_queue"},
    "label_studio": {"label_studio_sync"},
    "quality": {"label_agreement", "label_probabilities", "posteriors", "solver_quality"},
    "learning": {"weak_model", "prelabels", "labeling_queue"},
}

LINEAGE = {
    "items": set(),
    "votes": set(),
    "quarantined_votes": {"votes"},
    "consensus_labels": {"items", "votes"},
    "revalidation_state": {"consensus_labels", "votes"},
    "workflow_stages": {"revalidation_state", "label_probabilities"},
    "finalized_labels": {"revalidation_state", "label_probabilities", "workflow_stages", "items"},
    "training_export": {"finalized_labels"},
    "recounted_labels": {"items", "votes"},
    "challenge_pool": {"revalidation_state", "items"},
    "review_queue": {"revalidation_state"},
    "label_studio_sync": {"items", "labeling_queue", "prelabels"},
    "label_agreement": {"items", "votes"},
    "label_probabilities": {"revalidation_state", "items", "votes"},
    "solver_quality": {"items", "votes"},
    "posteriors": {"items", "votes"},
    "weak_model": {"revalidation_state", "items"},
    "prelabels": {"weak_model", "items"},
    "labeling_queue": {"weak_model", "items"},
}

SPECS = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def _deps(spec: dg.AssetSpec) -> set[str]:
    return {dep.asset_key.to_user_string() for dep in spec.deps}


def _schema(spec: dg.AssetSpec) -> dg.TableSchema:
    schema: dg.TableSchema = spec.metadata["dagster/column_schema"]
    return getattr(schema, "value", schema)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A fresh process that has loaded the code location, with every warning shown; prints its modules."""
    return run_python(
        "import sys\nfrom hiveguard_pipeline.definitions import defs\nloaded = sorted(sys.modules)\n"
        "defs.resolve_all_job_defs()\nprint(*loaded, sep='\\n')",
        "-W",
        "always",
        "-W",
        "error::DeprecationWarning",
        cwd=tmp_path_factory.mktemp("loaded"),
    )


def test_loading_warns_of_nothing_deprecated(loaded: subprocess.CompletedProcess[str]) -> None:
    assert loaded.returncode == 0, loaded.stderr


@pytest.mark.parametrize("kind", ["SupersessionWarning", "BetaWarning", "PreviewWarning"])
def test_loading_warns_of_nothing_superseded_beta_or_preview(
    kind: str, loaded: subprocess.CompletedProcess[str]
) -> None:
    assert kind not in loaded.stderr


def test_loading_leaves_slow_libraries_alone(loaded: subprocess.CompletedProcess[str]) -> None:
    slow = {"great_expectations", "pandas", "alembic.command", "pyspark"}
    slow |= {"pyarrow.parquet", "pyarrow.dataset", "scipy", "sklearn", "skops", "PIL", "onnxruntime"}
    assert slow & set(loaded.stdout.split()) == set()


def test_loading_leaves_alone_what_a_batch_of_votes_does_not_use(
    loaded: subprocess.CompletedProcess[str],
) -> None:
    """Every run of the sensor is a new process that loads the code location."""
    library = "hiveguard_pipeline"
    others = [f"{library}.{room}" for room in ("audit", "exports", "formats", "pool", "recount", "snapshots")]
    others.append(f"{library}.workflow")
    others += [f"{library}.quality.{room}" for room in ("agreement", "aggregation", "calibration", "solvers")]
    others += [f"{library}.review", f"{library}.quality.structured"]
    assert set(others) & set(loaded.stdout.split()) == set()


def test_definitions_validate_with_the_tool_that_deployments_use(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dg")), "check", "defs"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SupersessionWarning" not in done.stderr


def test_groups_are_those_of_the_design() -> None:
    found: dict[str, set[str]] = {}
    for name, spec in SPECS.items():
        found.setdefault(str(spec.group_name), set()).add(name)
    assert found == GROUPS


def test_lineage_is_that_of_the_design() -> None:
    assert {name: _deps(spec) for name, spec in SPECS.items()} == LINEAGE


@pytest.mark.parametrize("name", sorted(LINEAGE))
def test_every_asset_is_partitioned_by_dataset(name: str) -> None:
    partitions = SPECS[name].partitions_def
    assert isinstance(partitions, dg.DynamicPartitionsDefinition)
    assert partitions.name == "datasets"


@pytest.mark.parametrize("name", sorted(LINEAGE))
def test_every_asset_says_what_it_is(name: str) -> None:
    spec = SPECS[name]
    assert spec.description
    assert len(spec.description) > 20
    assert spec.kinds
    assert spec.owners
    columns = _schema(spec).columns
    assert columns
    assert all(column.description and column.type for column in columns)


def test_items_and_votes_are_observed_and_the_rest_is_materialised() -> None:
    graph = defs.resolve_asset_graph()
    executable = {key.to_user_string() for key in graph.executable_asset_keys}
    assert executable == set(LINEAGE) - {"items", "votes"}


def test_sensors_and_schedule_start_running() -> None:
    repository = defs.get_repository_def()
    sensors = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    schedules = {schedule.name: schedule.default_status for schedule in repository.schedule_defs}
    assert sensors == {
        "unprocessed_votes_sensor": dg.DefaultSensorStatus.RUNNING,
        "datasets_sensor": dg.DefaultSensorStatus.RUNNING,
        "quality_sensor": dg.DefaultSensorStatus.RUNNING,
        "drift_sensor": dg.DefaultSensorStatus.RUNNING,
        "weak_model_sensor": dg.DefaultSensorStatus.RUNNING,
        "label_studio_sensor": dg.DefaultSensorStatus.RUNNING,
    }
    assert schedules == {"nightly_labels_schedule": dg.DefaultScheduleStatus.RUNNING}


def test_the_schedule_runs_at_two_in_the_night_utc() -> None:
    schedule = defs.resolve_schedule_def("nightly_labels_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 2 * * *", "UTC")
    assert schedule.job_name == "nightly_labels_job"


def test_the_batch_job_holds_two_assets_and_no_check() -> None:
    layer = defs.resolve_job_def("label_batch_job").asset_layer
    assert {key.to_user_string() for key in layer.selected_asset_keys} == {
        "consensus_labels",
        "revalidation_state",
    }
    assert not layer.asset_graph.asset_check_keys


@pytest.mark.parametrize("name", ["label_batch_job", "quality_job", "weak_model_job"])
def test_jobs_that_sensors_start_run_in_process(name: str) -> None:
    assert defs.resolve_job_def(name).executor_def.name == "in_process"


@pytest.mark.parametrize(("job", "group"), [("quality_job", "quality"), ("weak_model_job", "learning")])
def test_a_job_of_a_group_holds_it_and_no_other_asset(job: str, group: str) -> None:
    layer = defs.resolve_job_def(job).asset_layer
    assert {key.to_user_string() for key in layer.selected_asset_keys} == GROUPS[group]


def test_the_nightly_job_holds_every_check_and_every_asset_but_the_recount() -> None:
    layer = defs.resolve_job_def("nightly_labels_job").asset_layer
    selected = {key.to_user_string() for key in layer.selected_asset_keys}
    assert selected >= set(LINEAGE) - {"items", "votes", "recounted_labels", "label_studio_sync"}
    assert {key.name for key in layer.asset_graph.asset_check_keys} == {e.name for e in EXPECTATIONS} | {
        "agreement_is_sufficient",
        "probabilities_are_calibrated",
        "exported_labels_still_hold",
    }


def test_all_jobs_report_failures() -> None:
    for name in (
        "label_batch_job",
        "nightly_labels_job",
        "quality_job",
        "recount_job",
        "weak_model_job",
        "label_studio_job",
    ):
        assert {hook.name for hook in defs.resolve_job_def(name).hook_defs} == {"report_failure"}


def test_the_check_of_drift_stands_on_the_export_and_blocks_nothing() -> None:
    specs = {spec.name: spec for checks in defs.asset_checks or [] for spec in checks.check_specs}
    drift = specs["exported_labels_still_hold"]
    assert (drift.asset_key.to_user_string(), drift.blocking) == ("training_export", False)


def test_every_expectation_stands_on_the_finalized_labels_and_blocks_the_export() -> None:
    named = {expectation.name for expectation in EXPECTATIONS}
    specs = [spec for checks in defs.asset_checks or [] for spec in checks.check_specs if spec.name in named]
    assert len(specs) == len(EXPECTATIONS) == 8
    assert {spec.asset_key.to_user_string() for spec in specs} == {"finalized_labels"}
    assert all(spec.blocking and spec.description for spec in specs)


def _as_recorded() -> dict[str, Any]:
    repository = defs.get_repository_def()
    beside = [asset for asset in defs.assets or [] if isinstance(asset, dg.AssetsDefinition)]
    checks = [spec for checks in [*(defs.asset_checks or []), *beside] for spec in checks.check_specs]
    assets = {
        name: {
            "group": spec.group_name,
            "deps": sorted(_deps(spec)),
            "kinds": sorted(spec.kinds),
            "owners": list(spec.owners),
            "description": spec.description,
            "partitions": spec.partitions_def.name
            if isinstance(spec.partitions_def, dg.DynamicPartitionsDefinition)
            else None,
            "code_version": spec.code_version,
            "columns": [[c.name, c.type, c.description] for c in _schema(spec).columns],
        }
        for name, spec in sorted(SPECS.items())
    }
    return {
        "assets": assets,
        "checks": {
            spec.name: {
                "asset": spec.asset_key.to_user_string(),
                "blocking": spec.blocking,
                "description": spec.description,
            }
            for spec in sorted(checks, key=lambda spec: spec.name)
        },
        "jobs": {
            job.name: sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)
            for job in sorted(defs.resolve_all_job_defs(), key=lambda job: job.name)
            if not job.name.startswith("__")
        },
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
        "schedules": {schedule.name: schedule.cron_schedule for schedule in repository.schedule_defs},
    }


def test_the_graph_is_the_recorded_one() -> None:
    recorded = _as_recorded()
    if os.environ.get(WRITE) == "1":
        SNAPSHOT.write_text(json.dumps(recorded, indent=2) + "\n")
    assert recorded == json.loads(SNAPSHOT.read_text()), (
        f"the asset graph changed: if it is meant to, run `{WRITE}=1 pytest {Path(__file__).name}`"
        f" and commit {SNAPSHOT.name}"
    )


def test_resources_can_be_replaced() -> None:
    class OtherStore(StoreResource):
        """A store of a deployment."""

    built = build_defs(store=OtherStore(url_variable="OTHER_DATABASE_URL"))
    assert built.resources is not None
    assert isinstance(built.resources["store"], OtherStore)
    assert isinstance(built.resources["exports"], ExportsResource)
    assert defs.resources is not None
    assert type(defs.resources["store"]) is StoreResource


def test_a_replaced_store_reads_its_own_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HIVEGUARD_DATABASE_URL", f"sqlite:///{tmp_path / 'first.db'}")
    monkeypatch.setenv("OTHER_DATABASE_URL", f"sqlite:///{tmp_path / 'second.db'}")
    opened = StoreResource(url_variable="OTHER_DATABASE_URL").open()
    assert opened.url.database == str(tmp_path / "second.db")
    assert not (tmp_path / "first.db").exists()


def test_an_unknown_resource_is_refused_by_name() -> None:
    with pytest.raises(HiveGuardError, match=r"'storage'.*store, exports"):
        build_defs(storage=StoreResource())


@pytest.mark.parametrize("room", ["assets", "sensors"])
def test_a_package_that_shadows_a_room_is_named_at_loading(room: str, tmp_path: Path) -> None:
    (tmp_path / room).mkdir()
    (tmp_path / room / "__init__.py").write_text("")
    done = run_python(
        "import hiveguard_pipeline.definitions", cwd=tmp_path, environment={"PYTHONPATH": str(tmp_path)}
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("hiveguard_pipeline.errors.HiveGuardError")
    assert f"`{room}`" in last
    assert str(tmp_path / room) in last


def test_a_plain_folder_of_the_name_of_a_room_does_no_harm_or_is_named(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    done = run_python("import hiveguard_pipeline.definitions", cwd=tmp_path)
    last = done.stderr.strip().splitlines()[-1:]
    assert done.returncode == 0 or "HiveGuardError" in last[0], last
