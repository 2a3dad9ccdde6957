"""Calibrated probability: right on known crowds, honest where little is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.quality.calibration import calibrate, calibrate_dataset, kept, reliability
from hiveguard_pipeline.quality.calibration.fitting import fit_curve, fit_weights
from hiveguard_pipeline.quality.calibration.opinions import log_prior, opinions, stepwise_opinions
from hiveguard_pipeline.quality.calibration.prior import WEIGHTS, prior_weights
from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store import calibrations
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.calibrations import Fit, fit_of, newest_calibration
from hiveguard_pipeline.store.crowd import Crowd
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from tests.quality.crowds import made, simulated
from tests.quality.real_crowds import SETS, with_gold
from tests.store.voting import add_items


def _crowd(
    seed: int = 0, items: int = 300, gold: int = 100, accuracy: float = 0.8
) -> tuple[Crowd, np.ndarray]:
    """A crowd of people who are right so often, and the truth; the first items are gold."""
    chance = np.random.default_rng(0)
    truth = chance.integers(0, 3, items)
    crowd = made(
        [
            [
                (f"s{s:02}", str(label if chance.random() < 0.8 else chance.integers(3)))
                for s in chance.choice(20, 6, replace=False)
            ]
            for label in truth
        ],
        ("0", "1", "2"),
    )
    crowd.gold[:gold] = truth[:gold]
    return crowd, truth


def test_reliability_of_probabilities_that_are_known() -> None:
    said = np.array([0.15, 0.15, 0.95, 0.95])
    found = reliability(said, np.array([False, True, True, True]), np.array([1.0, 1.0, 1.0, 3.0]))
    assert found.items.tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 4]
    assert found.error == pytest.approx((2 * abs(0.5 - 0.15) + 4 * 0.05) / 6)
    assert found.brier == pytest.approx((0.15**2 + 0.85**2 + 4 * 0.05**2) / 6)
    nothing = reliability(said[:0], np.zeros(0, dtype=bool), np.zeros(0))
    assert (nothing.error, nothing.brier) == (None, None)


def test_the_curve_rises_and_is_drawn_towards_the_line() -> None:
    said = np.linspace(0.3, 0.99, 400)
    right = np.random.default_rng(1).random(400) < said**2
    knots, values = fit_curve(said, right, np.ones(400))
    assert (np.diff(values) >= 0).all()
    assert (np.diff(knots) >= 0).all()
    at = np.interp([0.5, 0.9], knots, values)
    assert at == pytest.approx([0.25, 0.81], abs=0.1)
    few = np.interp(0.9, *fit_curve(np.array([0.9]), np.array([False]), np.ones(1)))
    assert few == pytest.approx(0.9 * 10 / 11)


def test_without_known_items_the_weights_are_the_priors() -> None:
    prior = np.array([0.2, 1.0])
    none = fit_weights(np.zeros((0, 3, 2)), np.zeros(0, dtype=np.int32), np.zeros(0), prior, 2.0)
    assert none.tolist() == prior.tolist()


def test_answers_that_agree_by_chance_alone_are_not_trusted() -> None:
    flips = simulated(400, 8, [0.5] * 30, 2, seed=3, flips=range(30))
    counts = np.array([np.bincount([int(answer) for _, answer in votes], minlength=2) for votes in flips])
    assert (prior_weights(counts) < 0.25 * WEIGHTS).all()
    assert prior_weights(np.array([[5, 0], [0, 5], [4, 1], [5, 0]] * 50)).tolist() == WEIGHTS.tolist()


def test_probabilities_are_right_as_often_as_they_say() -> None:
    crowd, truth = _crowd(items=1200, gold=300)
    found = calibrate(crowd)
    judged = np.flatnonzero(crowd.gold == NO_LABEL)
    label = found.probability[judged].argmax(axis=1)
    said = found.probability[judged, label]
    held_out = reliability(said, label == truth[judged], np.ones(len(judged)))
    assert held_out.error is not None
    assert held_out.error < 0.05
    assert found.probability.sum(axis=1) == pytest.approx(np.ones(len(truth)))
    assert not found.thin


def test_the_truth_of_a_gold_item_is_not_used_on_itself() -> None:
    crowd, truth = _crowd()
    found = calibrate(crowd).probability
    wrong = crowd.gold.copy()
    wrong[0] = (truth[0] + 1) % 3
    other = calibrate(replace(crowd, gold=wrong)).probability
    assert found[0].argmax() == other[0].argmax()
    assert abs(found[0] - other[0]).max() < 0.15


def test_little_gold_is_said_to_be_little() -> None:
    crowd, _ = _crowd(gold=5)
    assert calibrate(crowd).thin
    none = calibrate(replace(crowd, gold=np.full_like(crowd.gold, NO_LABEL)))
    assert none.thin
    assert none.reliability.error is None


def test_gold_items_of_more_votes_are_looked_at_as_they_were_with_fewer() -> None:
    """Items stand at 3 votes, gold at 15: what 15 votes are worth says nothing of 3."""
    chance = np.random.default_rng(0)
    truth = chance.integers(0, 2, 900)
    items = [
        [
            (f"s{s:02}", str(label if chance.random() < 0.7 else 1 - label))
            for s in chance.choice(40, 15 if number < 300 else 3, replace=False)
        ]
        for number, label in enumerate(truth)
    ]
    crowd = made(items, ("0", "1"))
    crowd.gold[:300] = truth[:300]
    found = calibrate(crowd)
    label = found.probability[300:].argmax(axis=1)
    said = found.probability[300:][np.arange(600), label]
    assert said.mean() == pytest.approx((label == truth[300:]).mean(), abs=0.05)


def test_the_order_of_rows_changes_nothing() -> None:
    crowd, _ = _crowd()
    shuffled = replace(crowd)
    order = np.lexsort((-crowd.solver, crowd.item))
    shuffled.solver, shuffled.answer = crowd.solver[order], crowd.answer[order]
    a, b = calibrate(crowd), calibrate(shuffled)
    assert abs(a.probability - b.probability).max() < 0.05  # gold is looked at vote by vote, in their order
    assert a.model.log_error.tobytes() == b.model.log_error.tobytes()


def test_what_is_kept_reads_votes_as_the_fit_does() -> None:
    crowd, _ = _crowd()
    found = calibrate(crowd)
    fit = Fit.from_bytes(kept(found).to_bytes())
    assert fit.evidence(crowd.solver, crowd.answer) == pytest.approx(
        found.model.log_errors(crowd.solver, crowd.answer)
    )
    every = np.arange(20, dtype=np.int32).repeat(3)
    answers = np.tile(np.arange(3, dtype=np.int32), 20)
    assert fit.evidence(every, answers) == pytest.approx(found.model.log_errors(every, answers))
    stranger = np.array([-1, -1, 0], dtype=np.int32)
    read = fit.evidence(stranger, np.array([1, -1, -1], dtype=np.int32))
    assert read[0] == pytest.approx(fit.log_pooled[1])
    assert read[1:].tolist() == [[0.0] * 3] * 2
    last = crowd.offsets[1:] - 1
    whole = opinions(crowd, found.model)
    assert stepwise_opinions(crowd, found.model)[last] == pytest.approx(whole)
    assert fit.log_prior.tolist() == log_prior(found.model).tolist()


def test_the_mean_calibration_error_over_real_sets_is_the_goal(shared_votes: Path) -> None:
    errors = []
    for name in SETS:
        for seed in range(2):
            crowd, truth = with_gold(shared_votes / name, 0.2, seed)
            found = calibrate(crowd)
            judged = np.flatnonzero((crowd.gold == NO_LABEL) & (truth != NO_LABEL))
            label = found.probability[judged].argmax(axis=1)
            said = found.probability[judged, label]
            errors.append(reliability(said, label == truth[judged], np.ones(len(judged))).error)
    assert np.mean(errors) <= 0.05


def _fill(database: Database, dataset: Dataset) -> np.ndarray:
    """A crowd in the store: 60 items, 30 of them gold."""
    chance = np.random.default_rng(7)
    truth = chance.integers(0, 2, 60)
    names = [f"item-{n:02}" for n in range(60)]
    ids = add_items(database, dataset, names[30:])
    for label in (0, 1):
        gold = [name for name, true in zip(names[:30], truth[:30], strict=True) if true == label]
        ids |= add_items(database, dataset, gold, gold=str(label))
    rows = [
        {
            "item_id": ids[name],
            "solver_id": f"s{s}",
            "answer": str(true if chance.random() < 0.85 else 1 - true),
        }
        for name, true in zip(names, truth, strict=True)
        for s in chance.choice(12, 7, replace=False)
    ]
    with database.write() as connection:
        connection.execute(t.votes.insert(), rows)
    return truth


def test_labels_get_their_probability(database: Database, dataset: Dataset) -> None:
    _fill(database, dataset)
    apply_votes(database, dataset.name, run_id="r")
    done = calibrate_dataset(database, dataset.name)
    with database.read() as connection:
        rows = connection.execute(
            sa.text("SELECT label, confidence, probability FROM labels WHERE label IS NOT NULL")
        ).all()
        recorded = newest_calibration(connection, dataset)
        fit = fit_of(connection, done.calibration_id)
    assert len(rows) == done.labels_changed == 30
    assert all(0 < row.probability < 1_000_000 for row in rows)
    assert recorded is not None
    assert (recorded.calibration_id, recorded.gold_items, recorded.votes) == (done.calibration_id, 30, 420)
    assert fit.classes == ["0", "1"]
    again = calibrate_dataset(database, dataset.name)
    assert again.labels_changed == 0
    assert again.found.standing == done.found.standing


def test_old_calibrations_go_unless_the_ledger_may_name_them(
    database: Database, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrations, "KEPT", 2)
    _fill(database, dataset)

    def kept_ones() -> int:
        with database.read() as connection:
            return int(connection.execute(sa.text("SELECT count(*) FROM calibrations")).scalar_one())

    for _ in range(3):
        calibrate_dataset(database, dataset.name)
    assert kept_ones() == 2
    set_policy(database, dataset.name, {"GRADUATION": "adaptive"}, actor="a", reason="r")
    calibrate_dataset(database, dataset.name)
    assert kept_ones() == 3


def test_a_dataset_without_votes_is_calibrated_to_nothing(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, ["a", "b"])
    done = calibrate_dataset(database, dataset.name)
    assert (done.votes, done.labels_changed, done.found.gold) == (0, 0, 0)
