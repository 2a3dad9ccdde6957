"""Tasks: who is asked what, in which order, never twice, never by two at once, and what answers do."""

import threading
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.retraction import exclude
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, now_text
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.status import find_item
from hiveguard_pipeline.store.tables import item_uuid
from hiveguard_pipeline.workflow import (
    Task,
    add_people,
    advance,
    answer,
    lease_next,
    list_leases,
    parse_stages,
    release,
    set_workflow,
)
from tests.retraction.world import SMALL, WHO
from tests.store.voting import add_items, cast
from tests.workflow.world import LONG_AGO

STAGES = [
    {"name": "first", "who": "crowd", "on_pass": "again", "on_fail": "review"},
    {"name": "again", "who": "crowd", "on_pass": "done", "on_fail": "review"},
    {"name": "review", "who": "experts", "answers": "2", "on_pass": "done", "on_fail": "settle"},
    {"name": "settle", "who": "experts", "on_pass": "done"},
]


@pytest.fixture
def pets(database: Database) -> Dataset:
    """Three labels in review, three items in re-validation, three new ones; four experts."""
    dataset = create_dataset(database, "pets", Policy().replaced(SMALL), classes=("cat", "dog"))
    add_items(database, dataset, [f"{kind}{n}" for kind in ("bad", "good", "new") for n in range(3)])
    cast(
        database,
        dataset,
        [(f"bad{n}", word) for n in range(3) for word in ("cat", "cat", "dog", "dog", "dog")],
    )
    cast(database, dataset, [(f"good{n}", "dog") for n in range(3) for _ in range(3)])
    add_people(database, "pets", "experts", ["ann", "bo", "cy", "di"], actor="lead")
    set_workflow(database, "pets", parse_stages(STAGES), **WHO)
    apply_votes(database, "pets", run_id="r")
    advance(database, "pets", run_id="r")
    return dataset


def names(tasks: list[Task]) -> list[str]:
    return sorted(task.external_id for task in tasks)


def state(database: Database, name: str) -> tuple[str, str | None]:
    with database.read() as connection:
        found = find_item(connection, name, "pets")
    return found.state, found.label


def test_experts_are_asked_what_is_in_review_and_the_crowd_what_is_in_the_pool(
    database: Database, pets: Dataset
) -> None:
    reviews = lease_next(database, solver="ann", n=20, dataset_name="pets")
    assert names(reviews) == ["bad0", "bad1", "bad2"]
    assert {task.stage for task in reviews} == {"review"}
    votes = lease_next(database, solver="somebody", n=20, dataset_name="pets")
    assert {task.stage: task.external_id[:-1] for task in votes} == {"first": "new", "again": "good"}
    assert len(votes) == 6
    assert [task.stage for task in votes[:3]] == ["first"] * 3
    assert lease_next(database, solver="ann", n=5) == []
    assert votes[0].classes == ("cat", "dog")


def test_a_task_says_nothing_of_what_others_said(database: Database, pets: Dataset) -> None:
    (task,) = lease_next(database, solver="ann")
    shown = {name: getattr(task, name) for name in Task.__slots__}
    with database.read() as connection:
        others = set(connection.execute(sa.select(t.votes.c.solver_id)).scalars())
    assert set(shown) == {
        "lease_id",
        "dataset",
        "stage",
        "item_id",
        "external_id",
        "data_ref",
        "modality",
        "task_type",
        "classes",
        "may_discard",
        "leased_at",
        "expires_at",
    }
    assert not others & {str(value) for value in shown.values()}


def test_what_a_selection_ranks_comes_first_in_the_pool(database: Database, pets: Dataset) -> None:
    with database.write() as connection:
        selection = connection.execute(
            t.selections.insert().values(
                dataset_id=pets.dataset_id,
                strategy="s",
                wanted=2,
                pool_size=6,
                labelled=0,
                seed=0,
                notes=[],
                created_at=now_text(),
            )
        ).inserted_primary_key
        assert selection is not None
        for rank, name in enumerate(("good1", "new2"), start=1):
            connection.execute(
                t.labeling_queue.insert().values(
                    item_id=item_uuid("pets", name),
                    dataset_id=pets.dataset_id,
                    selection_id=selection[0],
                    rank=rank,
                    score=1.0,
                )
            )
    tasks = lease_next(database, solver="somebody", n=4)
    assert [task.external_id for task in tasks[:2]] == ["good1", "new2"]
    assert len({task.external_id for task in tasks}) == 4


def test_nobody_gets_an_item_twice_whatever_became_of_it(database: Database, pets: Dataset) -> None:
    first = lease_next(database, solver="ann", n=2)
    release(database, first[0].lease_id)
    answer(database, first[1].lease_id, answer="cat", reason="a cat")
    again = lease_next(database, solver="ann", n=5)
    assert len(again) == 1
    assert again[0].external_id not in names(first)


def test_nobody_reviews_what_they_voted_on_or_decided(database: Database, pets: Dataset) -> None:
    with database.write() as connection:
        connection.execute(
            t.votes.insert().values(item_id=item_uuid("pets", "bad0"), solver_id="ann", answer="cat")
        )
        connection.execute(
            t.reviews.insert().values(
                item_id=item_uuid("pets", "bad1"),
                decision="confirm",
                label="cat",
                reviewer="ann",
                reason="r",
                created_at=now_text(),
            )
        )
    assert names(lease_next(database, solver="ann", n=9)) == ["bad2"]


def test_a_lease_that_ran_out_goes_to_somebody_else(database: Database, pets: Dataset) -> None:
    held = [lease_next(database, solver=name, n=3) for name in ("ann", "bo")]
    assert lease_next(database, solver="cy", n=3) == []
    with database.write() as connection:
        connection.execute(
            t.leases.update().where(t.leases.c.lease_id == held[0][0].lease_id).values(expires_at=LONG_AGO)
        )
    (task,) = lease_next(database, solver="cy", n=3)
    assert task.external_id == held[0][0].external_id
    with pytest.raises(BadInputError, match="is over"):
        answer(database, held[0][0].lease_id, answer="cat", reason="late")
    with database.read() as connection:
        ended = {lease.lease_id: lease.ending for lease in list_leases(connection, pets, ended=True)}
    assert ended[held[0][0].lease_id] == "expired"


def test_somebody_holds_no_more_than_they_may(database: Database, pets: Dataset) -> None:
    assert len(lease_next(database, solver="somebody", n=5, most_open=4)) == 4
    assert lease_next(database, solver="somebody", n=5, most_open=4) == []


def test_two_who_agree_end_a_review_and_two_who_differ_go_to_a_third(
    database: Database, pets: Dataset
) -> None:
    tasks = {
        name: {task.external_id: task.lease_id for task in lease_next(database, solver=name, n=3)}
        for name in ("ann", "bo")
    }
    for name, item, given in (
        ("ann", "bad0", "dog"),
        ("bo", "bad0", "dog"),
        ("ann", "bad1", "dog"),
        ("bo", "bad1", "cat"),
    ):
        done = answer(database, tasks[name][item], answer=given, reason="seen", solver=name)
    assert state(database, "bad0") == ("graduated", "dog")
    assert (done.outcome, state(database, "bad1")) == ("fail", ("needs_review", "cat"))
    assert lease_next(database, solver="ann", n=9) == []
    by_stage = {task.stage: task for task in lease_next(database, solver="cy", n=9)}
    assert by_stage["settle"].external_id == "bad1"
    settled = answer(database, by_stage["settle"].lease_id, answer="dog", reason="a dog", solver="cy")
    assert (settled.outcome, settled.state, state(database, "bad1")) == (
        "pass",
        "graduated",
        ("graduated", "dog"),
    )
    assert verify(database, "pets").findings == []


def test_two_who_say_discard_take_an_item_out(database: Database, pets: Dataset) -> None:
    for name in ("ann", "bo"):
        (task,) = [task for task in lease_next(database, solver=name, n=3) if task.external_id == "bad0"]
        answer(database, task.lease_id, answer=None, reason="blurred")
    assert state(database, "bad0")[0] == "discarded"


def test_an_answer_of_the_crowd_is_a_vote(database: Database, pets: Dataset) -> None:
    (task,) = lease_next(database, solver="somebody")
    for wrong in ("cow", " ", "", "c\0t", None):
        with pytest.raises(BadInputError):
            answer(database, task.lease_id, answer=wrong)
    done = answer(database, task.lease_id, answer="cat", duration_ms=1200)
    assert (done.wrote, done.outcome) == ("vote", None)
    with database.read() as connection:
        vote = connection.execute(sa.select(t.votes).where(t.votes.c.solver_id == "somebody")).one()
    assert (str(vote.item_id), vote.answer, vote.duration_ms) == (task.item_id, "cat", 1200)
    with pytest.raises(BadInputError, match="answered"):
        answer(database, task.lease_id, answer="cat")


def test_an_item_that_a_lead_decided_takes_no_more_answers(database: Database, pets: Dataset) -> None:
    from hiveguard_pipeline.review import decide

    (task,) = [task for task in lease_next(database, solver="ann", n=3) if task.external_id == "bad0"]
    decide(database, "bad0", "confirm", reviewer="lead", reason="seen", dataset_name="pets")
    with pytest.raises(BadInputError, match="is over"):
        answer(database, task.lease_id, answer="dog", reason="late")
    with database.read() as connection:
        (way,) = connection.execute(
            sa.select(t.stage_transitions).where(
                t.stage_transitions.c.item_id == task.item_id, t.stage_transitions.c.outcome == "decided"
            )
        ).all()
    assert (way.from_stage, way.to_stage) == ("review", "again")


def test_skill_is_asked_for_where_a_stage_wants_it(database: Database, pets: Dataset) -> None:
    skilled = [*STAGES[:2], {**STAGES[2], "least_skill": "0.8"}, STAGES[3]]
    set_workflow(database, "pets", parse_stages(skilled), **WHO)
    add_items(database, pets, [f"gold{n}" for n in range(5)], gold="cat")
    with database.write() as connection:
        for name, right in (("ann", 4), ("bo", 3)):
            for number in range(5):
                given = "cat" if number < right else "dog"
                connection.execute(
                    t.votes.insert().values(
                        item_id=item_uuid("pets", f"gold{number}"), solver_id=name, answer=given
                    )
                )
    assert len(lease_next(database, solver="ann", n=9)) == 3
    assert lease_next(database, solver="bo", n=9) == []
    assert lease_next(database, solver="cy", n=9) == []  # nobody knows how good they are


def test_excluded_people_are_asked_nothing(database: Database, pets: Dataset) -> None:
    with database.write() as connection:
        connection.execute(
            t.votes.insert().values(item_id=item_uuid("pets", "new0"), solver_id="spam", answer="cat")
        )
    exclude(database, "pets", ["spam"], **WHO)
    assert lease_next(database, solver="spam", n=9) == []


def test_without_a_workflow_experts_clear_the_review_queue(database: Database) -> None:
    dataset = create_dataset(database, "pets", Policy().replaced(SMALL))
    add_items(database, dataset, ["bad", "split", "new"])
    cast(database, dataset, [("bad", word) for word in ("cat", "cat", "dog", "dog", "dog")])
    cast(database, dataset, [("split", word) for word in "abcdef"])
    apply_votes(database, "pets", run_id="r")
    assert advance(database, "pets").workflow_id is None
    add_people(database, "pets", "experts", ["ann", "bo"], actor="lead")
    tasks = {task.external_id: task for task in lease_next(database, solver="ann", n=9)}
    assert set(tasks) == {"bad", "split"}
    assert lease_next(database, solver="bo", n=9) == []
    assert answer(database, tasks["bad"].lease_id, answer="dog", reason="seen").state == "in_revalidation"
    assert answer(database, tasks["split"].lease_id, answer=None, reason="seen").state == "discarded"
    assert verify(database, "pets").findings == []


def test_many_who_ask_at_once_get_no_task_twice_and_no_stage_more_people_than_it_asks(
    database_url: str, database: Database
) -> None:
    dataset = create_dataset(database, "pets", Policy().replaced(SMALL))
    people = [f"e{n}" for n in range(8)]
    add_people(database, "pets", "experts", people, actor="lead")
    stages = [
        {"name": "label", "who": "experts", "answers": "2", "on_pass": "done", "on_fail": "third"},
        {"name": "third", "who": "experts", "on_pass": "done"},
    ]
    set_workflow(database, "pets", parse_stages(stages), **WHO)
    add_items(database, dataset, [f"i{n}" for n in range(12)])
    advance(database, "pets")
    began, failed = threading.Barrier(len(people)), list[BaseException]()
    given: list[tuple[str, Task]] = []

    def ask(name: str) -> None:
        own = open_database(database_url)
        began.wait()
        try:
            while tasks := lease_next(own, solver=name, n=2):
                for task in tasks:
                    given.append((name, task))
                    answer(own, task.lease_id, answer="cat", reason="seen", solver=name)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=ask, args=(name,)) for name in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == []
    assert len({task.lease_id for _, task in given}) == len(given)
    assert len({(name, task.item_id) for name, task in given}) == len(given)
    asked = Counter(task.item_id for _, task in given if task.stage == "label")
    assert asked == dict.fromkeys(asked, 2)
    assert len(asked) == 12
    with database.read() as connection:
        states = connection.execute(sa.text("SELECT DISTINCT state, label FROM item_status")).all()
    assert [tuple(row) for row in states] == [("graduated", "cat")]
    assert verify(database, "pets").findings == []


def test_two_answers_to_one_lease_at_once_are_one(
    database_url: str, database: Database, pets: Dataset
) -> None:
    (task,) = lease_next(database, solver="somebody")
    began, done = threading.Barrier(6), list[Any]()

    def give() -> None:
        own = open_database(database_url)
        began.wait()
        try:
            done.append(answer(own, task.lease_id, answer="cat"))
        except BadInputError as error:
            done.append(error)

    threads = [threading.Thread(target=give) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(not isinstance(entry, BadInputError) for entry in done) == 1
    assert len(done) == 6
