"""The home folder, and Dagster's folder in it with settings that suit batches of votes."""

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.settings import Settings

DAGSTER_YAML = """\
# Written by `hiveguard init`; yours to change. docs/postgres.md shows the one for PostgreSQL.
telemetry:
  enabled: false
nux:
  enabled: false
run_queue:
  dequeue_interval_seconds: 1
concurrency:
  runs:
    max_concurrent_runs: 4
    tag_concurrency_limits:
      - key: hiveguard/dataset
        value:
          applyLimitPerUniqueValue: true
        limit: 1
retention:
  sensor:
    purge_after_days:
      skipped: 1
      failure: 30
      success: 30
"""


def prepare_home(settings: Settings) -> None:
    """Make the home and, where there is none yet, Dagster's settings. Raises BadInputError."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        settings.dagster_home.mkdir(parents=True, exist_ok=True)
        written = settings.dagster_home / "dagster.yaml"
        if not written.exists():
            written.write_text(DAGSTER_YAML)
    except OSError as error:
        raise BadInputError(f"{error.filename} cannot be made: {error.strerror}") from None
