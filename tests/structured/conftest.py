"""A terminal and jobs for structured datasets, as the tests of those have them."""

from tests.cli.conftest import home, terminal
from tests.dagster_location.conftest import instance, run_job

__all__ = ["home", "instance", "run_job", "terminal"]
