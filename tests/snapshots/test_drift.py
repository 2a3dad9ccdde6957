"""Drift: every way in which an exported label stops holding is listed, with who or what; nothing else is."""

import numpy as np
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.retraction import exclude
from hiveguard_pipeline.review import correct, decide
from hiveguard_pipeline.rules.policy import ONE, Policy
from hiveguard_pipeline.snapshots import drift_of
from hiveguard_pipeline.snapshots.drift import Since
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.tables import item_uuid
from tests.snapshots.conftest import Snap
from tests.store.voting import cast, letters


def test_nothing_has_drifted_while_nothing_happens(database: Database, snap: Snap, root: str) -> None:
    assert drift_of(database, root, snap()) == []
    assert drift_of(database, root, snap(graduated=False)) == []


def test_each_way_in_which_a_label_stops_holding(
    database: Database, labelled: Dataset, snap: Snap, root: str
) -> None:
    made = snap()
    say = {"reviewer": "ann", "dataset_name": "animals"}
    correct(database, "n00", "y", reason="is y", **say)
    correct(database, "n01", "y", reason="sure", **say)  # the same label, back in re-validation
    correct(database, "n02", "y", reason="worse", **say)
    with database.write() as connection:
        connection.execute(
            sa.text("UPDATE items SET gold_label = 'q' WHERE item_id = :item"),
            {"item": item_uuid("animals", "n05")},
        )
        connection.execute(
            sa.text("UPDATE items SET gold_label = 'x' WHERE item_id = :item"),
            {"item": item_uuid("animals", "n06")},
        )
    cast(database, labelled, letters("n02", "xxxxxx"), first=500)
    cast(database, labelled, letters("n07", "xxxxxx"), first=600)  # y: 1.0, 0.85, 0.7
    cast(database, labelled, letters("n08", "yyyxxx"), first=700)  # x: 1.0, 0.85, 1.0
    cast(database, labelled, letters("n09", "xx"), first=800)  # no full batch
    cast(database, labelled, letters("n10", "xxx"), first=900)  # x agrees
    apply_votes(database, "animals", run_id="run-2")
    decide(database, "n02", "discard", reason="blurred", **say)
    found = {row.external_id: row for row in drift_of(database, root, made)}
    assert {name: row.what for name, row in found.items()} == {
        "n00": "relabelled",
        "n01": "withdrawn",
        "n02": "discarded",
        "n05": "relabelled",
        "n07": "lost_agreement",
    }
    assert (found["n00"].label, found["n00"].label_now, found["n00"].source) == ("x", "y", "relabel")
    assert (found["n00"].actor, found["n00"].reason) == ("ann", "is y")
    assert (found["n02"].actor, found["n02"].reason) == ("ann", "blurred")
    assert (found["n05"].label_now, found["n05"].source) == ("q", "gold label")
    lost = found["n07"]
    assert (lost.confidence, lost.confidence_now, lost.agree, lost.disagree) == (ONE, 700_000, 0, 6)


def test_a_flagged_and_a_recounted_label_are_listed(
    database: Database, labelled: Dataset, snap: Snap, root: str
) -> None:
    made = snap()
    correct(database, "n00", "y", reviewer="ann", reason="r", dataset_name="animals")
    cast(database, labelled, letters("n00", "xxx"), first=500)  # y at the floor, and three against it
    apply_votes(database, "animals", run_id="run-2")
    with database.read() as connection:
        solver = connection.execute(
            sa.text("SELECT solver_id FROM votes WHERE item_id = :item ORDER BY vote_id LIMIT 1"),
            {"item": item_uuid("animals", "n03")},
        ).scalar_one()
    exclude(database, "animals", [solver], actor="lead", reason="a bot")
    found = {row.external_id: row.what for row in drift_of(database, root, made)}
    assert found == {"n00": "flagged", "n03": "withdrawn"}


def test_votes_of_an_excluded_solver_speak_against_nothing(
    database: Database, labelled: Dataset, snap: Snap, root: str
) -> None:
    made = snap()
    cast(database, labelled, letters("n01", "xxxxxx"), first=500)
    assert [row.external_id for row in drift_of(database, root, made)] == ["n01"]
    with database.read() as connection:
        solvers = connection.execute(sa.text("SELECT solver_id FROM votes ORDER BY vote_id DESC LIMIT 6"))
        names = [str(row.solver_id) for row in solvers]
    exclude(database, "animals", names, actor="lead", reason="bots")
    assert drift_of(database, root, made) == []


def test_since_a_place_only_what_came_behind_it_is_looked_at(
    database: Database, labelled: Dataset, snap: Snap, root: str
) -> None:
    made = snap()
    cast(database, labelled, letters("n01", "xxxxxx"), first=500)
    with database.read() as connection:
        newest = int(connection.execute(sa.text("SELECT max(vote_id) FROM votes")).scalar_one())
    assert drift_of(database, root, made, Since(made.ledger_position, newest)) == []
    cast(database, labelled, letters("n03", "xxxxxx"), first=600)
    behind = drift_of(database, root, made, Since(made.ledger_position, newest))
    assert [row.external_id for row in behind] == ["n03"]


@pytest.mark.parametrize("seed", range(3))
def test_lost_agreement_is_what_a_plain_count_says(
    seed: int, database: Database, labelled: Dataset, snap: Snap, root: str
) -> None:
    chance = np.random.default_rng(seed)
    made, policy = snap(), Policy()
    answers = {f"n{n:02}": "".join(chance.choice(["x", "y"], size=chance.integers(0, 14))) for n in range(12)}
    names = [name for name, text in answers.items() for _ in text]
    order = chance.permutation(len(names))
    left = {name: iter(text) for name, text in answers.items()}
    cast(database, labelled, [(names[at], next(left[names[at]])) for at in order], first=500)
    wanted = {}
    for place, (name, text) in enumerate(answers.items()):
        confidence = ONE
        for start in range(0, len(text) - 2, 3):
            agree = text[start : start + 3].count("xy"[place % 2])
            confidence = min(ONE, max(0, confidence + (2 * agree - 3) * policy.revalidation_delta))
        if len(text) >= 3 and confidence < policy.revalidation_exit_confidence:
            wanted[name] = confidence
    found = {row.external_id: row.confidence_now for row in drift_of(database, root, made)}
    assert found == wanted
