"""Under adaptive graduation a change of classes waits for a calibration that knows the new ones."""

import numpy as np
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.classes import merge_classes, rename_class
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.foresight.simulate import simulate
from hiveguard_pipeline.quality.calibration import calibrate_dataset, ensure_calibrated
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.backlog import Position, look
from hiveguard_pipeline.store.calibrations import newest_calibration
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, get_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from tests.store.voting import add_items

WHO = {"actor": "lead", "reason": "a test"}
CLASSES = ("a", "b", "c")


def _vote(
    database: Database, dataset: Dataset, truth: dict[str, str], names: tuple[str, ...], seed: int
) -> None:
    """Six people answer each item, by the names given; one in six answers is wrong."""
    random = np.random.default_rng(seed)
    rows = []
    for name, true in truth.items():
        item = t.item_uuid(dataset.name, name)
        for solver in range(6):
            answer = true if random.random() > 1 / 6 else CLASSES[random.integers(3)]
            given = names[CLASSES.index(answer)]
            rows.append({"item_id": item, "solver_id": f"s{seed}-{solver}", "answer": given})
    with database.write() as connection:
        connection.execute(t.votes.insert(), rows)


@pytest.fixture
def adaptive(database: Database) -> Dataset:
    """Sixty items of three classes, twenty of them gold, with votes that were applied by probability."""
    dataset = create_dataset(database, "pets", Policy(graduation="adaptive"), classes=CLASSES)
    truth = {f"i{number}": CLASSES[number % 3] for number in range(60)}
    for gold in CLASSES:
        add_items(database, dataset, [name for name in list(truth)[:20] if truth[name] == gold], gold)
    add_items(database, dataset, list(truth)[20:])
    _vote(database, dataset, truth, CLASSES, 1)
    calibrate_dataset(database, dataset.name)
    assert apply_votes(database, dataset.name, run_id="one").votes_applied
    return dataset


def test_a_run_wants_a_calibration_of_the_new_classes_and_the_ledger_replays(
    database: Database, adaptive: Dataset
) -> None:
    merge_classes(database, "pets", ["a", "b"], "ab", **WHO)
    with database.read() as connection:
        now = get_dataset(connection, "pets")
        assert newest_calibration(connection, now) is None
        with pytest.raises(BadInputError, match="hiveguard quality calibrate --dataset pets"):
            simulate(connection, now, {"ADAPTIVE_MIN_VOTES": "4"})
    add_items(database, adaptive, ["new"])
    _vote(database, adaptive, {"new": "a"}, CLASSES, 2)
    with pytest.raises(BadInputError, match="hiveguard quality calibrate --dataset pets"):
        apply_votes(database, "pets", run_id="two")
    assert "pets" in look(database, Position()).position.due  # the run that it asks for calibrates first
    ensure_calibrated(database, "pets")
    done = apply_votes(database, "pets", run_id="two")
    assert done.votes_applied
    with database.read() as connection:
        recorded = newest_calibration(connection, now)
        labels = set(
            connection.execute(sa.select(t.labels.c.label).where(t.labels.c.label.is_not(None))).scalars()
        )
    assert recorded is not None
    assert recorded.calibration_id == 2
    assert labels == {"ab", "c"}
    assert verify(database, "pets").findings == []


def test_a_row_that_a_calibration_of_other_classes_decided_is_found(
    database: Database, adaptive: Dataset
) -> None:
    rename_class(database, "pets", "c", "C", **WHO)
    ensure_calibrated(database, "pets")
    assert verify(database, "pets").findings == []
    with database.write() as connection:
        connection.execute(sa.text("UPDATE calibrations SET schema_version = 2 WHERE calibration_id = 1"))
    reasons = {finding.reason for finding in verify(database, "pets").findings}
    assert reasons == {"was decided by a calibration of other classes than its own"}
