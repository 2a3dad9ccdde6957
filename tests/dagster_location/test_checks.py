"""Each expectation holds on good labels, and fails on what breaks just it, on both databases."""

import json

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.expectations import EXPECTATIONS, Judgement, judge_labels
from hiveguard_pipeline.retraction import exclude
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from tests.dagster_location.crowd import CROWD, change, put_votes


def item(external_id: str) -> str:
    return f"(SELECT item_id FROM items WHERE external_id = '{external_id}')"


SECOND_LABELS = """
    CREATE VIEW finalized_labels AS
    SELECT i.item_id, i.dataset_id, i.external_id, i.data_ref, i.modality, l.label, l.confidence,
           l.vote_count + l.revalidation_vote_count AS solver_count, l.created_at, l.state,
           l.needs_review, l.policy_id, i.gold_label
    FROM labels l JOIN items i ON i.item_id = l.item_id
    WHERE l.state IN ('in_revalidation', 'graduated')
    UNION ALL
    SELECT i.item_id, i.dataset_id, i.external_id, i.data_ref, i.modality, l.label, l.confidence,
           l.vote_count + l.revalidation_vote_count AS solver_count, l.created_at, l.state,
           l.needs_review, l.policy_id, i.gold_label
    FROM labels l JOIN items i ON i.item_id = l.item_id
    WHERE i.external_id = 'moving'
"""
"""The view as a careless migration would leave it: one item in it twice."""

BREAKS: dict[str, list[str]] = {
    "confidence_within_bounds": [
        f"UPDATE labels SET confidence = 1000001 WHERE item_id = {item('graduated')}"
    ],
    "state_is_known": [f"UPDATE labels SET state = 'trusted' WHERE item_id = {item('flagged')}"],
    "one_row_an_item": ["DROP VIEW finalized_labels", SECOND_LABELS],
    "nothing_below_the_floor": [f"UPDATE labels SET confidence = 599999 WHERE item_id = {item('moving')}"],
    "nothing_flagged": [f"UPDATE labels SET needs_review = true WHERE item_id = {item('moving')}"],
    "nothing_gold": ["UPDATE items SET gold_label = 'b' WHERE external_id = 'moving'"],
    "graduated_is_earned": [f"UPDATE labels SET confidence = 849999 WHERE item_id = {item('graduated')}"],
    "votes_are_accounted_for": [
        f"UPDATE labels SET applied_through = applied_through + 1 WHERE item_id = {item('moving')}"
    ],
}
"""Expectation -> what breaks it and no other."""


@pytest.fixture
def labelled(database: Database, dataset: Dataset) -> Database:
    """A store with labels in every state, and another dataset beside it."""
    put_votes(database, dataset, CROWD)
    put_votes(database, dataset, {"known": "aab"}, gold="a")
    apply_votes(database, "animals", run_id="test")
    other = create_dataset(database, "other", Policy())
    put_votes(database, other, {"elsewhere": "a" * 15})
    apply_votes(database, "other", run_id="test")
    return database


def failed(judged: list[Judgement]) -> set[str]:
    return {judgement.name for judgement in judged if not judgement.passed}


def test_every_expectation_has_a_case_that_breaks_it() -> None:
    assert set(BREAKS) == {expectation.name for expectation in EXPECTATIONS}
    assert all(expectation.blocking for expectation in EXPECTATIONS)


def test_all_hold_on_good_labels(labelled: Database, dataset: Dataset) -> None:
    judged = judge_labels(labelled, dataset)
    assert [judgement.name for judgement in judged] == [e.name for e in EXPECTATIONS]
    assert failed(judged) == set()
    assert all(judgement.unexpected == 0 and not judgement.examples for judgement in judged)


@pytest.mark.parametrize("name", sorted(BREAKS))
def test_an_expectation_fails_on_what_breaks_it_alone(
    name: str, labelled: Database, dataset: Dataset
) -> None:
    for statement in BREAKS[name]:
        change(labelled, statement)
    judged = judge_labels(labelled, dataset)
    assert failed(judged) == {name}
    (broken,) = [judgement for judgement in judged if judgement.name == name]
    assert broken.unexpected >= 1
    assert broken.examples
    assert len(broken.examples) <= 5
    json.dumps(broken.examples)  # they become metadata


def test_another_datasets_faults_are_not_this_ones(labelled: Database, dataset: Dataset) -> None:
    change(
        labelled, f"UPDATE labels SET confidence = 5, needs_review = true WHERE item_id = {item('elsewhere')}"
    )
    assert failed(judge_labels(labelled, dataset)) == set()


def test_too_few_votes_to_graduate_are_found(labelled: Database, dataset: Dataset) -> None:
    change(labelled, f"UPDATE labels SET revalidation_vote_count = 11 WHERE item_id = {item('graduated')}")
    assert "graduated_is_earned" in failed(judge_labels(labelled, dataset))


def test_a_lost_vote_is_found(labelled: Database, dataset: Dataset) -> None:
    change(labelled, f"DELETE FROM votes WHERE item_id = {item('graduated')} AND solver_id = 'solver-4'")
    assert failed(judge_labels(labelled, dataset)) == {"votes_are_accounted_for"}


def test_votes_of_an_excluded_solver_are_accounted_for(labelled: Database, dataset: Dataset) -> None:
    exclude(labelled, "animals", ["solver-4"], actor="lead", reason="a test")
    assert failed(judge_labels(labelled, dataset)) == set()
    change(labelled, "DELETE FROM exclusions")
    assert failed(judge_labels(labelled, dataset)) == {"votes_are_accounted_for"}


def test_each_label_is_judged_by_the_policy_that_made_it(labelled: Database, dataset: Dataset) -> None:
    set_policy(
        labelled,
        "animals",
        {
            "REVALIDATION_MIN_TOTAL_VOTES": "40",
            "REVALIDATION_EXIT_CONFIDENCE": "1.0",
            "REVALIDATION_CONFIDENCE_THRESHOLD": "0.9",
        },
        actor="lead",
        reason="stricter",
    )
    assert failed(judge_labels(labelled, dataset)) == set()
    put_votes(labelled, dataset, {"later": "a" * 15})
    apply_votes(labelled, "animals", run_id="test")
    assert failed(judge_labels(labelled, dataset)) == set()
    change(labelled, f"UPDATE labels SET confidence = 890000 WHERE item_id = {item('later')}")
    assert failed(judge_labels(labelled, dataset)) == {"nothing_below_the_floor"}


def test_a_dataset_without_labels_passes(database: Database, dataset: Dataset) -> None:
    assert failed(judge_labels(database, dataset)) == set()
    put_votes(database, dataset, {"fresh": "ab"})
    assert failed(judge_labels(database, dataset)) == set()


@pytest.mark.parametrize("table", ["quarantined_votes", "policies", "labels"])
def test_a_broken_database_raises_instead_of_passing(
    table: str, labelled: Database, dataset: Dataset
) -> None:
    if table != "policies" or labelled.is_sqlite:
        for view in ("finalized_labels", "item_status", "vote_status", "vote_counts"):
            change(labelled, f"DROP VIEW {view}")
    change(labelled, f"ALTER TABLE {table} RENAME TO away")
    with pytest.raises(Exception, match="(?i)" + ("finalized_labels|" + table)):
        judge_labels(labelled, dataset)


def test_a_database_that_is_away_raises_instead_of_passing(dataset: Dataset) -> None:
    away = Database("postgresql://someone:sw0rdfish@127.0.0.1:1/votes")
    with pytest.raises(Exception) as raised:  # noqa: PT011 - what Great Expectations raises is its own
        judge_labels(away, dataset)
    assert "sw0rdfish" not in str(raised.value)


def test_judging_changes_nothing(labelled: Database, dataset: Dataset) -> None:
    def tables() -> list[str]:
        with labelled.read() as connection:
            return sorted(sa.inspect(connection).get_table_names())

    before = tables()
    judge_labels(labelled, dataset)
    assert tables() == before
