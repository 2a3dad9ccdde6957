"""Classes change by an explicit map: labels and future answers follow, history stays."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import explain, verify
from hiveguard_pipeline.classes import (
    add_classes,
    list_classes,
    merge_classes,
    remove_class,
    rename_class,
)
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.intake import import_items, import_votes
from hiveguard_pipeline.review import correct, decide, undo
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.backlog import Position, look
from hiveguard_pipeline.store.crowd import read_crowd
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, get_dataset, list_datasets
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema_versions import class_map_of, schema_history
from hiveguard_pipeline.store.status import find_item
from tests.retraction.world import contents
from tests.store.voting import add_items, cast, letters

WHO = {"actor": "lead", "reason": "a test"}
REVIEWER = {"reviewer": "ann", "reason": "looked at it"}
HISTORY = (t.votes, t.batches, t.reviews, t.quarantined_votes, t.imports)


@pytest.fixture
def pets(database: Database) -> Dataset:
    """Classes a to d; `one` is an a by 3:0 and a batch, `split` has one vote for each of a, b and c."""
    dataset = create_dataset(database, "pets", Policy(), classes=tuple("abcd"))
    add_items(database, dataset, ["one", "two", "split"])
    add_items(database, dataset, ["true"], gold="a")
    cast(database, dataset, letters("one", "aaa" + "aba"))
    cast(database, dataset, letters("two", "bbb"))
    cast(database, dataset, letters("split", "abc"))
    apply_votes(database, dataset.name, run_id="r")
    return dataset


def label(database: Database, name: str) -> tuple[str | None, str]:
    with database.read() as connection:
        found = find_item(connection, name, "pets")
    return found.label, found.state


def history(database: Database) -> list[Any]:
    with database.read() as connection:
        return [connection.execute(sa.select(table).order_by(*table.primary_key)).all() for table in HISTORY]


def test_a_new_name_is_that_of_labels_and_gold_and_the_history_stays(
    database: Database, pets: Dataset
) -> None:
    before = history(database)
    done = rename_class(database, "pets", "a", "cat", **WHO)
    assert (done.version, done.change, done.classes) == (2, "renamed", ("cat", "b", "c", "d"))
    assert (done.labels, done.gold_labels) == (1, 1)
    assert history(database) == before
    assert label(database, "one") == ("cat", "in_revalidation")
    assert label(database, "true") == (None, "gold")
    with database.read() as connection:
        now = get_dataset(connection, "pets")
        assert (now.classes, now.schema_version) == (("cat", "b", "c", "d"), 2)
        assert find_item(connection, "true", "pets").gold_label == "cat"
        first, second = schema_history(connection, now)
    assert (first.classes, first.class_map) == (tuple("abcd"), {})
    assert (second.class_map, second.actor, second.reason) == ({"a": "cat"}, "lead", "a test")
    assert verify(database, "pets").findings == []


def test_maps_are_taken_together(database: Database, pets: Dataset) -> None:
    rename_class(database, "pets", "a", "cat", **WHO)
    merge_classes(database, "pets", ["cat", "b"], "animal", **WHO)
    done = remove_class(database, "pets", "c", "animal", **WHO)
    assert done.classes == ("animal", "d")
    with database.read() as connection:
        now = class_map_of(connection, get_dataset(connection, "pets"))
        listed = {entry.name: entry for entry in list_classes(connection, get_dataset(connection, "pets"))}
    assert now.names == {"a": "animal", "b": "animal", "c": "animal", "cat": "animal"}
    assert listed["animal"].former_names == ("a", "b", "c", "cat")
    assert (listed["animal"].labels, listed["animal"].gold_items) == (2, 1)
    assert (listed["d"].labels, listed["d"].gold_items) == (0, 0)


def _after_a_rename(database: Database) -> None:
    rename_class(database, "pets", "a", "cat", **WHO)


REFUSED = {
    "adding a class that is there": (lambda d: add_classes(d, "pets", ["b"], **WHO), "is a class of pets"),
    "adding none": (lambda d: add_classes(d, "pets", [], **WHO), "is wanted"),
    "adding one twice": (lambda d: add_classes(d, "pets", ["x", "x"], **WHO), "named twice"),
    "adding a blank": (lambda d: add_classes(d, "pets", [" "], **WHO), "must not be empty"),
    "adding a NUL": (lambda d: add_classes(d, "pets", ["a\0"], **WHO), "none of them NUL"),
    "adding a line end": (lambda d: add_classes(d, "pets", ["a\nb"], **WHO), "line ends or control"),
    "adding an edge of space": (lambda d: add_classes(d, "pets", [" x"], **WHO), "white space: ' x'"),
    "renaming to a comma": (lambda d: rename_class(d, "pets", "b", "x,y", **WHO), "no comma"),
    "merging into a comma": (lambda d: merge_classes(d, "pets", ["b", "c"], "x,y", **WHO), "no comma"),
    "adding what is too long": (lambda d: add_classes(d, "pets", ["x" * 501], **WHO), "at most 500"),
    "adding a former name": (lambda d: add_classes(d, "pets", ["a"], **WHO), "means 'cat' now"),
    "renaming to a former name": (lambda d: rename_class(d, "pets", "b", "a", **WHO), "means 'cat' now"),
    "renaming a former name": (lambda d: rename_class(d, "pets", "a", "x", **WHO), "means 'cat' now"),
    "renaming what is no class": (lambda d: rename_class(d, "pets", "q", "x", **WHO), "are cat, b, c, d"),
    "renaming to a class": (lambda d: rename_class(d, "pets", "b", "c", **WHO), "classes merge b c --into c"),
    "renaming to itself": (lambda d: rename_class(d, "pets", "b", "b", **WHO), "nothing would change"),
    "merging one": (lambda d: merge_classes(d, "pets", ["b"], "x", **WHO), "classes rename b x"),
    "merging one into itself": (lambda d: merge_classes(d, "pets", ["b"], "b", **WHO), "two classes"),
    "merging one twice": (lambda d: merge_classes(d, "pets", ["b", "b"], "x", **WHO), "named twice"),
    "merging what is no class": (lambda d: merge_classes(d, "pets", ["b", "q"], "x", **WHO), "no class"),
    "merging all": (lambda d: merge_classes(d, "pets", ["cat", "b", "c", "d"], "x", **WHO), "2 at least"),
    "removing into no class": (lambda d: remove_class(d, "pets", "b", "x", **WHO), "no class of pets"),
    "removing into itself": (lambda d: remove_class(d, "pets", "b", "b", **WHO), "into itself"),
    "removing into a former name": (lambda d: remove_class(d, "pets", "b", "a", **WHO), "means 'cat' now"),
    "an unnamed actor": (
        lambda d: rename_class(d, "pets", "b", "x", actor=" ", reason="r"),
        "actor must not be empty",
    ),
}


def test_what_is_no_change_is_refused_and_writes_nothing(database: Database, pets: Dataset) -> None:
    _after_a_rename(database)
    before = contents(database)
    for what, (change, said) in REFUSED.items():
        with pytest.raises(BadInputError, match=said):
            change(database)
        assert contents(database) == before, what


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "bad", ["", " ", " x", "x\u00a0", "a\0", "a\nb", "a\u2028b", "x,y", "x" * 501, "\ud800"]
)
def test_a_name_that_cannot_be_added_cannot_be_created_either(
    database: Database, pets: Dataset, bad: str
) -> None:
    said = []
    with pytest.raises(BadInputError, match="the name of a class") as error:
        add_classes(database, "pets", [bad], **WHO)
    said.append(str(error.value))
    for task in ("image_classification", "bbox"):
        with pytest.raises(BadInputError) as error:
            create_dataset(database, "other", Policy(), classes=("fine", bad), task_type=task)
        said.append(str(error.value))
    assert len(set(said)) == 1
    with database.read() as connection:
        assert [one.name for one in list_datasets(connection)] == ["pets"]


def test_a_split_that_a_merge_settles_is_looked_at_by_the_next_run(database: Database, pets: Dataset) -> None:
    seen = look(database, Position()).position
    assert "pets" not in seen.due
    add_classes(database, "pets", ["e"], **WHO)
    assert "pets" not in look(database, seen).position.due
    merge_classes(database, "pets", ["a", "b"], "ab", **WHO)
    assert label(database, "split") == (None, "unlabeled")
    seen = look(database, seen).position
    assert "pets" in seen.due
    seen = look(database, seen).position
    assert "pets" in seen.due
    apply_votes(database, "pets", run_id="r2")
    assert label(database, "split") == ("ab", "in_revalidation")
    assert "pets" not in look(database, seen).position.due
    assert verify(database, "pets").findings == []


def test_a_merge_that_settles_nothing_is_looked_at_once(database: Database, pets: Dataset) -> None:
    rename_class(database, "pets", "d", "dog", **WHO)
    seen = look(database, Position()).position
    assert "pets" not in seen.due
    assert seen.schemas == {"pets": 2}
    done = apply_votes(database, "pets", run_id="r2")
    assert (done.items_read, done.votes_applied) == (1, 0)
    assert apply_votes(database, "pets", run_id="r3").items_read == 0


def test_answers_by_a_former_name_count_as_the_class_that_they_mean(
    database: Database, pets: Dataset
) -> None:
    rename_class(database, "pets", "a", "cat", **WHO)
    cast(database, pets, letters("one", "aab"))
    cast(database, pets, [("two", "a"), ("two", "cat"), ("two", "b")])
    add_items(database, pets, ["new"])
    cast(database, pets, [("new", "a"), ("new", "cat"), ("new", "b")])
    apply_votes(database, "pets", run_id="r2")
    assert label(database, "new") == ("cat", "in_revalidation")
    with database.read() as connection:
        newest = connection.execute(
            sa.select(t.batches.c.label, t.batches.c.agree, t.batches.c.disagree)
            .join(t.items, t.items.c.item_id == t.batches.c.item_id)
            .where(t.items.c.external_id.in_(["one", "two"]), t.batches.c.run_id == "r2")
            .order_by(t.items.c.external_id)
        ).all()
    assert [tuple(row) for row in newest] == [("cat", 2, 1), ("b", 1, 2)]
    assert verify(database, "pets").findings == []


def test_a_decision_is_undone_under_the_name_of_now(database: Database, pets: Dataset) -> None:
    correct(database, "one", "b", dataset_name="pets", **REVIEWER)
    rename_class(database, "pets", "a", "cat", **WHO)
    undo(database, "one", dataset_name="pets", **REVIEWER)
    assert label(database, "one") == ("cat", "in_revalidation")
    with pytest.raises(BadInputError, match="what it means now is 'cat'"):
        correct(database, "one", "a", dataset_name="pets", **REVIEWER)
    assert verify(database, "pets").findings == []


def test_where_any_answer_is_taken_classes_are_renamed_and_merged_too(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, ["i", "j"])
    cast(database, dataset, letters("i", "xxy"))
    cast(database, dataset, letters("j", "xyz"))
    apply_votes(database, dataset.name, run_id="r")
    with pytest.raises(BadInputError, match="takes any answer"):
        add_classes(database, dataset.name, ["q"], **WHO)
    assert rename_class(database, dataset.name, "x", "X", **WHO).classes is None
    merge_classes(database, dataset.name, ["X", "z"], "both", **WHO)
    apply_votes(database, dataset.name, run_id="r2")
    with database.read() as connection:
        found = [find_item(connection, name, dataset.name).label for name in "ij"]
        listed = [entry.name for entry in list_classes(connection, dataset)]
    assert found == ["both", "both"]
    assert listed == ["both"]
    with pytest.raises(BadInputError, match="what it means now is 'both'"):
        correct(database, "i", "x", dataset_name=dataset.name, **REVIEWER)
    assert verify(database, dataset.name).findings == []


def test_an_item_in_review_is_decided_under_the_new_classes(database: Database, pets: Dataset) -> None:
    cast(database, pets, letters("two", "aaaaaaaaa"))
    apply_votes(database, "pets", run_id="r2")
    assert label(database, "two") == ("b", "needs_review")
    merge_classes(database, "pets", ["a", "b"], "ab", **WHO)
    assert label(database, "two") == ("ab", "needs_review")
    done = decide(database, "two", "confirm", dataset_name="pets", **REVIEWER)
    assert (done.label, done.confidence) == ("ab", 1_000_000)
    assert verify(database, "pets").findings == []


def test_imports_take_former_names_as_they_are(database: Database, pets: Dataset, tmp_path: Path) -> None:
    rename_class(database, "pets", "a", "cat", **WHO)
    file = tmp_path / "votes.csv"
    file.write_text("external_id,solver_id,answer\none,s1,a\none,s2,cat\none,s3,wolf\n")
    done = import_votes(database, "pets", file)
    assert (done.accepted, done.quarantined) == (2, 1)
    with database.read() as connection:
        found = explain(connection, "one", "pets")
    assert [(vote["answer"], vote["means"]) for vote in found.votes[-2:]] == [("a", "cat"), ("cat", "cat")]
    assert found.classes_changed
    again = import_votes(database, "pets", file)
    assert (again.accepted, again.quarantined, again.already_known) == (0, 0, 3)
    add_classes(database, "pets", ["wolf"], **WHO)
    later = import_votes(database, "pets", file)
    assert (later.accepted, later.quarantined, later.already_known) == (1, 0, 2)
    with database.read() as connection:
        assert not connection.execute(sa.select(t.quarantined_votes)).all()


def test_gold_of_a_file_with_former_names_is_the_gold_that_is_there(
    database: Database, pets: Dataset, tmp_path: Path
) -> None:
    file = tmp_path / "items.csv"
    file.write_text(
        "external_id,data_ref,modality,gold_label\n"
        "true,https://example.org/true.png,image,a\nmore,https://example.org/more.png,image,a\n"
    )
    rename_class(database, "pets", "a", "cat", **WHO)
    done = import_items(database, "pets", file)
    assert (done.created, done.unchanged, done.gold_kept) == (1, 1, 0)
    with database.read() as connection:
        assert find_item(connection, "more", "pets").gold_label == "cat"


def test_the_crowd_is_read_under_the_classes_of_now(database: Database, pets: Dataset) -> None:
    merge_classes(database, "pets", ["a", "b"], "ab", **WHO)
    with database.read() as connection:
        crowd = read_crowd(connection, get_dataset(connection, "pets"))
    assert crowd.classes == ["ab", "c", "d"]
    names = sorted(crowd.classes[code] for code in crowd.answer)
    assert names == ["ab"] * 11 + ["c"]
    assert [crowd.classes[code] for code in crowd.gold if code >= 0] == ["ab"]


def test_changes_and_runs_at_once_take_turns(database: Database, pets: Dataset) -> None:
    def change(number: int) -> None:
        if number % 2:
            add_items(database, pets, [f"i{number}"])
            cast(database, pets, letters(f"i{number}", "abacaba"))
            apply_votes(database, "pets", run_id=f"r{number}", wait_seconds=0)
        else:
            old = "abcd"[number // 2]
            rename_class(database, "pets", old, old.upper(), **WHO)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, range(8)))
    apply_votes(database, "pets", run_id="last")
    with database.read() as connection:
        now = get_dataset(connection, "pets")
        versions = schema_history(connection, now)
    assert [version.version for version in versions] == [1, 2, 3, 4, 5]
    assert now.classes == tuple("ABCD")
    assert {label(database, f"i{number}") for number in (1, 3, 5, 7)} == {("A", "in_revalidation")}
    assert verify(database, "pets").findings == []


def test_other_datasets_are_left_alone(database: Database, pets: Dataset) -> None:
    other = create_dataset(database, "other", Policy(), classes=("a", "b"))
    add_items(database, other, ["o"])
    cast(database, other, letters("o", "aaa"))
    apply_votes(database, "other", run_id="r")
    rename_class(database, "pets", "a", "cat", **WHO)
    with database.read() as connection:
        assert find_item(connection, "o", "other").label == "a"
        assert get_dataset(connection, "other").schema_version == 1
    assert verify(database, "other").findings == []
