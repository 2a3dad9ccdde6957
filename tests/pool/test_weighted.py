"""Draws from a pool in memory: as likely as the rules draw, whatever was changed before."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.pool import weighted
from hiveguard_pipeline.pool.weighted import Levels, Weighted
from hiveguard_pipeline.rules import selection
from hiveguard_pipeline.rules.selection import draw_fewest_first, draw_weighted

REPEATS = 12_000


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of four items, so that few items are many blocks."""
    monkeypatch.setattr(weighted, "BLOCK", 4)


def assert_alike(one: Counter[tuple[int, ...]], other: Counter[tuple[int, ...]]) -> None:
    """Two samples of one distribution: chi-square per degree of freedom, over the cells met often."""
    cells = [cell for cell in one | other if one[cell] + other[cell] >= 20]
    assert len(cells) > 5
    statistic = sum((one[cell] - other[cell]) ** 2 / (one[cell] + other[cell]) for cell in cells)
    assert statistic / len(cells) < 1.5, (statistic / len(cells), one, other)


def test_pairs_are_drawn_by_weight_as_often_as_the_rules_draw_them() -> None:
    random = np.random.default_rng(1)
    weight = np.array([1, 0, 0.5, 0.25, 0.01, 1, 0, 0, 0, 0, 0.8, 0.3, 0.1, 0.1, 0.6, 0.2, 0.9, 0.05])
    pool = Weighted(weight.astype(np.float32))
    assert pool.positive > 8  # or all would be drawn at once, by the rules themselves
    there = np.flatnonzero(weight)
    ours = Counter(tuple(pool.draw(2, random).tolist()) for _ in range(REPEATS))
    rules = Counter(tuple(there[draw_weighted(weight[there], 2, random)].tolist()) for _ in range(REPEATS))
    assert_alike(ours, rules)


def test_one_weight_that_outdoes_all_others_does_not_hold_up_a_draw() -> None:
    random = np.random.default_rng(2)
    weight = np.full(40, 1e-6, dtype=np.float32)
    weight[17] = 1
    seconds = Counter()
    for _ in range(300):
        drawn = Weighted(weight.copy()).draw(4, random).tolist()
        assert len(set(drawn)) == 4
        seconds[drawn[1]] += 1
    assert len(seconds) > 30


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_levels_are_drawn_lowest_first_and_at_random_as_often_as_the_rules_draw_them(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(3)
    # One of level 0, eleven of level 1: drawn by looking at all of them, and by trying one after another.
    level = np.array([3, 255, 0, 1, 1, 255, 255, 255, 255, 1, 2, 1, 5, 1, 1, *[1] * 5, 255, 255, 3], np.uint8)
    there = np.flatnonzero(level != Levels.OUT)
    pool = Levels(level)
    ours = Counter(tuple(pool.draw(2, share, random)) for _ in range(REPEATS))
    monkeypatch.setattr(selection, "RANDOM_SHARE", share)
    rules = Counter(
        tuple(there[draw_fewest_first(level[there].astype(np.int64), 2, random)].tolist())
        for _ in range(REPEATS)
    )
    assert_alike(ours, rules)


def test_what_is_asked_for_comes_first_in_its_order() -> None:
    pool = Levels(np.array([0, 4, 255, 2, 0, 1], dtype=np.uint8))
    drawn = pool.draw(4, 0.0, np.random.default_rng(4), first=iter([1, 2, 3]))
    assert drawn[:2] == [1, 3]
    assert set(drawn[2:]) == {0, 4}


changes = st.lists(st.dictionaries(st.integers(0, 29), st.integers(0, 6), max_size=12), max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=30, max_size=30), changes, st.integers(1, 40), st.integers(0, 99))
def test_a_pool_that_was_changed_is_as_one_built_anew(
    first: list[int], changed: list[dict[int, int]], n: int, seed: int
) -> None:
    """Value 0 is out of both pools; others are a level, or tenths of weight."""

    def as_level(values: np.ndarray) -> np.ndarray:
        return np.where(values == 0, Levels.OUT, values - 1).astype(np.uint8)

    def as_weight(values: np.ndarray) -> np.ndarray:
        return (values / 10).astype(np.float32)

    now = np.array(first)
    levels, weights = Levels(as_level(now)), Weighted(as_weight(now))
    for change in changed:
        places = np.array(sorted(change), dtype=np.int64)
        now[places] = [change[place] for place in places.tolist()]
        levels.change(places, as_level(now[places]))
        weights.change(places, as_weight(now[places]))
    there = np.flatnonzero(now)
    anew = Levels(as_level(now)), Weighted(as_weight(now))
    drawn = [pool.draw(n, 0.2, np.random.default_rng(seed)) for pool in (levels, anew[0])]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == len(drawn[0]) == min(n, len(there))
    assert set(drawn[0]) <= set(there.tolist())
    heavy = [pool.draw(n, np.random.default_rng(seed)).tolist() for pool in (weights, anew[1])]
    assert heavy[0] == heavy[1]
    assert len(set(heavy[0])) == len(heavy[0]) == min(n, len(there))
    assert set(heavy[0]) <= set(there.tolist())
    assert (levels.present, weights.positive) == (len(there), len(there))
