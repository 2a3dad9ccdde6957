"""Graduation by probability on the same votes: compared with what runs of the store make of them."""

import numpy as np
import pyarrow as pa
import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.foresight import replay as replaying
from hiveguard_pipeline.foresight.replay import blind_evidence, newest_learnt, replay
from hiveguard_pipeline.foresight.simulate import Simulation, simulate
from hiveguard_pipeline.quality.calibration import calibrate, calibrate_dataset, kept
from hiveguard_pipeline.review import decide
from hiveguard_pipeline.rules.policy import ADAPTIVE, Policy
from hiveguard_pipeline.rules.states import STATES
from hiveguard_pipeline.store.crowd import read_crowd
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.settlement import settle_reviews
from hiveguard_pipeline.store.status import funnel
from tests.foresight.crowds import crowd_of, made_up, put_measured_crowd, put_votes
from tests.store.voting import add_items, cast, letters, standing

SETTINGS = {
    "GRADUATION": ADAPTIVE,
    "ADAPTIVE_TARGET_PROBABILITY": "0.9",
    "ADAPTIVE_MIN_VOTES": "3",
    "ADAPTIVE_MAX_VOTES": "5",
}


@pytest.fixture
def measured(database: Database, dataset: Dataset) -> Dataset:
    """A calibrated dataset, and after it a class and a solver that come before all that the fit knows."""
    put_measured_crowd(database, dataset)
    calibrate_dataset(database, dataset.name)
    add_items(database, dataset, ["late"])
    add_items(database, dataset, ["odd"], gold="aha")
    put_votes(
        database,
        dataset,
        [
            *(("late", f"m{number}", answer) for number, answer in enumerate(["aha", "yes", "yes", "yes"])),
            *(("odd", f"a{number}", "aha") for number in range(4)),
        ],
    )
    return get_dataset_of(database, dataset)


def get_dataset_of(database: Database, dataset: Dataset) -> Dataset:
    with database.read() as connection:
        return get_dataset(connection, dataset.name)


def _simulated(database: Database, dataset: Dataset, settings: dict[str, object]) -> Simulation:
    with database.read() as connection:
        return simulate(connection, dataset, settings)


def test_a_replay_gives_what_a_run_would_write(database: Database, measured: Dataset) -> None:
    before = standing(database, measured)
    found = _simulated(database, measured, SETTINGS)
    assert standing(database, measured) == before
    set_policy(database, measured.name, SETTINGS, actor="a", reason="fewer votes")
    apply_votes(database, measured.name, run_id="by-hand")
    again = _simulated(database, measured, {"GRADUATION": "documented"})
    assert (again.recorded_states_differ, again.recorded_labels_differ) == (0, 0)
    assert (again.matrix == found.matrix.T).all()
    assert (again.needed_now, again.needed_then) == (found.needed_then, found.needed_now)
    with database.read() as connection:
        count = funnel(connection, measured)
        applied = connection.exec_driver_sql(
            "SELECT sum(vote_count + revalidation_vote_count) FROM labels WHERE state <> 'gold'"
        ).scalar()
    assert {state: count[state] for state in STATES[:4]} == {
        state: int(found.matrix[:, column].sum()) for column, state in enumerate(STATES[:4])
    }
    assert count["graduated"] > 20
    assert count["needs_review"] > 0
    assert found.needed_then.votes == applied
    assert found.needed_then.settled is not None
    assert found.needed_then.settled > 0
    settle_reviews(database, measured.name, run_id="night")
    with database.read() as connection:
        settled = funnel(connection, measured)["graduated"] - count["graduated"]
    assert settled == found.needed_then.settled


def test_gold_is_judged_by_its_votes_and_the_calibration_is_named(
    database: Database, measured: Dataset
) -> None:
    found = _simulated(database, measured, SETTINGS)
    assert found.gold_items == 31
    assert found.gold_then is not None
    assert found.gold_then.labelled.items == 31
    # `aha` is a class that the calibration does not know: its item cannot get the right label.
    assert 24 <= found.gold_then.labelled.right <= 30
    assert found.known is not None
    assert found.known.replayed == found.known.calibration.votes == 640
    assert found.known.calibration.gold_items == 30
    assert _simulated(database, measured, {"CONSENSUS_THRESHOLD": 5}).known is None


def test_what_people_decided_stays_under_either_rule(database: Database, measured: Dataset) -> None:
    apply_votes(database, measured.name, run_id="by-hand")
    with database.read() as connection:
        flagged = connection.exec_driver_sql(
            "SELECT external_id FROM item_status WHERE state = 'needs_review' ORDER BY external_id"
        ).scalar()
    assert flagged is not None
    plain = _simulated(database, measured, SETTINGS)
    decide(database, flagged, "discard", reviewer="r", reason="t", dataset_name=measured.name)
    found = _simulated(database, measured, SETTINGS)
    discarded = STATES.index("discarded")
    assert (found.decided, found.matrix[discarded, discarded]) == (1, 1)
    assert found.needed_now.items == found.needed_then.items == plain.needed_now.items - 1


def test_items_are_judged_alike_a_few_or_all_at_once(
    database: Database, measured: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy().replaced(SETTINGS)
    with database.read() as connection:
        learnt = newest_learnt(connection, measured)
        crowd = learnt.named(read_crowd(connection, measured))
    whole = replay(crowd, policy, learnt)
    for cells in (1, 50):
        monkeypatch.setattr(replaying, "CELLS_AT_ONCE", cells)
        parts = replay(crowd, policy, learnt)
        np.testing.assert_array_equal(parts.applied, whole.applied)
        np.testing.assert_array_equal(parts.settled, whole.settled)
        for column in ("label", "confidence", "vote_count", "revalidation_vote_count", "state"):
            np.testing.assert_array_equal(getattr(parts.items, column), getattr(whole.items, column))


def test_a_gold_item_is_judged_as_by_a_fit_that_never_saw_it() -> None:
    rows = made_up(30, 12, 3, 0.7, 6, np.random.default_rng(1))
    rows[:, 1] %= 6  # six solvers, each with many votes
    gold = {item: int(np.random.default_rng(item).integers(3)) for item in range(30)}
    whole = crowd_of(rows, gold=gold)
    fit = kept(calibrate(whole))
    for item in (0, 7):
        votes = slice(*whole.offsets[item : item + 2].tolist())
        solver, answer = fit.codes(
            pa.array(whole.solvers).take(pa.array(whole.solver[votes])),
            pa.array(whole.classes).take(pa.array(whole.answer[votes])),
        )
        unseen = kept(calibrate(crowd_of(rows[rows[:, 0] != item], like=rows, gold=gold)))
        assert unseen.solvers == fit.solvers
        once = np.bincount(solver, minlength=6)[solver] == 1
        assert once.any()
        found = blind_evidence(fit, solver, answer, np.full(len(answer), gold[item]))
        np.testing.assert_allclose(found[once], unseen.evidence(solver, answer)[once], rtol=1e-9)
        assert np.abs(found - fit.evidence(solver, answer)).max() > 0.01


def test_without_a_calibration_it_says_which_command_makes_one(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, ["one"])
    cast(database, dataset, letters("one", "aab"))
    command = f"hiveguard quality calibrate --dataset {dataset.name}"
    with pytest.raises(BadInputError, match=command):
        _simulated(database, dataset, {"GRADUATION": ADAPTIVE})
    set_policy(database, dataset.name, {"GRADUATION": ADAPTIVE}, actor="a", reason="r")
    for settings in ({}, {"GRADUATION": "documented"}):
        with pytest.raises(BadInputError, match=command):
            _simulated(database, dataset, dict(settings))


def test_of_one_answer_alone_nothing_is_learnt(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, ["one", "two"])
    cast(database, dataset, letters("one", "a" * 9) + letters("two", "a" * 15))
    calibrate_dataset(database, dataset.name)
    found = _simulated(database, dataset, {"GRADUATION": ADAPTIVE})
    assert (found.labels_lost, found.needed_then.votes, found.needed_then.a_graduated) == (2, 0, None)
    assert (found.needed_now.votes, found.needed_now.a_graduated) == (24, 15)
