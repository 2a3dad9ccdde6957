"""A home in which Dagster's files are half made is one in which runs start."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hiveguard_pipeline.cli.instance import UNFINISHED, open_instance


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return tmp_path


def _half_made(home: Path) -> None:
    """What a kill leaves between the first and the last table of the event log."""
    with open_instance(home):
        pass
    with closing(sqlite3.connect(home / "history" / "runs" / "index.db")) as connection:
        connection.execute("DROP TABLE dynamic_partitions")
        connection.commit()


def test_a_home_that_was_left_half_made_is_made_anew(home: Path) -> None:
    _half_made(home)
    (home / UNFINISHED).touch()
    with open_instance(home) as instance:
        instance.add_dynamic_partitions("datasets", ["animals"])
        assert instance.get_dynamic_partitions("datasets") == ["animals"]
    assert not (home / UNFINISHED).exists()


def test_nothing_is_thrown_away_where_a_run_was_recorded(home: Path) -> None:
    with open_instance(home) as instance:
        run = instance.create_run_for_job(_job())
    (home / UNFINISHED).touch()
    with open_instance(home) as instance:
        assert instance.get_run_by_id(run.run_id) is not None
    assert not (home / UNFINISHED).exists()


def _job():  # type: ignore[no-untyped-def]
    import dagster as dg

    @dg.op
    def nothing() -> None:
        return

    @dg.job
    def empty() -> None:
        nothing()

    return empty
