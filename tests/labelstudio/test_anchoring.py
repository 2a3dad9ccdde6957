"""The figures of the report on proposals, against plain counts and exact probabilities."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.labelstudio.anchoring import anchoring, median, share


def test_shares_have_wilsons_interval() -> None:
    # Agresti and Coull (1998), and R's prop.test(8, 10, correct = FALSE): 0.4901625, 0.9433178.
    found = share(np.array([True] * 8 + [False] * 2))
    assert (found.of, found.value) == (10, 0.8)
    assert (found.low, found.high) == (pytest.approx(0.4901625), pytest.approx(0.9433178))
    assert share(np.zeros(0, dtype=bool)).value is None
    low = share(np.zeros(5, dtype=bool)).low
    assert low == pytest.approx(0, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), max_size=60))
def test_the_medians_interval_is_the_shortest_symmetric_one_that_covers(values: list[int]) -> None:
    found = median(np.array(values, dtype=float))
    n = len(values)
    if n == 0:
        assert found.value is None
        return
    assert found.value == float(np.median(values))

    def missed(rank: int) -> Fraction:
        """The chance that fewer than `rank` of n values lie below the median, twice."""
        return Fraction(2 * sum(math.comb(n, k) for k in range(rank)), 2**n)

    ranks = [rank for rank in range(1, n + 1) if missed(rank) <= Fraction(5, 100)]
    if not ranks:
        assert found.low is None
        return
    ordered = sorted(values)
    assert (found.low, found.high) == (ordered[max(ranks) - 1], ordered[n - max(ranks)])


def test_followed_right_and_wrong_ones_are_told_apart() -> None:
    found = anchoring(
        follows=np.array([True, True, False, False, True]),
        proposal_right=np.array([1, 0, 0, 1, -1], dtype=np.int8),
        answer_right=np.array([1, 0, 1, 0, -1], dtype=np.int8),
        milliseconds=np.array([1000, 3000, np.nan, 2000, np.nan]),
    )
    assert found.answers == 5
    assert found.followed.value == 0.6
    assert (found.followed_right.of, found.followed_right.value) == (2, 0.5)
    assert (found.followed_wrong.of, found.followed_wrong.value) == (2, 0.5)
    assert (found.correct.of, found.correct.value) == (4, 0.5)
    assert (found.seconds.of, found.seconds.value, found.seconds.low) == (3, 2.0, None)
