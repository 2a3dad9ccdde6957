"""Uncertainty by its formulas, and what it refuses."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.selection import most_uncertain, uncertainty, uncertainty_scores

ROW = np.array([[0.5, 0.3, 0.2]])
METHODS = ("margin", "least_confident", "entropy")


@pytest.mark.parametrize(
    ("method", "score"),
    [
        ("margin", 1 - (0.5 - 0.3)),
        ("least_confident", 0.5),
        ("entropy", -(0.5 * np.log(0.5) + 0.3 * np.log(0.3) + 0.2 * np.log(0.2))),
    ],
)
def test_the_formulas_of_the_documentation(method: str, score: float) -> None:
    assert uncertainty_scores(ROW, method)[0] == pytest.approx(score)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_a_sure_row_scores_nothing_and_an_even_row_the_most(method: str) -> None:
    scores = uncertainty_scores([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], method)  # type: ignore[arg-type]
    most = {"margin": 1, "least_confident": 2 / 3, "entropy": np.log(3)}[method]
    assert scores.tolist() == pytest.approx([0, most])


@given(
    arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(2, 5)), elements=st.floats(0.01, 1.0)),
    st.sampled_from(METHODS),
    st.randoms(use_true_random=False),
)
def test_the_order_of_items_changes_nothing_but_ties(rows: np.ndarray, method, random) -> None:  # type: ignore[no-untyped-def,type-arg]
    rows = rows / rows.sum(axis=1, keepdims=True)
    keys = np.arange(len(rows))
    n = random.randint(1, len(rows))
    shuffled = np.array(random.sample(range(len(rows)), len(rows)))
    straight = uncertainty(rows, n, method, ties=keys).positions
    other = uncertainty(rows[shuffled], n, method, ties=keys[shuffled]).positions
    assert shuffled[other].tolist() == straight.tolist()


def test_ties_go_to_the_smallest_key_and_without_keys_to_the_first() -> None:
    even = np.full((4, 2), 0.5)
    assert uncertainty(even, 2, ties=["d", "b", "a", "c"]).positions.tolist() == [2, 1]
    assert uncertainty(even, 2).positions.tolist() == [0, 1]


def test_the_mean_is_that_of_the_picks() -> None:
    found = uncertainty([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]], 2)
    assert found.positions.tolist() == [2, 1]
    assert found.uncertainty_mean == pytest.approx((1.0 + 0.8) / 2)


def test_half_precision_and_lists_are_taken_and_the_input_is_not_changed() -> None:
    exact = np.random.default_rng(0).dirichlet(np.ones(5), 100)
    before = exact.copy()
    half = exact.astype(np.float16)
    assert len(uncertainty(half, 10).positions) == 10
    assert uncertainty(exact.tolist(), 10).positions.tolist() == uncertainty(exact, 10).positions.tolist()
    assert (exact == before).all()


@pytest.mark.parametrize("place", [0, 150_000])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([np.nan, 0.5], "row {place} has a NaN or infinite number"),
        ([np.inf, 0.5], "row {place} has a NaN or infinite number"),
        ([1.5, -0.5], "row {place} has a negative number"),
        ([0.5, 0.4], "row {place} sums to 0.9, not to 1"),
        ([0.0, 0.0], "row {place} sums to 0, not to 1"),
    ],
)
def test_the_first_row_that_is_no_probability_is_named(row: list[float], message: str, place: int) -> None:
    rows = np.full((200_000, 2), 0.5)
    rows[[place, 199_999]] = row
    with pytest.raises(BadInputError, match=message.format(place=place)):
        uncertainty(rows, 3)


@pytest.mark.parametrize(
    ("rows", "n", "message"),
    [
        ([0.5, 0.5], 1, r"shape \(2,\); expected \(items, columns\)"),
        ([[1.0], [1.0]], 1, "fewer than two classes"),
        ([["a", "b"]], 1, "expected numbers"),
        ([[0.5, 0.5], [1.0]], 1, "rows of different lengths"),
        (np.empty((0, 2)), 1, "the pool has 0"),
        ([[0.5, 0.5]], 2, "2 items wanted, and the pool has 1"),
        ([[0.5, 0.5]], 0, "at least 1"),
        ([[0.5, 0.5]], True, "at least 1"),
        ([[0.5, 0.5]], 1.0, "at least 1"),
    ],
)
def test_what_cannot_be_ranked_is_refused(rows: object, n: int, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        uncertainty(rows, n)  # type: ignore[arg-type]


def test_an_unknown_method_and_a_key_too_few_are_refused() -> None:
    with pytest.raises(BadInputError, match="expected margin, least_confident, entropy"):
        uncertainty(ROW, 1, "smallest")  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="a key for each of 1 items"):
        uncertainty(ROW, 1, ties=["a", "b"])


def test_scores_of_ones_own_are_ranked_and_checked() -> None:
    assert most_uncertain([0.1, 0.9, 0.5], 2).positions.tolist() == [1, 2]
    with pytest.raises(BadInputError, match="item 1 has nan"):
        most_uncertain([0.1, np.nan], 1)
    with pytest.raises(BadInputError, match="item 0 has -1"):
        most_uncertain([-1.0, 0.5], 1)


def test_a_large_pool_is_ranked_in_little_memory() -> None:
    rows = np.random.default_rng(0).dirichlet(np.ones(10), 100_000)
    tracemalloc.start()
    try:
        uncertainty(rows, 1_000, "entropy")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < rows.nbytes / 2
