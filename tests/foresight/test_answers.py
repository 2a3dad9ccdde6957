"""The model of answers: its formulas by brute force, its fit on votes that it made itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad  # noqa: TID253
from scipy.stats import beta  # noqa: TID253

from hiveguard_pipeline.foresight.answers import SLOTS, Answers, draw_shares, slots_of
from hiveguard_pipeline.foresight.standing import standing_of, turnover
from hiveguard_pipeline.rules.policy import Policy
from tests.foresight.crowds import crowd_of, made_up, unlabeled


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 11)), max_size=60),
    st.lists(st.integers(-1, 11), min_size=6, max_size=6),
    st.randoms(use_true_random=False),
)
def test_slots_number_the_answers_of_an_item_whatever_the_order_of_votes(
    votes: list[tuple[int, int]], labels: list[int], random: object
) -> None:
    def numbered(rows: list[tuple[int, int]]) -> tuple[dict[tuple[int, int], int], list[list[int]]]:
        item, answer = (np.array([row[column] for row in rows], dtype=np.int32) for column in (0, 1))
        slot, answers = slots_of(item, answer, np.array(labels, dtype=np.int32), 12)
        assert answers.counts.shape == (6, SLOTS)
        return dict(zip(rows, slot.tolist(), strict=True)), answers.counts.tolist()

    slots, counts = numbered(votes)
    shuffled = list(votes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert numbered(shuffled) == (slots, counts)
    for (item, answer), slot in slots.items():
        assert (slot == 0) == (answer == labels[item]) or labels[item] < 0
        assert counts[item][slot] >= votes.count((item, answer))
    assert sum(map(sum, counts)) == len(votes)


@pytest.mark.parametrize("counts", [(0, 0), (3, 0), (2, 1), (1, 4), (6, 6)])
def test_the_chance_of_an_answer_is_that_of_the_integral(counts: tuple[int, int]) -> None:
    mean, spread, draws = 0.75, 6.0, 40_000
    prior = beta(spread * mean, spread * (1 - mean))
    n, m = counts

    def likelihood(p: float) -> float:
        return float(prior.pdf(p)) * (p**n * (1 - p) ** m + (1 - p) ** n * p**m)

    def next_first(p: float) -> float:
        return float(prior.pdf(p)) * (p ** (n + 1) * (1 - p) ** m + (1 - p) ** (n + 1) * p**m)

    expected = quad(next_first, 0, 1)[0] / quad(likelihood, 0, 1)[0]
    answers = Answers(np.tile(np.array(counts), (draws, 1)), 2)
    shares = draw_shares(answers, np.array([mean, spread, 5.0]), 0.0, np.random.default_rng(1))
    assert np.allclose(shares.sum(axis=1), 1)
    assert shares[:, 0].mean() == pytest.approx(expected, abs=0.005)


def test_many_votes_tell_the_shares_of_all_answers() -> None:
    answers = Answers(np.array([[600, 300, 100, 0, 0]] * 200), 5)
    shares = draw_shares(answers, np.array([0.8, 5.0, 4.0]), 0.0, np.random.default_rng(1))
    assert shares.mean(axis=0) == pytest.approx([0.6, 0.3, 0.1, 0, 0], abs=0.01)


@pytest.mark.parametrize(("classes", "mean", "spread"), [(2, 0.85, 6.0), (5, 0.7, 4.0), (20, 0.8, 10.0)])
def test_the_fit_finds_what_made_the_votes(classes: int, mean: float, spread: float) -> None:
    rows = made_up(3_000, 8, classes, mean, spread, np.random.default_rng(classes))
    crowd = crowd_of(rows)
    model = standing_of(crowd, unlabeled(crowd), Policy()).model
    assert model is not None
    drawn = model.draw(2_000, np.random.default_rng(1))
    for column, true, width in ((0, mean, 0.1), (1, spread, 1.5)):
        low, high = np.quantile(drawn[:, column], [0.001, 0.999])
        assert low <= true <= high
        assert (high - low) / true < width


def test_turnover_is_none_among_the_same_and_whole_among_others() -> None:
    same = np.array([[number // 4, number % 4, 0] for number in range(40)])
    assert turnover(crowd_of(same)) == 0
    others = same.copy()
    others[20:, 1] += 4
    assert turnover(crowd_of(others)) == 1
    others[20:30, 1] -= 4
    assert turnover(crowd_of(others)) == pytest.approx(0.5)
