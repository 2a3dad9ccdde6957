"""Committees of models and of people, by their formulas, and what they refuse."""

import numpy as np
import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.selection import committee, crowd

SURE_OF_A, SURE_OF_B, UNSURE = [0.9, 0.1], [0.1, 0.9], [0.5, 0.5]


def test_models_that_agree_score_nothing_however_unsure_they_are() -> None:
    for method in ("vote_entropy", "kl"):
        found = committee([[UNSURE, SURE_OF_A], [UNSURE, SURE_OF_B]], 2, method)
        assert found.positions.tolist() == [1, 0]
        assert found.scores[1] == 0.0


def test_kl_is_the_mean_divergence_from_the_mean() -> None:
    found = committee([[SURE_OF_A], [SURE_OF_B]], 1, "kl")
    assert found.scores[0] == pytest.approx(0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5))


def test_a_class_that_a_model_rules_out_is_no_error() -> None:
    found = committee([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]], 1, "kl")
    assert found.scores[0] == pytest.approx(np.log(2))


def test_committees_that_are_none_are_refused() -> None:
    with pytest.raises(BadInputError, match="two or more"):
        committee([[UNSURE]], 1)
    with pytest.raises(BadInputError, match=r"model 1: shape \(2, 2\); model 0 has \(1, 2\)"):
        committee([[UNSURE], [UNSURE, UNSURE]], 1)
    with pytest.raises(BadInputError, match=r"model 1: row 0 sums to 1\.2"):
        committee([[UNSURE], [[0.6, 0.6]]], 1)
    with pytest.raises(BadInputError, match="expected vote_entropy, kl"):
        committee([[UNSURE], [UNSURE]], 1, "margin")  # type: ignore[arg-type]


def test_people_who_disagree_come_first_and_items_without_votes_last_with_a_note() -> None:
    found = crowd([[0, 0, 0], [3, 0, 0], [2, 2, 0], [1, 1, 1], [30, 1, 0]], 5)
    assert found.positions.tolist() == [3, 2, 4, 0, 1]
    assert found.scores.tolist() == pytest.approx(
        [np.log(3), np.log(2), -(30 / 31 * np.log(30 / 31) + np.log(1 / 31) / 31), 0, 0]
    )
    assert found.notes == ("1 of 5 items have no votes; their score is 0",)


def test_counts_that_are_none_are_refused() -> None:
    for wrong in (-1, np.nan):
        with pytest.raises(BadInputError, match="votes: row 1 has a number that is no count"):
            crowd([[1, 1], [wrong, 2]], 1)
