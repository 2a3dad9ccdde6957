"""Tasks in the dashboard: what a workflow asks whoever is signed in, blind, one at a time."""

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import find_item
from hiveguard_pipeline.workflow import add_people, advance, parse_stages, release, set_workflow
from tests.retraction.world import SMALL
from tests.store.voting import add_items, cast
from tests.web.pages.visitor import Page, Visitor

HERE = "/ui/datasets/pets/tasks"

STAGES = [
    {"name": "first", "who": "crowd", "on_pass": "done", "on_fail": "review"},
    {"name": "review", "who": "experts", "answers": "2", "on_pass": "done", "on_fail": "adjudication"},
    {"name": "adjudication", "who": "experts", "on_pass": "done"},
]


@pytest.fixture
def pets(database: Database) -> Database:
    """Two items in the review of three experts, two of whom answer; a third where they differ."""
    dataset = create_dataset(database, "pets", Policy().replaced(SMALL), classes=("cat", "dog"))
    add_items(database, dataset, ["one", "two", "new"])
    for item in ("one", "two"):
        cast(database, dataset, [(item, word) for word in ("cat", "cat", "dog", "dog", "dog")])
    add_people(database, "pets", "experts", ["ann", "bo", "cy"], actor="lead")
    set_workflow(database, "pets", parse_stages(STAGES), actor="lead", reason="a test")
    apply_votes(database, "pets", run_id="r")
    advance(database, "pets", run_id="r")
    return database


def state(database: Database, item: str) -> tuple[str, str | None]:
    assert verify(database, "pets").findings == []
    with database.read() as connection:
        found = find_item(connection, item, "pets")
    return found.state, found.label


def take(visitor: Visitor) -> Page:
    visitor.post(HERE, act="take")
    return visitor.page(HERE)


def item_of(page: Page) -> str:
    return next(name for name in ("one", "two", "new") if f"\n{name}\n" in page.text.replace("  ", ""))


def test_two_answer_blind_and_a_third_decides_where_they_differ(visitor: Visitor, pets: Database) -> None:
    ann, bo, cy = (visitor.signed_in_as(name) for name in ("ann", "bo", "cy"))
    first = ann.page(HERE)
    assert "no task in hand" in first.text
    assert "one of the experts" in first.text
    first = take(ann)
    item = item_of(first)
    assert not any(said in first.text for said in ("60%", "0.6", "Votes", "Label:")), (
        "nothing of what others said"
    )
    ann.post(HERE, lease=first.value("lease"), choice="cat", reason="its ears")
    second = ann.page(HERE)
    assert item_of(second) != item, "the next one is there at once"
    same = take(bo)
    while item_of(same) != item:
        bo.post(HERE, lease=same.value("lease"), act="discard")
        same = bo.page(HERE)
    assert "its ears" not in same.text
    bo.post(HERE, lease=same.value("lease"), given="dog")
    assert state(pets, item)[0] == "needs_review", "they differ"
    third = take(cy)
    seen = []
    while third.all("textarea") or any(found.get("name") == "lease" for found in third.all("input")):
        seen.append((item_of(third), "adjudication" in third.text))
        cy.post(HERE, lease=third.value("lease"), choice="cat")
        third = cy.page(HERE)
    assert (item, True) in seen
    assert state(pets, item) == ("graduated", "cat")


def test_an_answer_that_cannot_be_taken_says_why_and_the_task_stays(visitor: Visitor, pets: Database) -> None:
    ann = visitor.signed_in_as("ann")
    task = take(ann)
    lease = task.value("lease")
    for given in ("cow", "", " ", "c" * 20_000):
        refused = ann.post(HERE, 409, lease=lease, act="answer", given=given)
        assert Page(refused.text).value("lease") == lease
    ann.post(HERE, lease=lease, act="answer", given="cat")
    over = ann.post(HERE, 409, lease=lease, act="answer", given="dog")
    assert "is over" in over.text


def test_what_is_given_back_goes_to_somebody_else(visitor: Visitor, pets: Database) -> None:
    ann, bo = visitor.signed_in_as("ann"), visitor.signed_in_as("bo")
    item = item_of(task := take(ann))
    ann.post(HERE, lease=task.value("lease"), act="return")
    another = ann.page(HERE)
    assert item_of(another) != item
    ann.post(HERE, lease=another.value("lease"), act="return")
    assert "no task in hand" in ann.page(HERE).text
    assert "nothing to ask you" in ann.page(HERE + "?taken=1").text
    assert item_of(take(bo)) in ("one", "two")


def test_nobody_answers_for_another_or_without_the_form(visitor: Visitor, pets: Database) -> None:
    ann, bo = visitor.signed_in_as("ann"), visitor.signed_in_as("bo")
    lease = take(ann).value("lease")
    assert "is over" in bo.post(HERE, 409, lease=lease, choice="dog").text
    ann.post(HERE, 403, signed=False, lease=lease, choice="dog")
    visitor.signed_in_as("vi", "viewer").get(HERE, 403)
    visitor.get(HERE, 303)
    release(pets, int(lease), solver="ann")
    assert "is over" in ann.post(HERE, 409, lease=lease, choice="dog").text


def test_who_is_in_no_group_is_asked_as_the_crowd_and_votes(visitor: Visitor, pets: Database) -> None:
    rex = visitor.signed_in_as("rex")
    task = take(rex)
    assert "asked as the crowd" in task.text
    assert item_of(task) == "new"
    assert not [one for one in task.all("button") if one.get("value") == "discard"], (
        "the crowd does not discard"
    )
    rex.post(HERE, 409, lease=task.value("lease"), act="discard")
    rex.post(HERE, lease=task.value("lease"), choice="dog")
    query = sa.select(t.votes.c.solver_id, t.votes.c.answer).where(
        t.votes.c.item_id == t.item_uuid("pets", "new")
    )
    with pets.read() as connection:
        assert connection.execute(query).all() == [("rex", "dog")]
