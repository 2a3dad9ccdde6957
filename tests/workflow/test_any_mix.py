"""After any mix of votes, runs, answers, reviews, retractions and workflows all is as the plain reading."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.store.schema import open_database
from tests.workflow.world import FlowWorld


def _played(url: str, examples: int, steps: int) -> Counter[str]:
    database, done = open_database(url), Counter[str]()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32))
    def play(seed: int) -> None:
        world = FlowWorld(database, seed)
        world.play(steps)
        done.update(world.done)
        done.update(f"{way[1]} of {way[0]}" for flow in world.flows.values() for way in flow.ways)

    play()
    return done


@pytest.mark.parametrize("examples", [5, pytest.param(150, marks=pytest.mark.slow)])
def test_items_go_as_the_plain_reading_says_and_the_ledger_replays(tmp_path: Path, examples: int) -> None:
    done = _played(f"sqlite:///{tmp_path / 'hiveguard.db'}", examples, 40)
    # A few sessions need not come to each group.
    groups = (
        {"answer: crowd"} if examples < 50 else {"answer: experts", "answer: annotators", "answer: crowd"}
    )
    assert groups <= set(done), done


@pytest.mark.parametrize("examples", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_so_on_postgres(new_postgres: Callable[..., str], examples: int) -> None:
    done = _played(new_postgres(), examples, 40)
    assert done
