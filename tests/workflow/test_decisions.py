"""What stages decide on many items at once is exact, whatever else happens to them, and replays."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.store.schema import open_database
from tests.workflow.staged import StagedWorld


def _played(url: str, examples: int, steps: int) -> Counter[str]:
    database, done = open_database(url), Counter[str]()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32))
    def play(seed: int) -> None:
        world = StagedWorld(database, seed)
        world.play(steps)
        done.update(world.done)

    play()
    return done


@pytest.mark.parametrize("examples", [8, pytest.param(150, marks=pytest.mark.slow)])
def test_labels_are_those_of_the_plain_reading_and_the_ledger_replays(tmp_path: Path, examples: int) -> None:
    done = _played(f"sqlite:///{tmp_path / 'hiveguard.db'}", examples, 40)
    assert {"stage: hold", "stage: release", "stage: accept", "exclude"} <= set(done), done


@pytest.mark.parametrize("examples", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_so_on_postgres(new_postgres: Callable[..., str], examples: int) -> None:
    done = _played(new_postgres(), examples, 40)
    assert {"stage: hold", "stage: accept"} <= set(done), done
