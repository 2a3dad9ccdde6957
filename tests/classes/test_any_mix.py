"""Labels are exact after any mix of class changes, votes, runs, decisions, undos, exclusions and policies."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.classes.world import ClassWorld
from tests.retraction.world import databases


def _played(new: Callable[[], str], examples: int, steps: int) -> Counter[str]:
    some, done = databases(new), Counter[str]()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32), st.booleans())
    def play(seed: int, closed: bool) -> None:
        world = ClassWorld(next(some), seed, closed=closed)
        world.play(steps)
        done.update(world.done)

    play()
    return done


@pytest.mark.parametrize("examples", [8, pytest.param(150, marks=pytest.mark.slow)])
def test_labels_are_those_of_the_plain_reading_and_the_ledger_replays(
    new_sqlite: Callable[[Path], str], tmp_path: Path, examples: int
) -> None:
    done = _played(lambda: new_sqlite(tmp_path / f"{uuid4()}.db"), examples, 40)
    wanted = (
        {"classes rename"}
        if examples < 100
        else {"classes rename", "classes merge", "classes remove", "correct"}
    )
    assert wanted <= set(done), done


@pytest.mark.parametrize("examples", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_so_on_postgres(new_postgres: Callable[..., str], examples: int) -> None:
    done = _played(new_postgres, examples, 40)
    assert {"classes rename", "exclude"} <= set(done), done
