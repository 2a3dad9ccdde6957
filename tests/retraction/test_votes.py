"""Single votes are taken back: for good, once, and their items are as if they had never come."""

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import explain
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.retraction import revised_solver, withdraw
from hiveguard_pipeline.store.backlog import Position, look
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import vote_counts
from tests.retraction.test_solvers import more, now, stands, voted
from tests.retraction.world import WHO, contents, new_dataset, put
from tests.store.voting import add_items, ledger_of


def vote_ids(database: Database, dataset: Dataset) -> list[int]:
    with database.read() as connection:
        return list(
            connection.execute(
                sa.text(
                    "SELECT v.vote_id FROM votes v JOIN items i ON i.item_id = v.item_id"
                    " WHERE i.dataset_id = :dataset ORDER BY v.vote_id"
                ),
                {"dataset": dataset.dataset_id},
            ).scalars()
        )


def test_a_withdrawn_vote_counts_no_longer_and_its_item_is_counted_again(database: Database) -> None:
    dataset = voted(database, {"a": "yxxxxxx"})
    first = vote_ids(database, dataset)[0]
    done = withdraw(database, dataset.name, [first], **WHO)
    assert (done.votes, done.items, done.recounted, done.solvers) == (1, 1, 1, ("s0",))
    item = now(database, dataset)
    assert stands(item) == ("x", 1_000_000, "in_revalidation", 3, 3)
    assert item.generation == 2
    with database.read() as connection:
        assert vote_counts(connection, dataset)["excluded"] == 1
        explained = explain(connection, "a", dataset.name)
    assert [vote["excluded"] for vote in explained.votes] == [True] + [False] * 6


def test_an_answer_that_was_changed_comes_in_under_a_revised_name(database: Database) -> None:
    dataset = voted(database, {"a": "yxx"})
    assert stands(now(database, dataset)) == ("x", 666_667, "in_revalidation", 3, 0)
    withdraw(database, dataset.name, vote_ids(database, dataset)[:1], **WHO)
    assert now(database, dataset).state == "unlabeled"
    put(database, dataset, [("a", revised_solver("s0"), "x")])
    apply_votes(database, dataset.name, run_id="run")
    assert stands(now(database, dataset)) == ("x", 1_000_000, "in_revalidation", 3, 0)


def test_a_vote_is_taken_back_once(database: Database) -> None:
    dataset = voted(database, {"a": "yxxxxxx"})
    first = vote_ids(database, dataset)[0]
    withdraw(database, dataset.name, [first], **WHO)
    stood, before = now(database, dataset), ledger_of(database, dataset)
    again = withdraw(database, dataset.name, [first], **WHO)
    assert (again.votes, again.recounted) == (0, 0)
    assert (now(database, dataset), ledger_of(database, dataset)) == (stood, before)


def test_a_vote_that_waits_is_taken_back_without_a_new_generation(database: Database) -> None:
    dataset = voted(database, {"a": "xxx"})
    more(database, dataset, "a", "yx", first=3)
    withdraw(database, dataset.name, vote_ids(database, dataset)[3:4], **WHO)
    more(database, dataset, "a", "xx", first=5)
    apply_votes(database, dataset.name, run_id="run")
    item = now(database, dataset)
    assert stands(item) == ("x", 1_000_000, "in_revalidation", 3, 3)
    assert item.generation == 1


def test_what_is_no_vote_of_the_dataset_is_refused_and_nothing_changes(database: Database) -> None:
    dataset, other = voted(database, {"a": "xxx"}), voted(database, {"b": "yyy"})
    own, foreign = vote_ids(database, dataset)[0], vote_ids(database, other)[0]
    before = contents(database)
    with pytest.raises(BadInputError, match=f"{dataset.name} has no vote {foreign};"):
        withdraw(database, dataset.name, [own, foreign], **WHO)
    with pytest.raises(BadInputError, match="reason must not be empty"):
        withdraw(database, dataset.name, [own], actor="lead", reason=" ")
    assert contents(database) == before


@pytest.mark.parametrize(
    ("solver", "revised"),
    [("ada", "ada~2"), ("ada~2", "ada~3"), ("ada~9", "ada~10"), ("ada~1", "ada~1~2"), ("a~b", "a~b~2")],
)
def test_a_revised_name_counts_on(solver: str, revised: str) -> None:
    assert revised_solver(solver) == revised


def test_withdrawn_votes_make_no_run_due(database: Database) -> None:
    dataset = new_dataset(database)
    add_items(database, dataset, "a")
    put(database, dataset, [("a", f"s{number}", "x") for number in range(3)])
    assert dataset.name in look(database, Position()).position.due
    withdraw(database, dataset.name, vote_ids(database, dataset)[:1], **WHO)
    assert dataset.name not in look(database, Position()).position.due
