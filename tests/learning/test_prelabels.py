"""Proposals: never votes, blind ones for nobody, gone with the label; and how far reviewers follow them."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.learning.anchoring import anchoring
from hiveguard_pipeline.learning.judgement import interval_of_share
from hiveguard_pipeline.learning.prelabels import is_blind, prelabel
from hiveguard_pipeline.learning.settings import set_active_settings
from hiveguard_pipeline.learning.training import train_weak_model
from hiveguard_pipeline.review import decide, list_flagged, undo
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import funnel
from tests.learning.world import CLASSES, again, label, named, rows_of, text_dataset
from tests.store.voting import cast, letters

TOTAL, LABELLED = 140, 60


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "models")


@pytest.fixture
def trained(database: Database, root: str) -> tuple[Database, Dataset, list[str], str]:
    """A dataset with a model, whose other items have no label."""
    dataset, labels = text_dataset(database, TOTAL)
    label(database, dataset, named(labels, range(LABELLED)))
    train_weak_model(database, "topics", root)
    return database, dataset, labels, root


def ledger(database: Database) -> Any:
    """Everything that proposals must leave as it is."""
    return [rows_of(database, table) for table in (t.votes, t.labels, t.batches, t.reviews)]


def test_a_proposal_is_never_a_vote(trained: Any) -> None:
    database, dataset, _, root = trained
    before = ledger(database)
    with database.read() as connection:
        states = funnel(connection, dataset)
    assert prelabel(database, "topics", root).proposals == TOTAL - LABELLED
    apply_votes(database, "topics", run_id="after")
    assert ledger(database) == before
    with database.read() as connection:
        assert funnel(connection, dataset) == states
    assert verify(database, "topics").findings == []


def test_proposals_are_replaced_and_gone_with_the_label(trained: Any) -> None:
    database, dataset, labels, root = trained
    prelabel(database, "topics", root)
    first = {row["item_id"]: row for row in rows_of(database, t.prelabels)}
    label(database, dataset, named(labels, range(LABELLED, LABELLED + 30)))
    model = train_weak_model(database, "topics", root)
    done = prelabel(database, "topics", root)
    now = rows_of(database, t.prelabels)
    assert done.proposals == len(now) == TOTAL - LABELLED - 30
    assert {row["model_id"] for row in now} == {model.model_id}
    assert {row["item_id"] for row in now} < set(first)
    assert all(row["blind"] == first[row["item_id"]]["blind"] for row in now)
    assert all(row["answer"] in CLASSES and ONE // 3 <= row["probability"] <= ONE for row in now)


def test_who_is_blind_hangs_on_the_item_alone_and_a_larger_share_keeps_the_smaller(trained: Any) -> None:
    import numpy as np
    import pyarrow as pa

    database, dataset, _, root = trained
    set_active_settings(database, "topics", {"blind_share": "0.3"})
    done = prelabel(database, "topics", root)
    rows = rows_of(database, t.prelabels)
    ids = pa.array([row["item_id"] for row in rows])
    small, large = (is_blind(dataset, ids, share) for share in (ONE // 10, 3 * ONE // 10))
    np.testing.assert_array_equal(large, [row["blind"] for row in rows])
    assert done.blind == large.sum() > small.sum() > 0
    assert (large | ~small).all()
    assert not is_blind(dataset, ids, 0).any()
    assert is_blind(dataset, ids, ONE).all()


def test_without_features_there_is_no_proposal_and_a_reason(trained: Any) -> None:
    database, _, _, root = trained
    rows = rows_of(database, t.items)
    with database.write() as connection:
        last = next(row["item_id"] for row in rows if row["external_id"] == f"t{TOTAL - 1}")
        connection.execute(sa.delete(t.item_details).where(t.item_details.c.item_id == last))
    done = prelabel(database, "topics", root)
    assert done.without == {"no_text": 1}
    assert done.proposals == TOTAL - LABELLED - 1


@pytest.fixture
def reviewed(trained: Any) -> Any:
    """Items on which people disagree, with proposals: half of them blind."""
    database, dataset, labels, root = trained
    set_policy(
        database,
        "topics",
        {"CONSENSUS_THRESHOLD": "2", "REVALIDATION_MIN_TOTAL_VOTES": "2"},
        actor="a",
        reason="r",
    )
    set_active_settings(database, "topics", {"blind_share": "0.5"})
    flagged = [f"t{number}" for number in range(LABELLED, LABELLED + 40)]
    cast(database, dataset, [vote for name in flagged for vote in [(name, "sport"), (name, "food")]])
    apply_votes(database, "topics", run_id="run")
    prelabel(database, "topics", root)
    return database, dataset, labels, root


def test_reviewers_see_proposals_but_the_blind_ones(reviewed: Any) -> None:
    database, dataset, _, _ = reviewed
    proposals = {row["item_id"]: row for row in rows_of(database, t.prelabels)}
    with database.read() as connection:
        flagged = list_flagged(connection, dataset)
    assert len(flagged) == 40
    shown = [item for item in flagged if item.proposal is not None]
    assert 5 < len(shown) < 35
    for item in flagged:
        row = proposals[item.item_id]
        seen = (None, None) if row["blind"] else (row["answer"], row["probability"])
        assert (item.proposal, item.proposal_probability) == seen


def test_the_report_counts_follows_of_shown_and_blind_proposals_right_and_wrong(reviewed: Any) -> None:
    database, dataset, _, root = reviewed
    with database.read() as connection:
        flagged = list_flagged(connection, dataset)
    proposals = {row["item_id"]: row for row in rows_of(database, t.prelabels)}
    expected: dict[tuple[bool, str], list[int]] = {}
    gold: dict[str, str] = {}
    for position, item in enumerate(flagged[:30]):
        row = proposals[item.item_id]
        follows = position % 3 > 0
        other = next(name for name in CLASSES if name != row["answer"])
        answer = row["answer"] if follows else other
        made = decide(database, item.item_id, "relabel", label=answer, reviewer="r", reason="r")
        assert made.state == "in_revalidation"
        if position % 5 == 0:
            kind = "not known"
        else:
            kind = "right" if position % 2 else "wrong"
            gold[item.item_id] = row["answer"] if kind == "right" else other
        for group in (kind, "all"):
            entry = expected.setdefault((not row["blind"], group), [0, 0])
            entry[0] += 1
            entry[1] += follows
    undone = flagged[30]
    decide(
        database,
        undone.item_id,
        "relabel",
        label=proposals[undone.item_id]["answer"],
        reviewer="r",
        reason="r",
    )
    undo(database, undone.item_id, reviewer="r", reason="r")
    with database.write() as connection:
        for item_id, answer in gold.items():
            connection.execute(
                sa.update(t.items).where(t.items.c.item_id == item_id).values(gold_label=answer)
            )
    prelabel(database, "topics", root)  # what was decided on stays as evidence
    with database.read() as connection:
        found = anchoring(connection, again(database, dataset))
    assert {
        (entry.shown, entry.proposal): [entry.decisions, entry.followed] for entry in found if entry.decisions
    } == expected
    for entry in found:
        if entry.decisions:
            assert entry.share == entry.followed / entry.decisions
            assert (entry.low, entry.high) == interval_of_share(entry.followed, entry.decisions)
        else:
            assert (entry.share, entry.low, entry.high) == (None, None, None)


def test_a_label_that_graduates_tells_whether_the_proposal_was_right(reviewed: Any) -> None:
    database, dataset, _, _ = reviewed
    with database.read() as connection:
        item = next(item for item in list_flagged(connection, dataset) if item.proposal is not None)
    decide(database, item.item_id, "relabel", label=item.proposal, reviewer="r", reason="r")
    with database.read() as connection:
        known = {(e.shown, e.proposal): e.decisions for e in anchoring(connection, dataset)}
    assert known[True, "not known"] == 1
    cast(database, dataset, letters(item.external_id, [item.proposal] * 9))  # type: ignore[arg-type]
    apply_votes(database, "topics", run_id="run")
    with database.read() as connection:
        known = {(e.shown, e.proposal): e.followed for e in anchoring(connection, dataset)}
    assert known[True, "right"] == 1
