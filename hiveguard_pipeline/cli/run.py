"""`hiveguard run`: the nightly job, in this process."""

import logging
import os
import warnings
from typing import Any

import click

from hiveguard_pipeline.cli.instance import open_instance
from hiveguard_pipeline.cli.shared import (
    dataset_option,
    emit,
    fmt_option,
    open_store,
    progress,
    say,
    warn_of_environment,
)
from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.home import prepare_home
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import current_policy, get_dataset, list_datasets
from hiveguard_pipeline.store.status import funnel


@click.command()
@dataset_option
@fmt_option
def run(dataset_name: str | None, fmt: str) -> None:
    """Materialise the label assets through Dagster, in process, and print the funnel."""
    database = open_store()
    with database.read() as connection:
        chosen = [get_dataset(connection, dataset_name)] if dataset_name else list_datasets(connection)
        for dataset in chosen:
            warn_of_environment(current_policy(connection, dataset).policy)
    if not chosen:
        raise HiveGuardError("there is no dataset yet; create one with `hiveguard datasets create`")
    run_datasets([dataset.name for dataset in chosen])
    print_funnel(database, [dataset.name for dataset in chosen], fmt)


def run_datasets(names: list[str]) -> None:
    """Run the nightly job for each dataset; raises HiveGuardError, naming the step, if one fails."""
    settings = Settings.from_environment()
    prepare_home(settings)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    warnings.simplefilter("ignore")
    from assets.partitions import DATASETS
    from hiveguard_pipeline.definitions import defs
    from sensors.jobs import nightly_labels_job
    from sensors.runs import DATASET_TAG

    job = defs.resolve_job_def(nightly_labels_job.name)
    with open_instance(settings.dagster_home) as instance, progress("datasets", "datasets") as report:
        instance.add_dynamic_partitions(str(DATASETS.name), names)
        for position, name in enumerate(names):
            report(position, len(names))
            result = job.execute_in_process(
                instance=instance,
                partition_key=name,
                tags={DATASET_TAG: name},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
            if not result.success:
                raise HiveGuardError(f"run {result.run_id} of {name} failed: {_why(result)}")
            say(f"run {result.run_id} of {name} succeeded")


def _why(result: Any) -> str:
    failed_checks = [
        check.check_name + (f" ({check.description})" if check.description else "")
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity.name == "ERROR"
    ]
    if failed_checks:
        return f"the labels break {', '.join(failed_checks)}; nothing was exported"
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error.cause is not None:
                error = error.cause
            said = error.message.strip().removeprefix("hiveguard_pipeline.errors.")
            return f"{event.step_key}: {said}"
    return "see the run in the Dagster UI"


def print_funnel(database: Database, names: list[str], fmt: str) -> None:
    """Items of each dataset by state."""
    with database.read() as connection:
        rows = [{"dataset": name, **funnel(connection, get_dataset(connection, name))} for name in names]
    emit(rows, list(rows[0]), fmt)
