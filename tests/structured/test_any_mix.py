"""Whatever comes, in whatever order: structured labels are those of the plain reading; the ledger replays."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.retraction.world import databases
from tests.structured.world import StructuredWorld


def _played(new: Callable[[], str], examples: int, steps: int) -> Counter[str]:
    some, done = databases(new), Counter[str]()

    # Sessions do not get simpler by a smaller seed.
    @settings(
        max_examples=examples,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32))
    def play(seed: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            world = StructuredWorld(next(some), seed, patch)
            world.play(steps)
        done.update(world.done)
        done.update(item.item.now.state for item in world.items.values())

    play()
    return done


@pytest.mark.parametrize("examples", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_labels_are_those_of_the_plain_reading_and_the_ledger_replays(
    new_sqlite: Callable[[Path], str], tmp_path: Path, examples: int
) -> None:
    done = _played(lambda: new_sqlite(tmp_path / f"{uuid4()}.db"), examples, 40)
    assert {"exclude", "in_revalidation"} <= set(done), done


@pytest.mark.parametrize("examples", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_so_on_postgres(new_postgres: Callable[..., str], examples: int) -> None:
    done = _played(new_postgres, examples, 40)
    assert done["exclude"], done
