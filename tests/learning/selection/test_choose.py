"""`select`: any strategy by name, its notes and cautions, and what it refuses."""

import numpy as np
import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.selection import (
    STRATEGIES,
    committee,
    crowd,
    diversity,
    hybrid,
    select,
    uncertainty,
)
from hiveguard_pipeline.learning.selection import choose as choose_module

RANDOM = np.random.default_rng(5)
ROWS = RANDOM.dirichlet(np.ones(3), 2_000)
OTHER = RANDOM.dirichlet(np.ones(3), 2_000)
POINTS = RANDOM.normal(size=(2_000, 4))
KNOWN = RANDOM.normal(size=(400, 4))
VOTES = RANDOM.integers(0, 4, (2_000, 3))


def test_each_strategy_is_its_own_function() -> None:
    assert list(STRATEGIES) == ["uncertainty", "committee", "diversity", "hybrid", "random"]
    pairs = [
        (select("uncertainty", 9, probabilities=ROWS, method="entropy"), uncertainty(ROWS, 9, "entropy")),
        (select("committee", 9, committee=[ROWS, OTHER], method="kl"), committee([ROWS, OTHER], 9, "kl")),
        (select("committee", 9, votes=VOTES), crowd(VOTES, 9)),
        (select("diversity", 9, embedding=POINTS, labelled_embedding=KNOWN), diversity(POINTS, 9, KNOWN)),
        (select("hybrid", 9, probabilities=ROWS, embedding=POINTS, seed=3), hybrid(ROWS, 9, POINTS, seed=3)),
    ]
    for ours, theirs in pairs:
        assert ours.positions.tolist() == theirs.positions.tolist()
        assert ours.scores.tolist() == theirs.scores.tolist()
        assert ours.positions.dtype == np.int64


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_question_has_the_same_answer_and_chance_only_where_it_belongs(strategy: str) -> None:
    given = {
        "uncertainty": {"probabilities": ROWS},
        "committee": {"committee": [ROWS, OTHER]},
        "diversity": {"embedding": POINTS},
        "hybrid": {"probabilities": ROWS, "embedding": POINTS},
        "random": {"pool": 2_000},
    }[strategy]
    first, again, other = (select(strategy, 20, **given, seed=seed) for seed in (1, 1, 2))  # type: ignore[arg-type]
    assert first.positions.tolist() == again.positions.tolist()
    chance = strategy in ("hybrid", "random")
    assert (first.positions.tolist() != other.positions.tolist()) is chance


def test_before_a_model_hybrid_goes_by_groups_and_then_by_what_is_labelled() -> None:
    cold = select("hybrid", 5, embedding=POINTS)
    assert "no model and no labelled items" in cold.notes[-1]
    assert cold.cautions == ()
    warm = select("hybrid", 5, embedding=POINTS, labelled_embedding=KNOWN)
    assert warm.positions.tolist() == diversity(POINTS, 5, KNOWN).positions.tolist()
    assert warm.notes == ("no model: picked by diversity",)


def test_of_a_large_pool_k_centre_sees_the_least_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_module, "MOST_SPREAD", 50)
    found = select("diversity", 9, embedding=POINTS, labelled_embedding=KNOWN, probabilities=ROWS)
    among = np.sort(uncertainty(ROWS, 50).positions)
    assert found.positions.tolist() == among[diversity(POINTS[among], 9, KNOWN).positions].tolist()
    assert found.notes == ("picked among the 50 least sure of 2000 items",)
    drawn = select("diversity", 9, embedding=POINTS, labelled_embedding=KNOWN)
    assert drawn.notes == ("picked among 50 of 2000 items, drawn at random",)


@pytest.mark.parametrize(
    ("n", "labelled", "said"),
    [
        (100, 400, None),
        (101, 404, "more than 5% of the pool of 2000:"),
        (100, 399, "more than 25% of the 399 labelled items:"),
        (101, 100, "more than 5% of the pool of 2000 and more than 25% of the 100 labelled items:"),
        (100, None, None),
        (100, 0, None),
    ],
)
def test_a_query_that_is_too_large_is_answered_with_a_caution(
    n: int, labelled: int | None, said: str
) -> None:
    for strategy, given in {
        "uncertainty": {"probabilities": ROWS},
        "committee": {"committee": [ROWS, OTHER]},
        "hybrid": {"scores": ROWS[:, 0], "embedding": POINTS},
    }.items():
        found = select(strategy, n, **given, labelled=labelled)  # type: ignore[arg-type]
        assert len(found.positions) == n
        assert len(found.cautions) == (said is not None)
        assert said is None or (said in found.cautions[0] and found.cautions[0] in found.notes)


def test_what_does_not_rank_by_a_model_is_not_cautioned() -> None:
    for strategy, given in {
        "diversity": {"embedding": POINTS, "labelled_embedding": KNOWN},
        "committee": {"votes": VOTES},
        "random": {"pool": 2_000},
    }.items():
        assert select(strategy, 1_000, **given).cautions == ()  # type: ignore[arg-type]


def test_a_query_is_held_against_the_whole_pool_where_only_some_of_it_was_scored() -> None:
    assert select("uncertainty", 150, probabilities=ROWS, pool=3_000).cautions == ()
    assert "5% of the pool of 2999" in select("uncertainty", 150, probabilities=ROWS, pool=2_999).cautions[0]


def test_the_labelled_items_are_counted_by_their_embedding() -> None:
    found = select("hybrid", 100, probabilities=ROWS, embedding=POINTS, labelled_embedding=KNOWN[:300])
    assert "of the 300 labelled items" in found.cautions[0]


def test_random_draws_evenly() -> None:
    drawn = np.concatenate([select("random", 10, pool=50, seed=seed).positions for seed in range(2_000)])
    counts = np.bincount(drawn, minlength=50)
    assert counts.sum() == 20_000
    assert np.abs(counts - 400).max() < 5 * np.sqrt(400 * 0.8)


@pytest.mark.parametrize(
    ("strategy", "given", "message"),
    [
        ("best", {"pool": 3}, "no strategy 'best': there are uncertainty, committee"),
        ("uncertainty", {"embedding": POINTS}, "needs probabilities or scores; none was given"),
        ("uncertainty", {"probabilities": ROWS, "scores": ROWS[:, 0]}, "not probabilities and scores"),
        ("committee", {"probabilities": ROWS}, "needs committee or votes; none was given"),
        ("hybrid", {"probabilities": ROWS}, "needs embedding"),
        ("random", {}, "how large is the pool"),
        ("random", {"pool": 3}, "5 items wanted, and the pool has 3"),
        (
            "uncertainty",
            {"probabilities": ROWS, "pool": 9},
            "pool is 9, and there are 2000 items to pick from",
        ),
        ("hybrid", {"probabilities": ROWS, "embedding": POINTS[:9]}, "probabilities 2000, embedding 9"),
        ("uncertainty", {"probabilities": ROWS, "method": "kl"}, "method 'kl': expected margin"),
        ("random", {"pool": 9, "method": "kl"}, "expected none"),
        ("committee", {"committee": [ROWS]}, "two or more"),
        ("uncertainty", {"probabilities": [[0.5, 0.5], [1.0]]}, "rows of different lengths"),
    ],
)
def test_what_a_strategy_cannot_do_without_is_named(
    strategy: str, given: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        select(strategy, 5, **given)  # type: ignore[arg-type]


def test_sparse_features_are_refused_with_what_to_do() -> None:
    from scipy.sparse import csr_array

    with pytest.raises(BadInputError, match=r"sparse matrix.*TruncatedSVD"):
        select("diversity", 1, embedding=csr_array(np.eye(3)))  # type: ignore[arg-type]
