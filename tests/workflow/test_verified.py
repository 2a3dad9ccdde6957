"""What people's stages came to is derived again from what they answered; what does not follow is named."""

import re

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.classes import merge_classes, rename_class
from hiveguard_pipeline.cli.main import hiveguard
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.workflow import (
    add_people,
    advance,
    answer,
    lease_next,
    parse_stages,
    set_workflow,
    verify_stages,
)
from tests.retraction.world import SMALL, WHO
from tests.store.voting import add_items, cast

STAGES = [
    {"name": "first", "who": "crowd", "on_pass": "again", "on_fail": "look"},
    {"name": "again", "who": "crowd", "on_pass": "done", "on_fail": "look"},
    {"name": "look", "who": "experts", "answers": "2", "on_pass": "done", "on_fail": "settle"},
    {"name": "settle", "who": "experts", "answers": "1", "on_pass": "again"},
]
ANSWERS = {"ann": ("cat", "cat", None), "bo": ("cat", "dog", None), "cy": (None, "dog", None)}
"""What each says of a, b and c: agreed on, settled by a third, discarded."""


def answered(database: Database, solver: str, stage: str) -> None:
    for task in lease_next(database, solver=solver, n=10, dataset_name="pets"):
        if task.stage == stage:
            given = ANSWERS[solver]["abc".index(task.external_id)]
            answer(database, task.lease_id, answer=given, reason="seen")


@pytest.fixture
def pets(database: Database) -> Database:
    """A database in which three items went through their stages."""
    dataset = create_dataset(database, "pets", Policy().replaced(SMALL), classes=("cat", "dog", "cow"))
    set_workflow(database, "pets", parse_stages(STAGES), **WHO)
    add_people(database, "pets", "experts", list(ANSWERS), actor="lead")
    add_items(database, dataset, "abc")
    cast(database, dataset, [(name, given) for name in "abc" for given in ("cat", "dog", "cow") * 2])
    apply_votes(database, "pets", run_id="r")
    advance(database, "pets")
    for solver, stage in (("ann", "look"), ("bo", "look"), ("cy", "settle")):
        answered(database, solver, stage)
    return database


def found(database: Database) -> set[tuple[str | None, str]]:
    return {(finding.external_id, finding.reason) for finding in verify_stages(database, "pets")}


def change(database: Database, statement: str) -> None:
    """Run a statement in which [a] is the item_id of item a."""
    item = "(SELECT item_id FROM items WHERE external_id = '{}')"
    with database.write() as connection:
        connection.execute(sa.text(re.sub(r"\[(\w)\]", lambda found: item.format(found[1]), statement)))


def test_what_people_agreed_on_follows_from_their_answers_under_the_classes_of_the_time(
    pets: Database,
) -> None:
    with pets.read() as connection:
        ways = connection.execute(
            sa.text(
                "SELECT external_id, from_stage, outcome, to_stage FROM stage_transitions s"
                " JOIN items i ON i.item_id = s.item_id WHERE from_stage IS NOT NULL ORDER BY transition_id"
            )
        ).all()
    assert sorted(map(tuple, ways)) == [
        ("a", "look", "pass", "done"),
        ("b", "look", "fail", "settle"),
        ("b", "settle", "pass", "again"),
        ("c", "look", "pass", "discard"),
    ]
    assert found(pets) == set()
    rename_class(pets, "pets", "cat", "kitty", **WHO)
    merge_classes(pets, "pets", ["kitty", "dog"], "pet", **WHO)  # under these, b would not have failed
    assert found(pets) == set()
    assert verify(pets, "pets").findings == []


@pytest.mark.parametrize(
    ("statement", "findings"),
    [
        (
            "UPDATE stage_answers SET answer = 'dog' WHERE item_id = [a] AND solver_id = 'bo'",
            {("a", "left look with another outcome than its answers give")},
        ),
        (
            "UPDATE stage_answers SET answer = 'cow' WHERE item_id = [a]",
            {("a", "left look with another label than agreed on")},
        ),
        (
            "UPDATE stage_answers SET answer = 'cat' WHERE item_id = [b] AND stage = 'look'",
            {("b", "left look with another outcome than its answers give")},
        ),
        (
            "UPDATE stage_answers SET answer = NULL WHERE item_id = [b] AND stage = 'settle'",
            {("b", "left settle with another label than agreed on")},
        ),
        (
            "UPDATE stage_answers SET answer = 'cat' WHERE item_id = [c]",
            {("c", "left look with another label than agreed on")},
        ),
        (
            "DELETE FROM stage_answers WHERE item_id = [a] AND solver_id = 'ann'",
            {("a", "left look with fewer answers than it wants")},
        ),
        (
            "UPDATE stage_transitions SET to_stage = 'again' WHERE item_id = [c] AND from_stage = 'look'",
            {("c", "went another way than look leads")},
        ),
        (
            "DELETE FROM stage_transitions WHERE item_id = [c] AND from_stage IS NULL",
            {
                ("c", "left look without having come to it"),
                ("c", "left look with fewer answers than it wants"),
            },
        ),
        (
            "UPDATE stage_transitions SET from_stage = 'lock' WHERE item_id = [a] AND outcome = 'pass'",
            {("a", "left lock, which is no stage of its workflow")},
        ),
        (
            "UPDATE reviews SET label = 'dog' WHERE item_id = [a] AND decision = 'accept'",
            {("a", "was decided otherwise than agreed on in look")},
        ),
    ],
)
def test_what_does_not_follow_is_named(
    pets: Database, statement: str, findings: set[tuple[str, str]]
) -> None:
    change(pets, statement)
    assert found(pets) == findings


def test_verify_of_the_command_line_says_it_and_ends_with_one(
    pets: Database, environment: dict[str, str]
) -> None:
    assert environment["HIVEGUARD_DATABASE_URL"]
    done = CliRunner().invoke(hiveguard, ["verify", "--dataset", "pets"])
    assert (done.exit_code, "0 differences" in done.output) == (0, True), done.output
    change(pets, "UPDATE stage_answers SET answer = 'cow' WHERE item_id = [a]")
    done = CliRunner().invoke(hiveguard, ["verify", "--dataset", "pets", "--fmt", "jsonl"])
    assert done.exit_code == 1
    assert "left look with another label than agreed on" in done.output
    assert "1 differences" in done.output
