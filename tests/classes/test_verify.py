"""The ledger is replayed under the classes of each row's time, and what was tampered with is found."""

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.classes import add_classes, merge_classes, rename_class
from hiveguard_pipeline.review import correct, undo
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from tests.store.voting import add_items, cast, letters

WHO = {"actor": "lead", "reason": "a test"}
REVIEWER = {"reviewer": "ann", "reason": "looked at it"}


@pytest.fixture
def honest(database: Database) -> Dataset:
    """Item `i` has rows of three eras: a first pass for a, a batch for cat, one for animal; `j` decisions."""
    dataset = create_dataset(database, "pets", Policy(), classes=tuple("abc"))
    add_items(database, dataset, "ij")
    cast(database, dataset, letters("i", "aab") + letters("j", "ccc"))
    apply_votes(database, dataset.name, run_id="one")
    correct(database, "j", "b", dataset_name=dataset.name, **REVIEWER)
    rename_class(database, dataset.name, "a", "cat", **WHO)
    cast(database, dataset, letters("i", "abc"))
    apply_votes(database, dataset.name, run_id="two")
    merge_classes(database, dataset.name, ["cat", "b"], "animal", **WHO)
    undo(database, "j", dataset_name=dataset.name, **REVIEWER)
    add_classes(database, dataset.name, ["d"], **WHO)
    cast(database, dataset, letters("i", "abc"))
    apply_votes(database, dataset.name, run_id="three")
    assert verify(database, dataset.name).findings == []
    return dataset


def test_each_row_counts_its_votes_under_the_classes_of_its_time(database: Database, honest: Dataset) -> None:
    with database.read() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT b.label, b.agree, b.disagree FROM batches b JOIN items i ON i.item_id = b.item_id"
                " WHERE i.external_id = 'i' ORDER BY b.batch_id"
            )
        ).all()
        revisions = connection.execute(
            sa.text(
                "SELECT i.external_id, r.label, r.source, r.schema_version FROM label_revisions r"
                " JOIN items i ON i.item_id = r.item_id ORDER BY i.external_id, r.revision"
            )
        ).all()
    assert [tuple(row) for row in rows] == [("a", 2, 1), ("cat", 1, 2), ("animal", 2, 1)]
    assert [tuple(row) for row in revisions] == [
        ("i", "a", "votes", 1),
        ("j", "c", "votes", 1),
        ("j", "b", "relabel", 1),
        ("j", "c", "undo", 3),
    ]


ITEM = "(SELECT item_id FROM items WHERE external_id = 'i')"
ROW = f"(SELECT batch_id FROM batches WHERE item_id = {ITEM} ORDER BY batch_id LIMIT 1 OFFSET {{}})"
PETS = "(SELECT dataset_id FROM datasets WHERE name = 'pets')"
TAMPERED = {
    "a label by its former name": f"UPDATE labels SET label = 'cat' WHERE item_id = {ITEM}",
    "a row of an old era under the name of now": "UPDATE batches SET label = 'animal'"
    f" WHERE batch_id = {ROW.format(0)}",
    "a row of now under a former name": f"UPDATE batches SET label = 'cat' WHERE batch_id = {ROW.format(2)}",
    "counts as they were before the merge": "UPDATE batches SET agree = 1, disagree = 2"
    f" WHERE batch_id = {ROW.format(2)}",
    "an answer": "UPDATE votes SET answer = 'c' WHERE vote_id = (SELECT min(vote_id) FROM votes)",
    "a decision under another name": "UPDATE reviews SET label = 'animal' WHERE decision = 'relabel'",
    "an undo under another name": "UPDATE reviews SET label = 'animal' WHERE decision = 'undo'",
    "what a change maps": 'UPDATE schema_versions SET class_map = \'{"cat": "animal"}\' WHERE version = 3',
    "a change that maps nothing": "UPDATE schema_versions SET class_map = NULL WHERE version = 2",
    "where a version begins": f"UPDATE schema_versions SET ledger_position = {ROW.format(1)} - 4"
    " WHERE version = 3",
    "a version gone": "DELETE FROM schema_versions WHERE version = 3",
    "the map": "UPDATE class_map SET label = 'c' WHERE answer = 'a'",
    "the map gone": "DELETE FROM class_map WHERE answer = 'b'",
    "a name that was never mapped": "INSERT INTO class_map (dataset_id, answer, label)"
    f" VALUES ({PETS}, 'c', 'animal')",
    "the classes": "UPDATE datasets SET classes = '[\"animal\", \"c\"]' WHERE name = 'pets'",
}


@pytest.mark.parametrize("what", TAMPERED)
def test_whatever_was_tampered_with_is_found(database: Database, honest: Dataset, what: str) -> None:
    with database.write() as connection:
        assert connection.execute(sa.text(TAMPERED[what])).rowcount == 1
    assert verify(database, honest.name).findings
