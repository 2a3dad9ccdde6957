"""After any mix of votes, runs, exclusions, decisions, undos, policies and gold all is exact."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.retraction.world import World, databases


def _played(new: Callable[[], str], examples: int, steps: int) -> Counter[str]:
    some, done = databases(new), Counter[str]()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32))
    def play(seed: int) -> None:
        world = World(next(some), seed)
        world.play(steps)
        done.update(world.done)

    play()
    return done


@pytest.mark.parametrize("examples", [8, pytest.param(150, marks=pytest.mark.slow)])
def test_labels_are_those_of_the_plain_reading_and_the_ledger_replays(
    new_sqlite: Callable[[Path], str], tmp_path: Path, examples: int
) -> None:
    done = _played(lambda: new_sqlite(tmp_path / f"{uuid4()}.db"), examples, 40)
    assert {"exclude", "restore", "withdraw", "correct"} <= set(done), done


@pytest.mark.parametrize("examples", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_so_on_postgres(new_postgres: Callable[..., str], examples: int) -> None:
    done = _played(new_postgres, examples, 40)
    assert {"exclude", "restore", "withdraw"} <= set(done), done


@pytest.mark.slow
def test_sessions_come_to_undo_decisions_that_a_recount_restated(
    new_sqlite: Callable[[Path], str], tmp_path: Path
) -> None:
    some = databases(lambda: new_sqlite(tmp_path / f"{uuid4()}.db"))
    for seed in range(100):
        world = World(next(some), seed, items=4, solvers=16)
        world.play(60)
        if "undo of a restated" in world.done:
            return
    pytest.fail("no session came to it")
