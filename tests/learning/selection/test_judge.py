"""The picks are scikit-activeml's on the same probabilities, votes and embeddings."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skactiveml.pool import CoreSet, average_kl_divergence, uncertainty_scores, vote_entropy

from hiveguard_pipeline.learning.selection import committee, crowd, diversity, uncertainty

SIZES = [(500, 2), (700, 3), (3_000, 10), (40_000, 10)]
THEIR_NAMES = {"margin": "margin_sampling", "least_confident": "least_confident", "entropy": "entropy"}


def _ranked(scores: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")[:n]


def _probabilities(rows: int, classes: int, seed: int, sharpness: float = 0.5) -> NDArray[np.float64]:
    return np.random.default_rng(seed).dirichlet(np.full(classes, sharpness), rows)


@pytest.mark.parametrize("method", THEIR_NAMES)
@pytest.mark.parametrize(("rows", "classes"), SIZES)
def test_uncertainty_ranks_as_the_judge_does(rows: int, classes: int, method: str) -> None:
    given = _probabilities(rows, classes, rows)
    theirs = uncertainty_scores(given, method=THEIR_NAMES[method])
    found = uncertainty(given, 200, method)  # type: ignore[arg-type]
    assert found.positions.tolist() == _ranked(theirs, 200).tolist()
    np.testing.assert_allclose(found.scores, theirs[found.positions], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", THEIR_NAMES)
def test_ties_of_uncertainty_are_the_judges_ties(method: str) -> None:
    given = _probabilities(4_000, 4, 1).round(1)
    given[:, 0] += 1.0 - given.sum(axis=1)
    given = given[(given >= 0.0).all(axis=1)]
    theirs = uncertainty_scores(given, method=THEIR_NAMES[method])
    found = uncertainty(given, 300, method)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.scores, np.sort(theirs)[::-1][:300], rtol=0, atol=1e-12)


@pytest.mark.parametrize("members", [2, 3, 7])
def test_vote_entropy_of_a_committee_is_the_judges(members: int) -> None:
    models = [_probabilities(5_000, 6, seed) for seed in range(members)]
    said = np.stack([rows.argmax(axis=1) for rows in models], axis=1)
    theirs = vote_entropy(said, np.arange(6))
    found = committee(models, 400)
    np.testing.assert_allclose(found.scores, np.sort(theirs)[::-1][:400], rtol=0, atol=1e-12)
    np.testing.assert_allclose(theirs[found.positions], found.scores, rtol=0, atol=1e-12)


@pytest.mark.parametrize("members", [2, 5])
def test_kl_of_a_committee_ranks_as_the_judge_does(members: int) -> None:
    models = [_probabilities(5_000, 6, seed, sharpness=2.0) for seed in range(members)]
    theirs = average_kl_divergence(np.stack(models))
    found = committee(models, 400, "kl")
    assert found.positions.tolist() == _ranked(theirs, 400).tolist()
    np.testing.assert_allclose(found.scores, theirs[found.positions], rtol=1e-9)


def test_vote_entropy_of_a_crowd_is_the_judges_where_all_items_have_as_many_votes() -> None:
    said = np.random.default_rng(3).integers(0, 4, (2_000, 9))
    counts = np.stack([(said == answer).sum(axis=1) for answer in range(4)], axis=1)
    theirs = vote_entropy(said, np.arange(4))
    found = crowd(counts, 100)
    np.testing.assert_allclose(found.scores, np.sort(theirs)[::-1][:100], rtol=0, atol=1e-12)


@pytest.mark.parametrize("labelled", [1, 5, 400])
def test_diversity_picks_the_judges_core_set(labelled: int) -> None:
    points = np.random.default_rng(labelled).normal(size=(3_000, 8)) + 50.0
    truth = np.full(len(points), np.nan)
    truth[:labelled] = 0
    theirs = CoreSet(random_state=0).query(X=points, y=truth, batch_size=60)
    found = diversity(points[labelled:], 60, points[:labelled])
    assert (found.positions + labelled).tolist() == np.asarray(theirs).tolist()
