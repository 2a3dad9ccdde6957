"""A solver's votes go out and come back: what is recounted, what people decided, what is refused."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import explain, verify
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.intake import import_votes
from hiveguard_pipeline.pool import sample
from hiveguard_pipeline.retraction import ExportChange, LabelChange, StateChange, exclude, restore
from hiveguard_pipeline.review import correct, decide, list_flagged, undo
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.backlog import Position, look
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, get_dataset
from hiveguard_pipeline.store.exclusions import list_exclusions
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import ItemStatus, find_item, vote_counts
from tests.retraction.world import REVIEWER, WHO, contents, new_dataset, put
from tests.store.voting import add_items, ledger_of, standing, states


def voted(database: Database, answers: dict[str, str]) -> Dataset:
    """A dataset in which the solvers s0, s1, ... gave these answers, a letter each, to these items; run."""
    dataset = new_dataset(database)
    add_items(database, dataset, answers)
    for name, given in answers.items():
        more(database, dataset, name, given)
    apply_votes(database, dataset.name, run_id="run")
    return dataset


def more(database: Database, dataset: Dataset, name: str, answers: str, first: int = 0) -> None:
    votes = [(name, f"s{number}", answer) for number, answer in enumerate(answers, start=first)]
    put(database, dataset, votes)


def now(database: Database, dataset: Dataset, name: str = "a") -> ItemStatus:
    """An item as it stands; the ledger must bear it out and every vote be accounted for."""
    assert verify(database, dataset.name).findings == []
    with database.read() as connection:
        counts = vote_counts(connection, dataset)
        assert counts["received"] == counts["applied"] + counts["unprocessed"] + counts["excluded"]
        return find_item(connection, name, dataset.name)


def stands(item: ItemStatus) -> tuple[object, ...]:
    return item.label, item.confidence, item.state, item.vote_count, item.revalidation_vote_count


def by_name(database: Database, dataset: Dataset) -> dict[str, tuple[object, ...]]:
    """Labels as they may be compared with those of other votes: without ids."""
    with database.read() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT external_id, label, confidence, state, vote_count, revalidation_vote_count,"
                " revalidation_epochs, labelled_at FROM item_status WHERE dataset_id = :dataset"
            ),
            {"dataset": dataset.dataset_id},
        )
        return {row.external_id: tuple(row)[1:] for row in rows}


@pytest.mark.parametrize("name", ["s4_dog", "cf_amt"])
def test_real_votes_without_a_solver_are_as_if_they_had_never_come_and_restored_as_before(
    database: Database, shared_votes: Path, tmp_path: Path, name: str
) -> None:
    lines = (shared_votes / name / "votes.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    busiest = sorted({row[1] for row in rows}, key=lambda solver: -sum(row[1] == solver for row in rows))[:3]
    files = {
        "all": lines,
        "without": [lines[0], *(line for line in lines[1:] if line.split(",")[1] not in busiest)],
    }
    for which, kept in files.items():
        (tmp_path / which).write_text("\n".join(kept) + "\n")
        create_dataset(database, which, Policy())
        import_votes(database, which, tmp_path / which, create_items=True)
        # Times of votes are those of the import: the same for both.
        with database.write() as connection:
            connection.execute(sa.text("UPDATE votes SET created_at = '2026-11-20T12:00:00.000000Z'"))
        apply_votes(database, which, run_id="run")
    with database.read() as connection:
        whole, without = (get_dataset(connection, which) for which in ("all", "without"))
    before = by_name(database, whole)
    done = exclude(database, "all", busiest, **WHO)
    assert verify(database, "all").findings == []
    expected = by_name(database, without)
    assert {name: row for name, row in by_name(database, whole).items() if row[0] is not None} == {
        name: row for name, row in expected.items() if row[0] is not None
    }
    assert done.recounted > 100
    assert done.finalized.changed > 0
    assert done.labels.changed + done.labels.withdrawn > 0
    back = restore(database, "all", busiest, **WHO)
    assert by_name(database, whole) == before
    assert verify(database, "all").findings == []
    assert (back.labels.gained, back.labels.changed) == (done.labels.withdrawn, done.labels.changed)
    assert (back.finalized.gained, back.finalized.lost) == (done.finalized.lost, done.finalized.gained)


def test_an_item_is_recounted_in_a_new_generation_and_the_old_one_is_kept(database: Database) -> None:
    dataset = voted(database, {"a": "yxxxxxx", "b": "xxx"})
    old = ledger_of(database, dataset)
    done = exclude(database, dataset.name, ["s0"], **WHO)
    assert (done.votes, done.items, done.recounted) == (2, 2, 2)
    item = now(database, dataset)
    assert stands(item) == ("x", 1_000_000, "in_revalidation", 3, 3)
    assert item.generation == 2
    ledger = ledger_of(database, dataset)
    assert ledger["a"][: len(old["a"])] == old["a"]
    assert [row[1] for row in ledger["a"]] == [1, 1, 2, 2]
    with database.read() as connection:
        explained = explain(connection, "a", dataset.name)
    assert [vote["excluded"] for vote in explained.votes] == [True] + [False] * 6
    assert [vote["processed"] for vote in explained.votes] == [False] + [True] * 6
    assert explained.votes[0]["batch_id"] is None
    with database.read() as connection:
        (exclusion,) = list_exclusions(connection, dataset)
    assert [row["run_id"] for row in explained.batches] == ["run"] * 2 + [
        f"exclusion-{exclusion.exclusion_id}"
    ] * 2


def test_a_label_that_too_few_votes_carry_is_withdrawn_and_comes_back(database: Database) -> None:
    dataset = voted(database, {"a": "xxx", "b": "xxxxxx"})
    before = by_name(database, dataset)
    done = exclude(database, dataset.name, ["s1"], **WHO)
    assert done.labels == LabelChange(changed=0, withdrawn=1, gained=0)
    assert done.states == (StateChange("in_revalidation", "unlabeled", 1),)
    assert done.finalized == ExportChange(lost=1, gained=0, changed=1)
    item = now(database, dataset)
    assert (*stands(item), item.generation) == (None, None, "unlabeled", 0, 0, 2)
    back = restore(database, dataset.name, ["s1"], **WHO)
    assert back.labels == LabelChange(changed=0, withdrawn=0, gained=1)
    assert back.states == (StateChange("unlabeled", "in_revalidation", 1),)
    now(database, dataset)
    assert by_name(database, dataset) == before


def test_votes_of_an_excluded_solver_that_come_later_count_nowhere(database: Database) -> None:
    dataset = voted(database, {"a": "xxx", "b": "xy"})
    exclude(database, dataset.name, ["s0"], **WHO)
    put(database, dataset, [("b", "s9", "y")])
    exclude(database, dataset.name, ["s9"], **WHO)
    add_items(database, dataset, "c")
    position = look(database, Position()).position
    put(database, dataset, [("c", "s0", "x"), ("c", "s9", "x"), ("c", "s3", "x")])
    seen = look(database, position)
    assert seen.position.due == {}
    done = apply_votes(database, dataset.name, run_id="run")
    assert done.votes_applied == 0
    assert states(database, dataset)["c"] == "unlabeled"
    with database.read() as connection:
        counts = vote_counts(connection, dataset)
        drawn = {item.external_id: item.votes for item in sample(connection, dataset, 5)}
    assert counts == {"received": 9, "applied": 0, "unprocessed": 4, "quarantined": 0, "excluded": 5}
    assert drawn == {"a": 2, "b": 1, "c": 1}
    assert now(database, dataset, "c").label is None


def test_a_vote_that_only_waited_may_settle_an_item_by_going(database: Database) -> None:
    tied = voted(database, {"a": "xyzx"})
    assert now(database, tied).state == "unlabeled"
    done = exclude(database, tied.name, ["s1"], **WHO)
    item = now(database, tied)
    assert (done.recounted, done.labels.gained) == (0, 1)
    assert (*stands(item), item.generation) == ("x", 666_667, "in_revalidation", 3, 0, 1)


def test_a_graduated_label_may_lose_its_votes_and_its_place_in_the_export(database: Database) -> None:
    dataset = voted(database, {"a": "x" * 15})
    done = exclude(database, dataset.name, ["s4", "s5"], **WHO)
    assert done.graduated == ExportChange(lost=1, gained=0, changed=0)
    assert done.finalized == ExportChange(lost=0, gained=0, changed=1)
    assert now(database, dataset).state == "in_revalidation"
    assert restore(database, dataset.name, ["s4"], **WHO).graduated.gained == 0
    assert restore(database, dataset.name, ["s5"], **WHO).graduated.gained == 1
    assert now(database, dataset).revalidation_epochs == 1


def test_a_dry_run_says_the_same_and_changes_nothing(database: Database) -> None:
    dataset = voted(database, {"a": "yxxxxxx", "b": "xxx"})
    before = contents(database)
    tried = exclude(database, dataset.name, ["s0", "s1"], dry_run=True, **WHO)
    assert contents(database) == before
    done = exclude(database, dataset.name, ["s0", "s1"], **WHO)
    assert (tried.labels, tried.states, tried.finalized) == (done.labels, done.states, done.finalized)
    assert tried.dry_run
    before = contents(database)
    assert restore(database, dataset.name, ["s0"], dry_run=True, **WHO).recounted == 1
    assert contents(database) == before


def test_what_cannot_be_is_refused_with_nothing_changed(database: Database) -> None:
    dataset = voted(database, {"a": "xxx"})
    other = voted(database, {"a": "x" * 20})
    exclude(database, dataset.name, ["s0"], **WHO)
    before = contents(database)
    for act, solvers, said in (
        (exclude, ["s1", "s0"], "solver s0 is excluded from .* already .*by lead"),
        (exclude, ["s1", "nobody"], "solver nobody has no vote in"),
        (exclude, ["s19"], "solver s19 has no vote in"),
        (restore, ["s1"], "solver s1 is not excluded"),
        (restore, ["s0", "nobody"], "solver nobody is not excluded"),
        (exclude, [], "a solver is wanted"),
    ):
        with pytest.raises(BadInputError, match=said):
            act(database, dataset.name, solvers, **WHO)
    for who in ({"actor": " ", "reason": "r"}, {"actor": "a", "reason": ""}):
        with pytest.raises(BadInputError, match="must not be empty"):
            exclude(database, dataset.name, ["s1"], **who)
    with pytest.raises(BadInputError, match="no dataset"):
        exclude(database, "nothing", ["s1"], **WHO)
    assert contents(database) == before
    exclude(database, other.name, ["s0"], **WHO)


def test_the_record_says_who_took_votes_out_and_who_brought_them_back(database: Database) -> None:
    dataset = voted(database, {"a": "xxxx"})
    exclude(database, dataset.name, ["s0", "s1", "s0"], actor="ann", reason="too fast")
    restore(database, dataset.name, ["s1"], actor="bob", reason="a slow link")
    exclude(database, dataset.name, ["s1"], actor="cy", reason="a bot")
    with database.read() as connection:
        active = list_exclusions(connection, dataset)
        everything = list_exclusions(connection, dataset, former=True)
    assert [(row.solver_id, row.actor, row.restored_by) for row in active] == [
        ("s0", "ann", None),
        ("s1", "cy", None),
    ]
    assert [(row.solver_id, row.actor, row.restored_by, row.restored_reason) for row in everything] == [
        ("s0", "ann", None, None),
        ("s1", "ann", "bob", "a slow link"),
        ("s1", "cy", None, None),
    ]


def flagged(database: Database) -> Dataset:
    """Item `a`: xxy, then a batch of yyy that flags it; xxxx wait."""
    dataset = voted(database, {"a": "xxyyyy"})
    more(database, dataset, "a", "xxxx", first=6)
    return dataset


@pytest.mark.parametrize(
    ("decision", "opening", "expected", "restored"),
    [
        (
            "confirm",
            (1, 3, "x", None, 600_000, "in_revalidation"),
            ("x", 750_000, "in_revalidation", 4, 3),
            ("x", 750_000, "in_revalidation", 6, 3),
        ),
        (
            "relabel",
            (3, 1, "y", None, 750_000, "in_revalidation"),
            ("y", 600_000, "in_revalidation", 4, 3),
            ("y", 516_667, "needs_review", 6, 3),
        ),
        (
            "discard",
            (1, 3, "x", None, 600_000, "discarded"),
            ("x", 600_000, "discarded", 4, 0),
            ("x", 600_000, "discarded", 6, 0),
        ),
    ],
)
def test_what_a_person_decided_opens_the_new_generation(
    database: Database,
    decision: str,
    opening: tuple[object, ...],
    expected: tuple[object, ...],
    restored: tuple[object, ...],
) -> None:
    dataset = flagged(database)
    decide(database, "a", decision, label="y", dataset_name=dataset.name, **REVIEWER)
    exclude(database, dataset.name, ["s0", "s3"], **WHO)
    assert stands(now(database, dataset)) == expected
    row = next(row for row in ledger_of(database, dataset)["a"] if row[1] == 2)
    assert (row[2], *row[5:]) == ("review", *opening)
    restore(database, dataset.name, ["s0", "s3"], **WHO)
    assert stands(now(database, dataset)) == restored


def test_a_decision_of_which_no_vote_is_left_stands_at_the_floor(database: Database) -> None:
    dataset = flagged(database)
    decide(database, "a", "relabel", label="z", dataset_name=dataset.name, **REVIEWER)
    exclude(database, dataset.name, [f"s{number}" for number in range(10)], **WHO)
    item = now(database, dataset)
    assert stands(item) == ("z", 600_000, "in_revalidation", 0, 0)
    with database.read() as connection:
        times = connection.execute(
            sa.text("SELECT l.created_at, r.created_at FROM labels l JOIN reviews r ON r.item_id = l.item_id")
        ).one()
    assert times[0] == times[1]
    restore(database, dataset.name, ["s1"], **WHO)
    assert now(database, dataset).vote_count == 1


def test_undo_of_a_decision_that_a_recount_restated_counts_the_item_without_it(database: Database) -> None:
    dataset = voted(database, {"a": "xxyyyy"})
    decide(database, "a", "relabel", label="y", dataset_name=dataset.name, **REVIEWER)
    correct(database, "a", "z", dataset_name=dataset.name, **REVIEWER)
    exclude(database, dataset.name, ["s0"], **WHO)
    assert stands(now(database, dataset)) == ("z", 600_000, "in_revalidation", 5, 0)
    done = undo(database, "a", dataset_name=dataset.name, **REVIEWER)
    assert (done.label, done.confidence, done.state) == ("y", 800_000, "in_revalidation")
    assert now(database, dataset).generation == 3
    done = undo(database, "a", dataset_name=dataset.name, **REVIEWER)
    # From the first vote: xyy, and two votes that fill no batch.
    assert (done.label, done.confidence, done.state, done.waiting_votes) == (
        "y",
        666_667,
        "in_revalidation",
        2,
    )
    assert now(database, dataset).generation == 4
    with pytest.raises(BadInputError, match="no decision"):
        undo(database, "a", dataset_name=dataset.name, **REVIEWER)


def test_undo_of_a_restated_decision_is_refused_once_a_batch_has_followed(database: Database) -> None:
    dataset = flagged(database)
    decide(database, "a", "confirm", dataset_name=dataset.name, **REVIEWER)
    exclude(database, dataset.name, ["s0"], **WHO)
    with pytest.raises(BadInputError, match="votes were applied after it"):
        undo(database, "a", dataset_name=dataset.name, **REVIEWER)
    now(database, dataset)


def test_the_review_queue_and_decisions_count_the_votes_that_count(database: Database) -> None:
    dataset = voted(database, {"a": "xyz" * 5, "b": "xyz" * 5, "f": "xxyyyyxx"})
    exclude(database, dataset.name, ["s13", "s14", "s7"], **WHO)
    with database.read() as connection:
        queue = {item.external_id: item.waiting_votes for item in list_flagged(connection, dataset)}
    assert queue == {"f": 1}
    with pytest.raises(BadInputError, match="unlabeled"):
        decide(database, "a", "relabel", label="x", dataset_name=dataset.name, **REVIEWER)
    correct(database, "a", "x", dataset_name=dataset.name, **REVIEWER)
    assert stands(now(database, dataset)) == ("x", 600_000, "in_revalidation", 12, 0)


def test_a_gold_item_is_recounted_as_far_as_it_was_counted_and_stays_gold(database: Database) -> None:
    dataset = voted(database, {"a": "xxxxxx"})
    with database.write() as connection:
        connection.execute(sa.text("UPDATE items SET gold_label = 'x'"))
        connection.execute(sa.text("UPDATE labels SET state = 'gold', needs_review = false"))
    more(database, dataset, "a", "xxxxxx", first=6)
    before = stands(now(database, dataset))
    done = exclude(database, dataset.name, ["s0"], **WHO)
    assert (done.labels, done.finalized) == (LabelChange(0, 0, 0), ExportChange(0, 0, 0))
    assert stands(now(database, dataset)) == ("x", 1_000_000, "gold", 3, 0)
    restore(database, dataset.name, ["s0"], **WHO)
    assert stands(now(database, dataset)) == before


TAMPERING = {
    "an exclusion gone": "DELETE FROM exclusions",
    "an exclusion of another": "UPDATE exclusions SET solver_id = 's1'",
    "an exclusion more": "INSERT INTO exclusions (solver_id, dataset_id, reason, actor, created_at)"
    " SELECT 's5', dataset_id, reason, actor, created_at FROM exclusions",
    "no opening": "DELETE FROM batches WHERE generation = 2 AND kind = 'review'",
    "opened by another decision": "UPDATE batches SET review_id = (SELECT min(review_id) FROM reviews)"
    " WHERE generation = 2 AND kind = 'review'",
    "opened with fewer votes": "UPDATE batches SET last_vote_id = last_vote_id - 1, disagree = disagree - 1"
    " WHERE generation = 2 AND kind = 'review'",
    "opened at another confidence": "UPDATE batches SET confidence_after = 700000"
    " WHERE generation = 2 AND kind = 'review'",
    "opened in another state": "UPDATE batches SET state_after = 'discarded'"
    " WHERE generation = 2 AND kind = 'review'",
    "the first row of the decision gone": "DELETE FROM batches WHERE generation = 1"
    " AND review_id = (SELECT max(review_id) FROM reviews)",
}


@pytest.mark.parametrize("what", TAMPERING)
def test_whatever_was_tampered_with_is_found(database: Database, what: str) -> None:
    dataset = voted(database, {"a": "xxyyyy"})
    decide(database, "a", "relabel", label="y", dataset_name=dataset.name, **REVIEWER)
    correct(database, "a", "x", dataset_name=dataset.name, **REVIEWER)
    exclude(database, dataset.name, ["s3"], **WHO)
    assert verify(database, dataset.name).findings == []
    with database.write() as connection:
        assert connection.execute(sa.text(TAMPERING[what])).rowcount > 0
    assert verify(database, dataset.name).findings


def test_another_dataset_is_left_alone(database: Database) -> None:
    one, other = voted(database, {"a": "xxx"}), voted(database, {"a": "xxx"})
    before = standing(database, other)
    exclude(database, one.name, ["s0"], **WHO)
    assert standing(database, other) == before
    assert now(database, other).label == "x"
