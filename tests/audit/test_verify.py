"""Whoever changes a label, its ledger or its votes behind the pipeline's back is found out."""

from random import Random

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import explain, verify
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.review import correct, undo
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from tests.store.voting import add_items, cast, letters

TABLES = ("policies", "votes", "reviews", "batches", "labels")

WHO = {"reviewer": "ann", "reason": "looked at it"}


@pytest.fixture
def honest(database: Database, dataset: Dataset) -> Dataset:
    """Items of all kinds under two policies: `a` with a first pass, three batches and a waiting vote."""
    other = create_dataset(database, "other", Policy(consensus_threshold=2))
    add_items(database, other, "o")
    cast(database, other, letters("o", "xxx"))
    add_items(database, dataset, "abcdefg")
    first = {"a": "xyx" + "xxy", "b": "xyz", "c": "x" * 15, "d": "xxy" + "yyy", "e": "xyz" * 5, "f": "xxx"}
    cast(database, dataset, [vote for name, answers in first.items() for vote in letters(name, answers)])
    apply_votes(database, dataset.name, run_id="one")
    correct(database, "e", "z", dataset_name=dataset.name, **WHO)
    correct(database, "f", "y", dataset_name=dataset.name, **WHO)
    undo(database, "f", dataset_name=dataset.name, **WHO)
    change = {"REVALIDATION_DELTA": "0.04", "REVALIDATION_MIN_VOTES": "2"}
    set_policy(database, dataset.name, change, actor="t", reason="t")
    cast(database, dataset, letters("a", "xxxyx"))
    apply_votes(database, dataset.name, run_id="two")
    assert verify(database, dataset.name).findings == []
    return dataset


def tampered(database: Database, *statements: str) -> None:
    """Run statements in which A stands for the item `a`'s id and ROW for its third ledger row."""
    with database.write() as connection:
        item = connection.execute(sa.text("SELECT item_id FROM items WHERE external_id = 'a'")).scalar_one()
        row = connection.execute(
            sa.text("SELECT batch_id FROM batches WHERE item_id = :a ORDER BY batch_id LIMIT 1 OFFSET 2"),
            {"a": item},
        ).scalar_one()
        for statement in statements:
            text = statement.replace("ITEM_A", f"'{item}'").replace("ROW", str(row))
            assert connection.execute(sa.text(text)).rowcount > 0


LABEL = "UPDATE labels SET {} WHERE item_id = ITEM_A"
BATCH = "UPDATE batches SET {} WHERE batch_id = ROW"
VOTE = "(SELECT {} FROM votes WHERE item_id = ITEM_A)"

TAMPERING = {
    "label": LABEL.format("label = 'y'"),
    "no label": LABEL.format("label = NULL"),
    "confidence": LABEL.format("confidence = confidence + 1"),
    "state": LABEL.format("state = 'graduated'"),
    "needs_review": LABEL.format("needs_review = true"),
    "vote_count": LABEL.format("vote_count = vote_count + 1"),
    "revalidation_vote_count": LABEL.format("revalidation_vote_count = revalidation_vote_count - 2"),
    "counts that add up": LABEL.format(
        "vote_count = vote_count + 1, revalidation_vote_count = revalidation_vote_count - 1"
    ),
    "revalidation_epochs": LABEL.format("revalidation_epochs = 7"),
    "policy": LABEL.format("policy_id = (SELECT min(policy_id) FROM policies)"),
    "generation": LABEL.format("generation = 2"),
    "applied_through lower": LABEL.format("applied_through = applied_through - 1"),
    "applied_through higher": LABEL.format(f"applied_through = {VOTE.format('max(vote_id)')}"),
    "time of the first pass": LABEL.format("created_at = '2020-01-01T00:00:00.000000Z'"),
    "label row gone": "DELETE FROM labels WHERE item_id = ITEM_A",
    "batch agree": BATCH.format("agree = agree + 1, disagree = disagree - 1"),
    "batch size": BATCH.format("agree = agree + 1"),
    "batch confidence after": BATCH.format("confidence_after = confidence_after + 1"),
    "batch confidence before": BATCH.format("confidence_before = NULL"),
    "batch label of no answer": BATCH.format("label = NULL"),
    "batch label": BATCH.format("label = 'y'"),
    "batch state": BATCH.format("state_after = 'graduated'"),
    "batch state of no such word": BATCH.format("state_after = 'fine'"),
    "batch kind": BATCH.format("kind = 'first_pass'"),
    "batch kind of no such word": BATCH.format("kind = 'other'"),
    "batch policy": BATCH.format("policy_id = policy_id + 2"),
    "batch policy of no such id": BATCH.format("policy_id = 99"),
    "batch policy of another dataset": BATCH.format(
        "policy_id = (SELECT policy_id FROM policies p JOIN datasets d ON d.dataset_id = p.dataset_id"
        " WHERE d.name = 'other')"
    ),
    "batch first vote": BATCH.format("first_vote_id = first_vote_id + 1"),
    "batch last vote": BATCH.format("last_vote_id = last_vote_id + 1"),
    "batch without votes": BATCH.format("first_vote_id = NULL, last_vote_id = NULL"),
    "batch generation": BATCH.format("generation = 2"),
    "batch of another item": BATCH.format("item_id = (SELECT item_id FROM items WHERE external_id = 'g')"),
    "batch gone": "DELETE FROM batches WHERE batch_id = ROW",
    "last batch gone": "DELETE FROM batches WHERE batch_id = (SELECT max(batch_id) FROM batches)",
    "batch twice": "INSERT INTO batches (item_id, policy_id, generation, kind, first_vote_id, last_vote_id,"
    " agree, disagree, label, confidence_before, confidence_after, state_after, applied_at)"
    " SELECT item_id, policy_id, generation, kind, first_vote_id, last_vote_id, agree, disagree, label,"
    " confidence_before, confidence_after, state_after, applied_at FROM batches WHERE batch_id = ROW",
    "ledger gone": "DELETE FROM batches WHERE item_id = ITEM_A",
    "answer": f"UPDATE votes SET answer = 'y' WHERE vote_id = {VOTE.format('min(vote_id)')}",
    "vote gone": f"DELETE FROM votes WHERE vote_id = {VOTE.format('min(vote_id)')}",
    "vote below the watermark": "INSERT INTO votes (vote_id, item_id, solver_id, answer) VALUES"
    " (-5, ITEM_A, 'late', 'x')",
    "vote of another item": "UPDATE votes SET item_id = (SELECT item_id FROM items WHERE external_id = 'g')"
    f" WHERE vote_id = {VOTE.format('min(vote_id)')}",
    "policy that was in force": "UPDATE policies SET revalidation_delta = 49999 WHERE policy_id ="
    " (SELECT policy_id FROM batches WHERE batch_id = ROW)",
    "decision gone": "DELETE FROM reviews WHERE review_id = (SELECT min(review_id) FROM reviews)",
    "decision of another kind": "UPDATE reviews SET decision = 'discard' WHERE review_id ="
    " (SELECT min(review_id) FROM reviews)",
    "decision for another label": "UPDATE reviews SET label = 'x' WHERE review_id ="
    " (SELECT min(review_id) FROM reviews)",
}


def test_whatever_was_tampered_with_is_found(database: Database, honest: Dataset) -> None:
    missed = []
    with database.write() as connection:
        for table in TABLES:
            connection.execute(sa.text(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}"))
    for what, statement in TAMPERING.items():
        tampered(database, statement)
        findings = verify(database, honest.name).findings
        others = verify(database, "other").findings
        expected = "e" if what.startswith("decision") else "a"
        if expected not in {found.external_id for found in findings if found.reason} or others:
            missed.append(what)
        with database.write() as connection:
            for table in reversed(TABLES):
                connection.execute(sa.text(f"DELETE FROM {table}"))
            for table in TABLES:
                connection.execute(sa.text(f"INSERT INTO {table} SELECT * FROM kept_{table}"))
    assert "; ".join(missed) == ""
    assert verify(database, honest.name).findings == []


def test_a_vote_above_the_watermark_may_still_come_or_be_withdrawn(
    database: Database, honest: Dataset
) -> None:
    cast(database, honest, letters("a", "y"))
    assert verify(database, honest.name).findings == []
    tampered(database, "DELETE FROM votes WHERE vote_id = (SELECT max(vote_id) FROM votes)")
    assert verify(database, honest.name).findings == []


def test_a_finding_names_the_ledger_row_and_what_does_not_follow(database: Database, honest: Dataset) -> None:
    tampered(database, TAMPERING["batch agree"])
    with database.read() as connection:
        rows = [row["batch_id"] for row in explain(connection, "a", honest.name).batches]
    findings = verify(database, honest.name).findings
    assert (rows[2], "miscounts the votes that agree") in {
        (finding.batch_id, finding.reason) for finding in findings
    }


def test_a_verification_says_how_much_it_replayed(database: Database, honest: Dataset) -> None:
    seen: list[tuple[int, int]] = []
    done = verify(database, honest.name, report=lambda *progress: seen.append(progress))
    with database.read() as connection:
        batches = connection.execute(sa.text("SELECT count(*) FROM batches")).scalar_one()
    assert (done.items, done.batches) == (5, batches)
    assert seen[-1] == (5, 5)
    assert verify(database, "other").items == 0


def test_an_empty_dataset_has_nothing_to_find_and_a_missing_one_is_named(
    database: Database, dataset: Dataset
) -> None:
    assert verify(database, dataset.name).findings == []
    with pytest.raises(BadInputError, match="nothing-here"):
        verify(database, "nothing-here")


def test_explain_shows_every_vote_batch_and_decision(database: Database, honest: Dataset) -> None:
    with database.read() as connection:
        a, f = explain(connection, "a", honest.name), explain(connection, "f", honest.name)
        by_id = explain(connection, a.item.item_id)
    assert by_id == a
    assert "".join(vote["answer"] for vote in a.votes) == "xyxxxy" + "xxxyx"
    assert [vote["processed"] for vote in a.votes] == [True] * 10 + [False]
    assert all(vote["created_at"].endswith("Z") for vote in a.votes)
    assert [
        (row["kind"], row["run_id"], row["confidence_before"], row["confidence_after"]) for row in a.batches
    ] == [
        ("first_pass", "one", None, 666_667),
        ("revalidation", "one", 666_667, 716_667),
        ("revalidation", "two", 716_667, 796_667),
        ("revalidation", "two", 796_667, 796_667),
    ]
    sizes = [row["agree"] + row["disagree"] for row in a.batches]
    taken = [vote["batch_id"] for vote in a.votes]
    assert taken == [
        row["batch_id"] for row, size in zip(a.batches, sizes, strict=True) for _ in range(size)
    ] + [None]
    assert [review["decision"] for review in f.reviews] == ["relabel", "undo"]
    assert [row["kind"] for row in f.batches] == ["first_pass", "review", "review"]
    assert f.reviews[1]["undoes"] == f.reviews[0]["review_id"]


def test_a_large_random_history_replays(database: Database, dataset: Dataset) -> None:
    random = Random(1)
    names = [f"i{number}" for number in range(200)]
    add_items(database, dataset, names)
    for _ in range(3):
        cast(database, dataset, [(random.choice(names), random.choice("xxxyz")) for _ in range(1500)])
        apply_votes(database, dataset.name, run_id="run")
    done = verify(database, dataset.name)
    assert done.findings == []
    assert done.batches > 500
