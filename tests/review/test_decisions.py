"""Decisions on items: what they set, what they release, how they are undone, and that all of it replays."""

import uuid
from functools import partial
from random import Random

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.errors import BadInputError, ConflictError
from hiveguard_pipeline.review import Decision, correct, decide, list_flagged, standing_token, undo
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, get_dataset, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import ItemStatus, find_item
from tests.store.voting import add_items, cast, labels_of, ledger_of, letters, states, unprocessed

WHO = {"reviewer": "ann", "reason": "looked at it"}


def made(database: Database, answers: str, policy: Policy | None = None, gold: str | None = None) -> Dataset:
    """A dataset with one item `a` that got these answers, and a run."""
    classes = tuple("xyz")
    dataset = create_dataset(database, f"d{uuid.uuid4().hex}", policy or Policy(), classes=classes)
    add_items(database, dataset, "a", gold=gold)
    more(database, dataset, answers)
    return dataset


def more(database: Database, dataset: Dataset, answers: str, run: bool = True) -> None:
    cast(database, dataset, letters("a", answers))
    if run:
        apply_votes(database, dataset.name, run_id="run")


def decided(database: Database, dataset: Dataset, decision: str, label: str | None = None) -> Decision:
    if decision == "undo":
        return undo(database, "a", dataset_name=dataset.name, **WHO)
    if decision == "correct":
        return correct(database, "a", str(label), dataset_name=dataset.name, **WHO)
    return decide(database, "a", decision, label=label, dataset_name=dataset.name, **WHO)


def now(database: Database, dataset: Dataset) -> ItemStatus:
    """The item as it stands; the ledger must bear it out."""
    assert verify(database, dataset.name).findings == []
    with database.read() as connection:
        return find_item(connection, "a", dataset.name)


def queue(database: Database, dataset: Dataset) -> list[tuple[str, str | None, int, int]]:
    with database.read() as connection:
        return [
            (flagged.reason, flagged.label, flagged.votes, flagged.waiting_votes)
            for flagged in list_flagged(connection, get_dataset(connection, dataset.name))
        ]


def test_confirm_releases_the_waiting_votes_to_the_next_run_in_batches(database: Database) -> None:
    dataset = made(database, "xxy" + "yyy")
    assert now(database, dataset).confidence == 516_667
    more(database, dataset, "xxxxxxx")
    assert queue(database, dataset) == [("low_confidence", "x", 6, 7)]
    done = decided(database, dataset, "confirm")
    assert (done.label, done.confidence, done.state, done.waiting_votes) == (
        "x",
        600_000,
        "in_revalidation",
        7,
    )
    assert queue(database, dataset) == []
    assert unprocessed(database, dataset) == {"a": 7}
    more(database, dataset, "")
    item = now(database, dataset)
    assert (item.confidence, item.revalidation_vote_count, item.state) == (900_000, 9, "in_revalidation")
    assert unprocessed(database, dataset) == {"a": 1}


def test_relabel_counts_the_applied_votes_that_agree_with_the_new_label(database: Database) -> None:
    dataset = made(database, "xxy" + "yyy")
    done = decided(database, dataset, "relabel", "y")
    assert (done.label, done.confidence, done.state) == ("y", 666_667, "in_revalidation")
    row = ledger_of(database, dataset)["a"][-1]
    assert row[2:] == ("review", None, None, 4, 2, "y", 516_667, 666_667, "in_revalidation")
    created = labels_of(database, dataset)["a"][-1]
    assert created == "2026-11-01T00:00:02.000000Z", "the time of the first pass stays"
    assert now(database, dataset).vote_count == 3


def test_a_review_does_not_graduate_and_a_batch_after_it_does(database: Database) -> None:
    dataset = made(database, "x" * 15)
    assert now(database, dataset).state == "graduated"
    assert decided(database, dataset, "correct", "x").confidence == 1_000_000
    more(database, dataset, "xx")
    assert now(database, dataset).state == "in_revalidation"
    more(database, dataset, "x")
    item = now(database, dataset)
    assert (item.state, item.revalidation_epochs) == ("graduated", 2)


def test_a_decision_goes_by_the_policy_of_its_day(database: Database) -> None:
    dataset = made(database, "xxy" + "yyy")
    set_policy(database, dataset.name, {"REVALIDATION_CONFIDENCE_THRESHOLD": "0.84"}, actor="t", reason="t")
    assert decided(database, dataset, "confirm").confidence == 840_000
    assert now(database, dataset).state == "in_revalidation"
    decided(database, dataset, "undo")
    assert now(database, dataset).confidence == 516_667


def test_discard_takes_the_item_out_for_good_and_keeps_what_it_had(database: Database) -> None:
    dataset = made(database, "xxy" + "yyy")
    done = decided(database, dataset, "discard")
    assert (done.state, done.label, done.confidence) == ("discarded", "x", 516_667)
    more(database, dataset, "xxxxxx")
    assert unprocessed(database, dataset) == {"a": 6}
    assert now(database, dataset).state == "discarded"
    assert queue(database, dataset) == []


@pytest.mark.parametrize("decision", ["confirm", "relabel", "discard"])
def test_undo_brings_back_what_the_decision_replaced(database: Database, decision: str) -> None:
    dataset = made(database, "xxy" + "yyy")
    before = labels_of(database, dataset)
    decided(database, dataset, decision, "z")
    assert labels_of(database, dataset) != before
    decided(database, dataset, "undo")
    assert labels_of(database, dataset) == before
    more(database, dataset, "xxxxxx")
    assert now(database, dataset).state == "needs_review"
    assert decided(database, dataset, "confirm").state == "in_revalidation"
    assert now(database, dataset).label == "x"


def test_a_chain_of_decisions_is_undone_one_by_one_from_the_newest(database: Database) -> None:
    dataset = made(database, "xxy" + "yyy")
    stood = [labels_of(database, dataset)["a"][:3]]
    for decision, label in (("relabel", "y"), ("correct", "z"), ("correct", "x")):
        decided(database, dataset, decision, label)
        stood.append(labels_of(database, dataset)["a"][:3])
    decided(database, dataset, "undo")
    assert labels_of(database, dataset)["a"][:3] == stood[2]
    decided(database, dataset, "correct", "y")
    decided(database, dataset, "undo")
    for expected in (stood[1], stood[0]):
        decided(database, dataset, "undo")
        assert labels_of(database, dataset)["a"][:3] == expected
    with pytest.raises(BadInputError, match="no decision"):
        decided(database, dataset, "undo")
    assert now(database, dataset).state == "needs_review"


def test_undo_is_refused_once_a_batch_has_followed(database: Database) -> None:
    dataset = made(database, "xxy" + "yyy")
    decided(database, dataset, "confirm")
    more(database, dataset, "xx")
    more(database, dataset, "x")
    before = labels_of(database, dataset)
    with pytest.raises(BadInputError, match="votes were applied after it"):
        decided(database, dataset, "undo")
    assert labels_of(database, dataset) == before


def test_an_item_without_majority_is_listed_and_a_relabel_is_its_first_label(database: Database) -> None:
    dataset = made(database, "xyzxyz" * 2 + "xy")
    assert queue(database, dataset) == []
    more(database, dataset, "z")
    assert queue(database, dataset) == [("no_majority", None, 0, 15)]
    assert states(database, dataset) == {"a": "unlabeled"}
    with pytest.raises(BadInputError, match="unlabeled"):
        decided(database, dataset, "confirm")
    done = decided(database, dataset, "relabel", "x")
    assert (done.label, done.confidence, done.state, done.waiting_votes) == (
        "x",
        600_000,
        "in_revalidation",
        0,
    )
    item = now(database, dataset)
    assert (item.vote_count, item.revalidation_vote_count) == (15, 0)
    assert unprocessed(database, dataset) == {}
    more(database, dataset, "xxx")
    assert now(database, dataset).confidence == 750_000


def test_a_first_label_by_relabel_is_undone_with_its_votes(database: Database) -> None:
    dataset = made(database, "xyz" * 5)
    decided(database, dataset, "relabel", "x")
    decided(database, dataset, "undo")
    assert unprocessed(database, dataset) == {"a": 15}
    assert queue(database, dataset) == [("no_majority", None, 0, 15)]
    assert now(database, dataset).state == "unlabeled"
    more(database, dataset, "x" * 16)
    item = now(database, dataset)
    assert (item.label, item.vote_count, item.confidence, item.state) == ("x", 21, 523_810, "needs_review")
    assert unprocessed(database, dataset) == {"a": 10}


def test_an_item_without_majority_can_be_discarded_and_that_undone(database: Database) -> None:
    dataset = made(database, "xyz" * 5)
    done = decided(database, dataset, "discard")
    assert (done.state, done.label, done.confidence) == ("discarded", None, None)
    assert now(database, dataset).vote_count == 0
    decided(database, dataset, "undo")
    assert now(database, dataset).state == "unlabeled"
    assert queue(database, dataset) == [("no_majority", None, 0, 15)]


def test_the_time_of_a_first_label_by_relabel_is_written_in_full(database: Database) -> None:
    """A challenge server may write times in its database's own form."""
    dataset = made(database, "xyz" * 5)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE votes SET created_at = '2026-11-20 12:00:00'"))
    decided(database, dataset, "relabel", "x")
    assert labels_of(database, dataset)["a"][-1] == "2026-11-20T12:00:00.000000Z"


@pytest.mark.parametrize("answers", ["x" * 15, "xxx", "x", "", "xxyyyy", "xyz" * 5])
def test_correct_sets_a_label_in_any_state(database: Database, answers: str) -> None:
    dataset = made(database, answers)
    before = now(database, dataset)
    done = decided(database, dataset, "correct", "y")
    agree = answers.count("y")
    floor_or_share = max(600_000, round(1_000_000 * agree / max(len(answers), 1)))
    assert (done.label, done.state, done.confidence) == ("y", "in_revalidation", floor_or_share)
    assert now(database, dataset).vote_count >= before.vote_count
    decided(database, dataset, "undo")
    after = now(database, dataset)
    assert (after.label, after.confidence, after.state) == (before.label, before.confidence, before.state)
    decided(database, dataset, "correct", "y")
    decided(database, dataset, "correct", "z")
    more(database, dataset, "zzz")
    assert now(database, dataset).label == "z"


def test_what_cannot_be_decided_is_refused_and_changes_nothing(database: Database) -> None:
    flagged, running = made(database, "xxy" + "yyy"), made(database, "xxx")
    before = labels_of(database, flagged), labels_of(database, running)
    for decision in ("confirm", "relabel", "discard"):
        with pytest.raises(BadInputError, match="not in review"):
            decided(database, running, decision, "y")
    for label in ("owl", "", "  ", None, "X"):
        with pytest.raises(BadInputError):
            decided(database, flagged, "relabel", label)
    with pytest.raises(BadInputError, match="no decision"):
        decided(database, flagged, "undo")
    with pytest.raises(BadInputError, match="no item"):
        decide(database, "b", "confirm", dataset_name=flagged.name, **WHO)
    assert (labels_of(database, flagged), labels_of(database, running)) == before


def test_gold_is_not_the_crowds_to_decide(database: Database) -> None:
    dataset = made(database, "xxy" + "yyy", gold="y")
    for decision in ("confirm", "relabel", "discard", "correct", "undo"):
        with pytest.raises(BadInputError, match="gold"):
            decided(database, dataset, decision, "y")


POLICIES = [
    {"REVALIDATION_MIN_VOTES": "1"},
    {"REVALIDATION_MIN_VOTES": "4", "CONSENSUS_THRESHOLD": "1"},
    {"REVALIDATION_CONFIDENCE_THRESHOLD": "0.7", "REVALIDATION_MIN_TOTAL_VOTES": "6"},
    {"REVALIDATION_DELTA": "0.123457", "REVALIDATION_MIN_TOTAL_VOTES": "4", "CONSENSUS_THRESHOLD": "3"},
]


@pytest.mark.parametrize("seed", range(4))
def test_after_any_votes_runs_decisions_and_policies_the_ledger_replays(
    database: Database, dataset: Dataset, seed: int
) -> None:
    random, taken, refused = Random(seed), 0, 0
    names = "abcdef"
    add_items(database, dataset, names)
    for _ in range(60):
        step = random.choice(["votes", "votes", "run", "policy", "decide", "decide", "decide"])
        name = random.choice(names)
        if step == "votes":
            cast(database, dataset, [(random.choice(names), random.choice("xxyz")) for _ in range(12)])
        elif step == "run":
            apply_votes(database, dataset.name, run_id="run", everything=random.random() < 0.3)
        elif step == "policy":
            set_policy(database, dataset.name, random.choice(POLICIES), actor="t", reason="t")
        else:
            try:
                act = random.choice(["confirm", "relabel", "discard", "correct", "undo", "undo"])
                if act == "undo":
                    undo(database, name, dataset_name=dataset.name, **WHO)
                elif act == "correct":
                    correct(database, name, random.choice("xyz"), dataset_name=dataset.name, **WHO)
                else:
                    decide(database, name, act, label="y", dataset_name=dataset.name, **WHO)
                taken += 1
            except BadInputError:
                refused += 1
        if step != "votes":
            assert verify(database, dataset.name).findings == []
    assert taken > 3
    assert refused > 0


def token(database: Database, dataset: Dataset) -> str:
    with database.read() as connection:
        return standing_token(connection, find_item(connection, "a", dataset.name))


def rows_of(database: Database, table: str) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


@pytest.mark.parametrize("second", ["confirm", "relabel", "discard", "correct", "undo"])
def test_the_second_of_two_reviewers_is_told_and_nothing_is_overwritten(
    database: Database, second: str
) -> None:
    dataset = made(database, "xxy" + "yyy")
    shown = token(database, dataset)
    decide(database, "a", "relabel", label="y", dataset_name=dataset.name, expected=shown, **WHO)
    before = [rows_of(database, table) for table in ("reviews", "batches")]
    options = {"dataset_name": dataset.name, "expected": shown, "reviewer": "ben", "reason": "also looked"}
    act = {
        "undo": partial(undo, database, "a"),
        "correct": partial(correct, database, "a", "z"),
        "relabel": partial(decide, database, "a", "relabel", label="z"),
    }.get(second, partial(decide, database, "a", second))
    with pytest.raises(ConflictError, match=r"changed since it was shown.*relabel by ann.*nothing was"):
        act(**options)
    assert [rows_of(database, table) for table in ("reviews", "batches")] == before
    assert now(database, dataset).label == "y"


def test_a_batch_that_was_applied_since_makes_a_token_old_and_waiting_votes_do_not(
    database: Database,
) -> None:
    dataset = made(database, "xxx")
    shown = token(database, dataset)
    more(database, dataset, "xxy", run=False)
    assert token(database, dataset) == shown
    more(database, dataset, "")
    with pytest.raises(ConflictError, match="is in_revalidation now"):
        correct(database, "a", "y", dataset_name=dataset.name, expected=shown, **WHO)
    made_now = correct(
        database, "a", "y", dataset_name=dataset.name, expected=token(database, dataset), **WHO
    )
    assert made_now.label == "y"
