"""Which items are served next: weights by hand, and draws that are as random as the rules say."""

import numpy as np
import pytest
from hypothesis import strategies as st

from hiveguard_pipeline.rules import selection
from hiveguard_pipeline.rules.policy import ONE, Policy
from hiveguard_pipeline.rules.selection import draw_fewest_first, draw_weighted, weights

from .crowds import holds, policies

REPEATS = 20_000


def chance(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_as_likely(observed: np.ndarray, expected: np.ndarray) -> None:
    """Chi-square per degree of freedom; beyond 3 is one in thousands for the few cells of these tests."""
    statistic = ((observed - expected) ** 2 / expected).sum() / (len(expected) - 1)
    assert statistic < 3, (statistic, observed, expected)


@pytest.mark.parametrize(
    ("confidence", "total_votes", "weight"),
    [
        (600_000, 15, 0.25),  # doubt: 0.85 - 0.60
        (600_000, 3, 0.8),  # missing: (15 - 3) / 15
        (600_000, 12, 0.25),  # doubt before missing, 0.2
        (ONE, 14, 1 / 15),
        (ONE, 15, 0.01),
        (850_000, 15, 0.01),
        (845_000, 40, 0.01),  # 0.005 is below the least weight
        (0, 40, 0.85),
        (0, 0, 1.0),
    ],
)
def test_weight_is_the_larger_of_doubt_missing_votes_and_one_hundredth(
    confidence: int, total_votes: int, weight: float
) -> None:
    assert weights(np.array([confidence]), np.array([total_votes]), Policy()) == pytest.approx([weight])


@holds(
    100,
    st.lists(st.tuples(st.integers(0, ONE), st.integers(0, 40)), max_size=50),
    policies(),
)
def test_weights_are_those_of_the_policy(items: list[tuple[int, int]], policy: Policy) -> None:
    expected = [
        max(
            policy.revalidation_exit_confidence / ONE - confidence / ONE,
            1 - total / policy.revalidation_min_total_votes,
            0.01,
        )
        for confidence, total in items
    ]
    columns = np.array(items, dtype=np.int64).reshape(-1, 2).T
    assert weights(columns[0], columns[1], policy).tolist() == pytest.approx(expected)


def test_the_first_draw_is_in_proportion_to_weight() -> None:
    weight = np.array([0.01, 0.04, 0.2, 0.25, 0.5])
    random = chance()
    first = [int(draw_weighted(weight, 1, random)[0]) for _ in range(REPEATS)]
    assert_as_likely(np.bincount(first, minlength=5), REPEATS * weight / weight.sum())


def test_the_second_draw_is_in_proportion_to_the_weights_that_are_left() -> None:
    weight = np.array([0.1, 0.2, 0.3, 0.4])
    random = chance()
    pairs = np.zeros((4, 4))
    for _ in range(REPEATS):
        first, second = draw_weighted(weight, 2, random)
        pairs[first, second] += 1
    expected = weight[:, None] * weight[None, :] / (1 - weight[:, None]) * REPEATS
    apart = ~np.eye(4, dtype=bool)
    assert not pairs[~apart].any()
    assert_as_likely(pairs[apart], expected[apart])


@holds(100, st.integers(0, 60), st.integers(0, 80), st.integers(0, 2**32))
def test_draws_never_repeat_and_give_all_there_are_when_more_are_wanted(
    items: int, n: int, seed: int
) -> None:
    weight = chance(seed).uniform(0.01, 1, items)
    votes = chance(seed).integers(0, 9, items)
    for drawn in (draw_weighted(weight, n, chance(seed)), draw_fewest_first(votes, n, chance(seed))):
        assert len(drawn) == min(n, items)
        assert len(set(drawn.tolist())) == len(drawn)
        assert set(drawn.tolist()) <= set(range(items))
        assert drawn.dtype == np.int64


def test_a_seed_decides_a_draw() -> None:
    weight, votes = chance().uniform(0.01, 1, 500), chance().integers(0, 9, 500)
    for draw, column in ((draw_weighted, weight), (draw_fewest_first, votes)):
        one, same, other = (draw(column, 50, chance(seed)).tolist() for seed in (7, 7, 8))
        assert one == same
        assert one != other


@holds(50, st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32))
def test_without_the_draws_at_random_the_fewest_votes_come_first(items: int, n: int, seed: int) -> None:
    votes = chance(seed).integers(0, 9, items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "RANDOM_SHARE", 0.0)
        drawn = draw_fewest_first(votes, n, chance(seed))
    assert votes[drawn].tolist() == sorted(votes.tolist())[:n]


def test_one_draw_in_ten_is_at_random_over_all_unlabeled_items() -> None:
    fresh, contested = 900, 100
    votes = np.repeat([1, 14], [fresh, contested])
    random, n, repeats = chance(), 50, 1000
    at_random = sum(int((votes[draw_fewest_first(votes, n, random)] == 14).sum()) for _ in range(repeats))
    # A draw at random meets a contested item one time in ten, as one item in ten is contested.
    expected = repeats * n * selection.RANDOM_SHARE * contested / (fresh + contested)
    assert selection.RANDOM_SHARE == 0.1
    assert at_random == pytest.approx(expected, rel=0.15)


def test_draws_at_random_stand_anywhere_in_the_list_and_the_others_keep_their_order() -> None:
    votes = chance().permutation(10_000)
    n, random = 100, chance()
    places = np.zeros(n)
    for _ in range(500):
        drawn = votes[draw_fewest_first(votes, n, random)]
        strange = drawn >= 2 * n
        places += strange
        others = drawn[~strange]
        # One of the fewest may be drawn at random as well; it then stands out of its order.
        assert (np.diff(others) < 0).sum() <= 2
        assert strange.sum() < n / 3
    assert_as_likely(np.add.reduceat(places, range(0, n, 10)), np.full(10, places.sum() / 10))


def test_items_with_as_many_votes_come_in_random_order() -> None:
    random = chance()
    first = [int(draw_fewest_first(np.zeros(5, dtype=np.int64), 1, random)[0]) for _ in range(REPEATS)]
    assert_as_likely(np.bincount(first, minlength=5), np.full(5, REPEATS / 5))
