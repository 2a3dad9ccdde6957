"""Graduation by probability in the store: what runs write, what verify derives, what people keep."""

from collections.abc import Callable

import numpy as np
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.quality.calibration import calibrate_dataset, ensure_calibrated
from hiveguard_pipeline.retraction import exclude, restore
from hiveguard_pipeline.review import decide
from hiveguard_pipeline.rules.policy import ADAPTIVE, Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.backlog import Position, look
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.settlement import settle_reviews
from hiveguard_pipeline.store.tables import item_uuid, time_text
from tests.store.voting import FIRST_VOTE, add_items, standing, states

ITEMS = 80
GOLD = 30
SKILLS = (0.95, 0.9, 0.9, 0.85, 0.8, 0.75, 0.7, 0.5, 0.5, 0.5)

Cast = list[tuple[str, str, str]]
"""(external_id, solver, answer) in arrival order."""

POLICY = Policy(
    graduation=ADAPTIVE, adaptive_target_probability=900_000, adaptive_min_votes=3, adaptive_max_votes=5
)


def _crowd(seed: int = 1, votes: int = 8) -> tuple[list[str], Cast]:
    """The truth of each item, and votes that came in rounds over them."""
    chance = np.random.default_rng(seed)
    truth = [str(label) for label in chance.integers(0, 2, ITEMS)]
    asked = [chance.permutation(len(SKILLS)) for _ in range(ITEMS)]
    cast = []
    for turn in range(votes):
        for item in chance.permutation(ITEMS).tolist():
            solver = int(asked[item][turn])
            right = chance.random() < SKILLS[solver]
            answer = truth[item] if right else str(1 - int(truth[item]))
            cast.append((f"item-{item:02}", f"solver-{solver}", answer))
    return truth, cast


def _begin(database: Database, name: str, truth: list[str]) -> Dataset:
    dataset = create_dataset(database, name, POLICY)
    for label in ("0", "1"):
        gold = [f"item-{n:02}" for n in range(GOLD) if truth[n] == label]
        add_items(database, dataset, gold, gold=label)
    add_items(database, dataset, [f"item-{n:02}" for n in range(GOLD, ITEMS)])
    return dataset


def _give(database: Database, dataset: Dataset, cast: Cast) -> None:
    rows = [
        {
            "item_id": item_uuid(dataset.name, item),
            "solver_id": solver,
            "answer": answer,
            "created_at": time_text(FIRST_VOTE),
        }
        for item, solver, answer in cast
    ]
    with database.write() as connection:
        connection.execute(t.votes.insert(), rows)


def _kinds(database: Database) -> dict[str, int]:
    with database.read() as connection:
        rows = connection.execute(sa.text("SELECT kind, count(*) AS n FROM batches GROUP BY kind"))
        return {row.kind: row.n for row in rows}


@pytest.fixture
def begun(database: Database) -> Dataset:
    """A dataset with gold, a calibration made of its first 500 votes, and nothing applied yet."""
    truth, cast = _crowd()
    dataset = _begin(database, "first", truth)
    _give(database, dataset, cast[:500])
    calibrate_dataset(database, dataset.name)
    return dataset


def test_items_graduate_by_probability_and_the_ledger_verifies(database: Database, begun: Dataset) -> None:
    done = apply_votes(database, begun.name, run_id="r")
    assert done.states["graduated"] > 20
    assert set(_kinds(database)) == {"adaptive"}
    checked = verify(database, begun.name)
    assert checked.findings == []
    with database.read() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT probability, vote_count + revalidation_vote_count AS votes FROM labels"
                " WHERE state = 'graduated'"
            )
        ).all()
        saved = connection.execute(sa.text("SELECT avg(vote_count + revalidation_vote_count) FROM labels"))
        assert saved.scalar_one() < 6
    assert all(row.probability >= 900_000 and row.votes >= 3 for row in rows)


def test_runs_in_parts_write_what_one_run_writes(database: Database, begun: Dataset) -> None:
    """Under one calibration the outcome depends on the votes and their order alone."""
    _, cast = _crowd()
    truth, _ = _crowd()
    _give(database, begun, cast[500:])
    apply_votes(database, begun.name, run_id="whole")
    parts = _begin(database, "second", truth)
    with database.write() as connection:  # the same calibration
        connection.execute(
            sa.text(
                "INSERT INTO calibrations (dataset_id, horizon, votes, solvers, gold_items, fit, created_at)"
                " SELECT :other, horizon, votes, solvers, gold_items, fit, created_at FROM calibrations"
            ).bindparams(sa.bindparam("other", parts.dataset_id, type_=t.Uuid))
        )
    for start in range(0, len(cast), 97):
        _give(database, parts, cast[start : start + 97])
        apply_votes(database, parts.name, run_id=f"part-{start}")
    assert standing(database, parts) == standing(database, begun)
    assert verify(database, parts.name).findings == []


def test_the_sensor_sees_what_a_run_would_write(database: Database, begun: Dataset) -> None:
    found = look(database, Position())
    assert begun.name in found.position.due
    apply_votes(database, begun.name, run_id="r")
    again = look(database, found.position)
    assert begun.name not in again.position.due
    add_items(database, begun, ["new"])
    _give(database, begun, [("new", "solver-0", "1"), ("new", "solver-1", "1")])
    again = look(database, again.position)
    assert begun.name not in again.position.due
    _give(database, begun, [("new", "solver-2", "1")])
    assert begun.name in look(database, again.position).position.due


def test_without_a_calibration_a_run_says_what_to_do(database: Database) -> None:
    truth, cast = _crowd()
    dataset = _begin(database, "first", truth)
    _give(database, dataset, cast)
    with pytest.raises(BadInputError, match="hiveguard quality calibrate --dataset first"):
        apply_votes(database, dataset.name, run_id="r")
    ensure_calibrated(database, dataset.name)
    assert apply_votes(database, dataset.name, run_id="r").votes_applied


TAMPERED: dict[str, str] = {
    "probability": "UPDATE batches SET probability = probability - 5 WHERE batch_id = :row",
    "label": "UPDATE batches SET label = CASE label WHEN '0' THEN '1' ELSE '0' END WHERE batch_id = :row",
    "state": "UPDATE batches SET state_after = 'needs_review' WHERE batch_id = :row",
    "calibration": "UPDATE batches SET calibration_id = 99 WHERE batch_id = :row",
    "no calibration": "UPDATE batches SET calibration_id = NULL WHERE batch_id = :row",
    "kind": "UPDATE batches SET kind = 'settled' WHERE batch_id = :row",
    "a vote": "UPDATE votes SET solver_id = 'solver-x' WHERE vote_id ="
    " (SELECT last_vote_id FROM batches WHERE batch_id = :row)",
}


@pytest.mark.parametrize("what", TAMPERED)
def test_verify_finds_what_does_not_follow(database: Database, begun: Dataset, what: str) -> None:
    apply_votes(database, begun.name, run_id="r")
    with database.write() as connection:
        row = connection.execute(
            sa.text("SELECT max(batch_id) FROM batches WHERE state_after = 'graduated'")
        ).scalar_one()
        connection.execute(sa.text(TAMPERED[what]), {"row": row})
    assert verify(database, begun.name).findings


def test_what_a_person_decides_is_theirs_and_follows_the_documented_rule(
    database: Database, begun: Dataset
) -> None:
    apply_votes(database, begun.name, run_id="r")
    flagged = [name for name, state in states(database, begun).items() if state == "needs_review"]
    decide(
        database, flagged[0], "relabel", label="1", reviewer="me", reason="looked", dataset_name=begun.name
    )
    _give(database, begun, [(flagged[0], f"new-{n}", "0") for n in range(3)])
    apply_votes(database, begun.name, run_id="r2")
    with database.read() as connection:
        kinds = connection.execute(
            sa.text(
                "SELECT b.kind, b.label FROM batches b JOIN items i ON i.item_id = b.item_id"
                " WHERE i.external_id = :name ORDER BY b.batch_id"
            ),
            {"name": flagged[0]},
        ).all()
    assert "revalidation" in [row.kind for row in kinds]
    assert kinds[-1].label == "1"
    assert verify(database, begun.name).findings == []


def test_what_all_votes_settle_leaves_the_queue(database: Database, begun: Dataset) -> None:
    _, cast = _crowd()
    apply_votes(database, begun.name, run_id="r")
    before = states(database, begun)
    flagged = [name for name, state in before.items() if state == "needs_review"]
    _give(database, begun, [vote for vote in cast[500:] if vote[0] in flagged])
    _give(database, begun, [(flagged[0], f"solver-{n}", "1") for n in range(20, 40)])
    calibrate_dataset(database, begun.name)
    done = settle_reviews(database, begun.name, run_id="night")
    after = states(database, begun)
    settled = [name for name in flagged if after[name] == "graduated"]
    assert flagged[0] in settled
    assert done.states["graduated"] == len(settled) == _kinds(database)["settled"]
    assert {name: state for name, state in after.items() if name not in settled} == {
        name: state for name, state in before.items() if name not in settled
    }
    assert verify(database, begun.name).findings == []
    assert settle_reviews(database, begun.name, run_id="again").states["graduated"] == 0


def _settles_nothing(database: Database, dataset: Dataset) -> None:
    settle_reviews(database, dataset.name, run_id="night")


def _another_target(database: Database, dataset: Dataset) -> None:
    set_policy(
        database, dataset.name, {"ADAPTIVE_TARGET_PROBABILITY": "0.8"}, actor="me", reason="more labels"
    )


def _documented(database: Database, dataset: Dataset) -> None:
    set_policy(database, dataset.name, {"GRADUATION": "documented"}, actor="me", reason="as before")


def _adaptive(database: Database, dataset: Dataset) -> None:
    set_policy(database, dataset.name, {"GRADUATION": "adaptive"}, actor="me", reason="again")


def _calibrated(database: Database, dataset: Dataset) -> None:
    calibrate_dataset(database, dataset.name)


def _excluded(database: Database, dataset: Dataset) -> None:
    exclude(database, dataset.name, ["solver-9"], actor="me", reason="a coin")


def _restored(database: Database, dataset: Dataset) -> None:
    restore(database, dataset.name, ["solver-9"], actor="me", reason="not a coin")


BETWEEN: list[Callable[[Database, Dataset], None]] = [
    _another_target,
    _calibrated,
    _excluded,
    _settles_nothing,
    _documented,
    _restored,
    _adaptive,
]


def test_the_ledger_verifies_whatever_happens_between_the_runs(database: Database, begun: Dataset) -> None:
    _, cast = _crowd(votes=10)
    for number, happens in enumerate(BETWEEN):
        apply_votes(database, begun.name, run_id=f"r{number}")
        happens(database, begun)
        assert verify(database, begun.name).findings == [], happens.__name__
        _give(database, begun, cast[500 + 40 * number : 540 + 40 * number])
    apply_votes(database, begun.name, run_id="last", everything=True)
    assert verify(database, begun.name).findings == []
    assert {"adaptive", "revalidation"} <= set(_kinds(database))
