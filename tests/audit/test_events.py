"""Every act has an event; a row that was changed, added or taken out is found; the database refuses both."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import events_of, verify_events
from hiveguard_pipeline.classes import rename_class
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.retraction import exclude, restore, withdraw
from hiveguard_pipeline.review import correct, decide, undo
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, set_policy
from hiveguard_pipeline.store.events import INSTANCE, NO_EVENT, Act, record_event
from hiveguard_pipeline.store.ledger import apply_votes
from tests.retraction.world import REVIEWER, WHO, new_dataset, put
from tests.store.voting import add_items

ACTIONS = [
    "audit.begun",
    "dataset.create",
    "policy.set",
    "review.confirm",
    "review.undo",
    "review.relabel",
    "solver.exclude",
    "solver.restore",
    "vote.withdraw",
    "classes.change",
]


@pytest.fixture
def acted(database: Database) -> Dataset:
    """A dataset on which everything was done that has an event."""
    dataset = new_dataset(database, classes=("x", "y"))
    add_items(database, dataset, "a")
    put(database, dataset, [("a", f"s{number}", answer) for number, answer in enumerate("xxyyy")])
    set_policy(database, dataset.name, {"REVALIDATION_MIN_VOTES": "2"}, actor="lead", reason="try")
    apply_votes(database, dataset.name, run_id="run")
    decide(database, "a", "confirm", dataset_name=dataset.name, **REVIEWER)
    undo(database, "a", dataset_name=dataset.name, **REVIEWER)
    correct(database, "a", "y", dataset_name=dataset.name, **REVIEWER)
    exclude(database, dataset.name, ["s1"], **WHO)
    restore(database, dataset.name, ["s1"], **WHO)
    with database.read() as connection:
        vote = connection.execute(
            sa.select(sa.func.min(t.votes.c.vote_id))
            .join(t.items, t.items.c.item_id == t.votes.c.item_id)
            .where(t.items.c.dataset_id == dataset.dataset_id)
        ).scalar_one()
    withdraw(database, dataset.name, [vote], **WHO)
    rename_class(database, dataset.name, "x", "z", **WHO)
    return dataset


def findings(database: Database, dataset: Dataset) -> list[str]:
    return [finding.what for finding in verify_events(database, dataset.name).findings]


def tamper(database: Database, *statements: str) -> None:
    """What somebody who owns the tables can do: without the triggers."""
    with database.write() as connection:
        if database.is_sqlite:
            for act in ("update", "delete"):
                connection.execute(sa.text(f"DROP TRIGGER IF EXISTS audit_events_{act}"))
        else:
            connection.execute(sa.text("ALTER TABLE audit_events DISABLE TRIGGER USER"))
        for statement in statements:
            assert connection.execute(sa.text(statement)).rowcount, statement


def test_each_act_has_an_event_that_says_who_what_and_why(database: Database, acted: Dataset) -> None:
    with database.read() as connection:
        events = list(events_of(connection, acted.name))
    assert [event["action"] for event in events] == ACTIONS
    assert [event["sequence"] for event in events] == list(range(1, len(ACTIONS) + 1))
    assert events[0]["previous_sha256"] == NO_EVENT
    confirmed = events[ACTIONS.index("review.confirm")]
    assert (confirmed["actor"], confirmed["reason"]) == ("ann", "looked at it")
    assert json.loads(confirmed["before"])["state"] == "needs_review"
    assert json.loads(confirmed["after"])["state"] == "in_revalidation"
    changed = json.loads(events[ACTIONS.index("policy.set")]["before"])
    assert changed["REVALIDATION_MIN_VOTES"] == "3"
    assert findings(database, acted) == []


def test_a_refused_act_and_a_dry_run_leave_no_event(database: Database, acted: Dataset) -> None:
    before = verify_events(database, acted.name)
    with pytest.raises(BadInputError):
        decide(database, "a", "relabel", label="no class", dataset_name=acted.name, **REVIEWER)
    exclude(database, acted.name, ["s2"], dry_run=True, **WHO)
    assert verify_events(database, acted.name) == before


@pytest.mark.parametrize("statement", ["UPDATE audit_events SET actor = 'eve'", "DELETE FROM audit_events"])
def test_the_database_refuses_to_change_or_delete_events(
    database: Database, acted: Dataset, statement: str
) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="never changed nor deleted"), database.write() as connection:
        connection.execute(sa.text(statement))
    assert findings(database, acted) == []


EVENT = "chain = '{chain}' AND sequence = {sequence}"


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (f"UPDATE audit_events SET actor = 'eve' WHERE {EVENT}", "was changed: its hash is another"),
        (f"UPDATE audit_events SET at = '2020-01-01T00:00:00.000000Z' WHERE {EVENT}", "was changed"),
        (f"UPDATE audit_events SET before = NULL WHERE {EVENT}", "was changed"),
        (f"DELETE FROM audit_events WHERE {EVENT}", "event 4 before it missing"),
        ("DELETE FROM audit_events WHERE chain = '{chain}' AND sequence > 4", "newest events are missing"),
        ("DELETE FROM audit_events WHERE chain = '{chain}'", "newest events are missing"),
        ("UPDATE audit_heads SET sha256 = 'x' WHERE chain = '{chain}'", "its head was changed"),
        ("UPDATE reviews SET reviewer = 'eve'", "says something else than its event"),
        ("UPDATE reviews SET label = 'z' WHERE decision = 'relabel'", "says something else than its event"),
        ("DELETE FROM withdrawals", "of withdrawals is missing"),
        ("UPDATE policies SET reason = 'none'", "says something else than its event"),
        ("UPDATE exclusions SET solver_id = 's3'", "says something else than its event"),
    ],
)
def test_what_was_tampered_with_is_found(
    database: Database, acted: Dataset, statement: str, found: str
) -> None:
    tamper(database, statement.format(chain=acted.dataset_id, sequence=4))
    assert any(found in what for what in findings(database, acted)), findings(database, acted)


def test_an_act_behind_the_audits_back_is_found(database: Database, acted: Dataset) -> None:
    tamper(
        database,
        "INSERT INTO reviews (item_id, decision, label, reviewer, reason, created_at) SELECT item_id,"
        " 'confirm', 'z', 'eve', 'no reason', created_at FROM items WHERE dataset_id ="
        f" '{acted.dataset_id}'",
    )
    (finding,) = findings(database, acted)
    assert finding.endswith("of reviews has no event")


def test_a_chain_that_was_forged_as_a_whole_lacks_the_head_that_was_noted(
    database: Database, acted: Dataset
) -> None:
    noted = verify_events(database, acted.name).heads
    assert verify_events(database, acted.name, noted).findings == []
    set_policy(database, acted.name, {"REVALIDATION_MIN_VOTES": "4"}, actor="a", reason="later")
    assert verify_events(database, acted.name, noted).findings == []
    wrong = {acted.name: "0" * 63 + "1"}
    assert "no event has the hash" in verify_events(database, acted.name, wrong).findings[0].what


def test_events_of_no_dataset_that_are_written_at_once_make_one_chain(database: Database) -> None:
    def sign_in(number: int) -> None:
        with database.write() as connection:
            record_event(connection, INSTANCE, Act(f"u{number}", "user.sign_in", f"user u{number}", ""))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(sign_in, range(40)))
    done = verify_events(database)
    assert done.findings == []
    with database.read() as connection:
        rows = [event for event in events_of(connection) if event["chain"] == INSTANCE]
    assert sorted(row["actor"] for row in rows[1:]) == sorted(f"u{number}" for number in range(40))


def test_what_was_done_before_there_were_events_needs_none(database: Database) -> None:
    dataset = create_dataset(database, "old", Policy())
    tamper(
        database,
        f"DELETE FROM audit_events WHERE chain = '{dataset.dataset_id}'",
        f"DELETE FROM audit_heads WHERE chain = '{dataset.dataset_id}'",
    )
    set_policy(database, "old", {"REVALIDATION_MIN_VOTES": "4"}, actor="a", reason="r")
    assert findings(database, dataset) == []
