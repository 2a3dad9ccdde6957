"""A look says in which datasets a run would write to the ledger, and in no other."""

import json

import pytest

from hiveguard_pipeline.review import correct, decide, undo
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import backlog
from hiveguard_pipeline.store.backlog import Look, Position, look
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.work import would_write

from .voting import add_items, cast, letters, states, vote_ids

WHO = {"reviewer": "ann", "reason": "looked at it"}


class Watch:
    """A sensor's memory over a database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.position = Position()

    def due(self) -> list[str]:
        return sorted(self.look().position.due)

    def look(self) -> Look:
        found = look(self.database, self.position)
        self.position = Position.parse(found.position.text())
        return found


@pytest.fixture
def watch(database: Database) -> Watch:
    return Watch(database)


def run(database: Database, dataset: Dataset) -> int:
    """A run; returns how many ledger rows it wrote."""
    done = apply_votes(database, dataset.name, run_id="run")
    return done.first_passes + done.batches


def test_enough_votes_for_a_majority_are_due_until_a_run_took_them(
    database: Database, dataset: Dataset, watch: Watch
) -> None:
    add_items(database, dataset, "ab")
    assert watch.due() == []
    cast(database, dataset, letters("a", "xx"))
    assert watch.due() == []
    cast(database, dataset, letters("a", "x"))
    for _ in range(3):
        assert watch.due() == [dataset.name]
    newest = vote_ids(database, dataset)[-1]
    assert watch.position.due[dataset.name] == newest
    assert run(database, dataset) == 1
    for _ in range(2):
        assert watch.due() == []


def test_a_look_names_the_newest_vote_of_each_touched_dataset(
    database: Database, dataset: Dataset, watch: Watch
) -> None:
    other = create_dataset(database, "other", Policy())
    for each in (dataset, other):
        add_items(database, each, "a")
    cast(database, dataset, letters("a", "xy"))
    cast(database, other, letters("a", "x"))
    found = watch.look()
    assert found.datasets == ["animals", "other"]
    assert found.newest == {each.name: vote_ids(database, each)[-1] for each in (dataset, other)}
    assert watch.look().newest == {}


def test_a_full_batch_is_due_and_a_rest_is_not(database: Database, dataset: Dataset, watch: Watch) -> None:
    add_items(database, dataset, "a")
    cast(database, dataset, letters("a", "xxx"))
    run(database, dataset)
    for answers, due in (("x", []), ("x", []), ("x", [dataset.name])):
        cast(database, dataset, letters("a", answers))
        assert watch.due() == due
        assert bool(due) == bool(run(database, dataset))


def test_votes_that_no_run_would_apply_are_not_due(
    database: Database, dataset: Dataset, watch: Watch
) -> None:
    slow = create_dataset(database, "slow", Policy(consensus_threshold=5))
    add_items(database, slow, "a")
    cast(database, slow, letters("a", "xxx"))
    even = create_dataset(database, "even", Policy(consensus_threshold=4))
    add_items(database, even, "a")
    cast(database, even, letters("a", "xyxy"))
    add_items(database, dataset, ["graduated", "flagged", "split"])
    add_items(database, dataset, ["gold"], gold="x")
    cast(database, dataset, [*letters("graduated", "x" * 15), *letters("flagged", "xxyyyy")])
    run(database, dataset)
    assert states(database, dataset)["flagged"] == "needs_review"
    watch.due()
    for name in ("graduated", "flagged", "gold"):
        cast(database, dataset, letters(name, "xxxxxx"))
    cast(database, dataset, letters("split", "xyzxyz"))
    assert watch.due() == []
    assert run(database, dataset) == run(database, slow) == run(database, even) == 0
    decide(database, "flagged", "discard", dataset_name=dataset.name, **WHO)
    cast(database, dataset, letters("flagged", "xxx"))
    assert watch.due() == []
    assert run(database, dataset) == 0


def test_a_look_after_a_run_that_a_person_started_is_not_due(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, "a")
    cast(database, dataset, letters("a", "xxx"))
    run(database, dataset)
    assert Watch(database).due() == []


@pytest.mark.parametrize(("waiting", "due"), [(2, False), (3, True)])
def test_a_confirm_is_due_when_a_full_batch_had_waited(
    database: Database, dataset: Dataset, watch: Watch, waiting: int, due: bool
) -> None:
    add_items(database, dataset, "a")
    cast(database, dataset, letters("a", "xxyyyy" + "x" * waiting))
    run(database, dataset)
    assert watch.due() == []
    decide(database, "a", "confirm", dataset_name=dataset.name, **WHO)
    for _ in range(2):
        assert watch.due() == [dataset.name] * due
    assert bool(run(database, dataset)) == due
    assert watch.due() == []


def test_a_corrected_graduate_brings_its_later_votes_back_and_an_undo_takes_them_off(
    database: Database, dataset: Dataset, watch: Watch
) -> None:
    add_items(database, dataset, "a")
    cast(database, dataset, letters("a", "x" * 18))
    run(database, dataset)
    correct(database, "a", "x", dataset_name=dataset.name, **WHO)
    undo(database, "a", dataset_name=dataset.name, **WHO)
    assert watch.due() == []
    correct(database, "a", "x", dataset_name=dataset.name, **WHO)
    assert watch.due() == [dataset.name]


def test_a_policy_that_makes_a_batch_full_is_due_once(
    database: Database, dataset: Dataset, watch: Watch
) -> None:
    add_items(database, dataset, "a")
    cast(database, dataset, letters("a", "xxxxx"))
    run(database, dataset)
    assert watch.due() == []
    set_policy(database, dataset.name, {"REVALIDATION_MIN_VOTES": "4"}, actor="t", reason="t")
    assert watch.due() == []
    set_policy(database, dataset.name, {"REVALIDATION_MIN_VOTES": "2"}, actor="t", reason="t")
    for _ in range(2):
        assert watch.due() == [dataset.name]
    assert run(database, dataset) == 1
    assert watch.due() == []


def test_a_policy_changed_while_it_was_due_is_still_due(
    database: Database, dataset: Dataset, watch: Watch
) -> None:
    add_items(database, dataset, "ab")
    cast(database, dataset, letters("a", "xxxxx"))
    run(database, dataset)
    cast(database, dataset, letters("b", "xxx"))
    assert watch.due() == [dataset.name]
    set_policy(database, dataset.name, {"REVALIDATION_MIN_VOTES": "2"}, actor="t", reason="t")
    assert watch.due() == [dataset.name]
    assert run(database, dataset) == 2
    assert watch.due() == []


def test_more_votes_than_one_look_takes_are_seen_by_the_next_ones(
    database: Database, dataset: Dataset, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "VOTES_AT_ONCE", 5)
    names = [f"i{number}" for number in range(60)]
    add_items(database, dataset, names)
    cast(database, dataset, [(name, "x") for name in names])
    cast(database, dataset, letters("i7", "xx"))
    looks = 0
    while not watch.due():
        looks += 1
        assert looks < 10
    assert looks > 0
    assert run(database, dataset) == 1


def test_would_write_asks_of_new_votes_or_of_the_whole_pool(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, "ab")
    cast(database, dataset, letters("a", "xxx"))
    first = vote_ids(database, dataset)[-1]
    cast(database, dataset, letters("b", "xx"))
    last = vote_ids(database, dataset)[-1]
    with database.look() as connection:
        assert would_write(connection, dataset, None, last)
        assert would_write(connection, dataset, 0, last)
        assert not would_write(connection, dataset, first, last)
        assert not would_write(connection, dataset, None, first - 1)


def test_a_position_comes_back_from_its_text() -> None:
    position = Position(5, {"animals": 7}, {"animals": 2}, 9, ["3/14"])
    assert Position.parse(position.text()) == position
    assert Position.parse(Position().text()) == Position()


@pytest.mark.parametrize(
    "text",
    [None, "", "no json", "[]", "null", "5", '"text"', "{", '{"other": 1}', '{"due": []}', '{"due": null}',
     '{"checked_through": "x"}', '{"policies": 3, "pending_writers": 5}', '{"due": {"animals": "x"}}'],
)  # fmt: skip
def test_a_position_that_is_none_is_the_beginning(text: str | None) -> None:
    assert Position.parse(text) == Position()


def test_a_position_that_names_datasets_that_are_gone_forgets_them(
    database: Database, dataset: Dataset
) -> None:
    text = json.dumps({"checked_through": 0, "due": {"gone": 5}, "policies": {"gone": 1}})
    after = look(database, Position.parse(text)).position
    assert (after.due, after.policies) == ({}, {})
