"""What tests of the code location share: an ephemeral instance, and its jobs run in this process."""

from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from hiveguard_pipeline.definitions import build_defs

RunJob = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def instance(environment: dict[str, str]) -> Iterator[dg.DagsterInstance]:
    """An instance of Dagster that knows the partition `animals`."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("datasets", ["animals"])
        yield instance


@pytest.fixture
def run_job(instance: dg.DagsterInstance) -> RunJob:
    """Runs a job of the code location on a dataset, in this process."""
    defs = build_defs()

    def run(name: str, partition: str = "animals") -> dg.ExecuteInProcessResult:
        return defs.resolve_job_def(name).execute_in_process(
            instance=instance,
            partition_key=partition,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )

    return run
