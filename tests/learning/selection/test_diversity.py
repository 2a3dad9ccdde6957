"""K-centre and k-means: what is unlike the rest, and the middle of each group."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.selection import cold_start, diversity, hybrid


def _distances(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(points[:, None] - others[None], axis=2))


@given(st.integers(2, 60), st.integers(0, 600), st.integers(1, 4), st.integers(0, 10**6))
def test_each_pick_is_the_farthest_from_all_before_it(size: int, known: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    points, base = random.normal(size=(size, width)) + 1e3, random.normal(size=(known, width)) + 1e3
    found = diversity(points, min(size, 8), base)
    for number, (position, score) in enumerate(zip(found.positions, found.scores, strict=True)):
        if number == 0 and not known:
            middle = _distances(points, points.mean(axis=0)[None])[:, 0]
            assert middle[position] == pytest.approx(middle.min(), abs=1e-6)
            continue
        near = _distances(points, np.concatenate([base, points[found.positions[:number]]])).min(axis=1)
        free = np.delete(near, found.positions[:number])
        assert near[position] == pytest.approx(free.max(), abs=1e-6)
        assert score == pytest.approx(near[position], abs=1e-6)
    assert len(set(found.positions.tolist())) == len(found.positions)


def test_ties_go_to_the_smallest_key_and_copies_are_all_picked_at_last() -> None:
    points = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    found = diversity(points, 4, [[0.0, 0.0]], ties=["d", "c", "b", "a"])
    assert found.positions[0] == 3
    assert sorted(found.positions.tolist()) == [0, 1, 2, 3]
    assert found.scores[-1] == 0.0


def test_without_labelled_items_it_says_where_it_began() -> None:
    for labelled in (None, [], np.empty((0, 2))):
        found = diversity([[0.0, 0.0], [1.0, 0.0], [9.0, 0.0]], 2, labelled)
        assert found.notes == (
            "no labelled items: the first pick is the item nearest to the mean of the pool",
        )
        assert found.positions.tolist() == [1, 2]


def test_single_precision_is_kept_and_picks_the_same() -> None:
    points = np.random.default_rng(1).normal(size=(2_000, 16))
    exact = diversity(points[100:], 40, points[:100])
    single = diversity(points[100:].astype(np.float32), 40, points[:100].astype(np.float32))
    assert single.positions.tolist() == exact.positions.tolist()


@pytest.mark.parametrize(
    ("points", "labelled", "message"),
    [
        ([[0.0], [np.nan]], None, "embedding: row 1 has a NaN"),
        ([[0.0], [1.0]], [[np.inf]], "labelled embedding: row 0 has a NaN or infinite"),
        ([[0.0], [1.0]], [[1.0, 2.0]], "labelled embedding: 2 dimensions; that of the pool has 1"),
        (np.empty((2, 0)), None, "embedding: no columns"),
        (np.zeros(3), None, r"embedding: shape \(3,\)"),
    ],
)
def test_what_has_no_place_is_refused(points: object, labelled: object, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        diversity(points, 1, labelled)  # type: ignore[arg-type]


def _groups(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(5), [400, 30, 30, 30, 10])
    return 20.0 * np.eye(5)[group] + random.normal(size=(500, 5)), group


@pytest.mark.parametrize("seed", range(5))
def test_without_a_model_each_group_is_asked_once(seed: int) -> None:
    points, group = _groups(seed)
    found = cold_start(points, 5, seed=seed)
    assert sorted(group[found.positions].tolist()) == [0, 1, 2, 3, 4]


def test_hybrid_picks_among_the_least_sure_and_not_twice_the_same() -> None:
    points, group = _groups(0)
    share = np.full(500, 0.95)
    share[group != 0] = np.linspace(0.5, 0.6, 100)
    rows = np.stack([share, 1 - share], axis=1)
    found = hybrid(rows, 4, points)
    assert set(found.positions.tolist()) <= set(np.argsort(share, kind="stable")[:40].tolist())
    assert (np.diff(found.scores) <= 0).all()
    assert found.uncertainty_mean == pytest.approx(found.scores.mean())
    copies = np.repeat([[0.0], [1.0], [2.0]], 20, axis=0)
    asked = hybrid(np.full((60, 2), 0.5), 3, copies, ties=np.random.default_rng(0).permutation(60))
    assert sorted(copies[asked.positions, 0].tolist()) == [0.0, 1.0, 2.0]


def test_weights_pull_the_middle_of_a_group() -> None:
    points = np.linspace(0.0, 1.0, 11)[:, None]
    even = hybrid(None, 1, points[:10], scores=np.full(10, 0.5))
    pulled = hybrid(None, 1, points[:10], scores=np.linspace(0.01, 1.0, 10) ** 4)
    assert pulled.positions[0] > even.positions[0]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_as_many_as_asked_and_none_twice_however_many_copies(size: int, n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    points = random.integers(0, 3, (size, 2)).astype(float)
    n = min(n, size)
    for found in (
        cold_start(points, n, seed=seed),
        hybrid(None, n, points, scores=random.random(size).round(1)),
    ):
        assert len(set(found.positions.tolist())) == n


def test_hybrid_wants_one_of_probabilities_and_scores_of_as_many_items() -> None:
    with pytest.raises(BadInputError, match="one of them"):
        hybrid(None, 1, [[0.0]])
    with pytest.raises(BadInputError, match="2 items have a probability or score, and 1 have an embedding"):
        hybrid([[0.5, 0.5], [0.5, 0.5]], 1, [[0.0]])
