"""A diff is what two dicts say, with who or what changed a label and why."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.review import correct
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.snapshots import create_snapshot, diff_snapshots, find_snapshot
from hiveguard_pipeline.snapshots.diff import _mask
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.tables import item_uuid
from tests.snapshots.conftest import Snap, details, graduate
from tests.snapshots.test_create import rows_of
from tests.store.voting import add_items, cast, letters

Rows = dict[str, tuple[str, int, int | None]]
"""external_id -> label, confidence, width."""

ROWS = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.tuples(st.sampled_from("xyz"), st.sampled_from([700_000, 900_000]), st.none() | st.integers(1, 2)),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, Dataset, str]:
    folder = tmp_path_factory.mktemp("diff")
    database = open_database(f"sqlite:///{folder / 'h.db'}")
    dataset = create_dataset(database, "animals", Policy())
    graduate(database, dataset, dict.fromkeys("abcdefgh", "x" * 15))
    return database, dataset, str(folder / "snapshots")


def set_rows(database: Database, rows: Rows) -> None:
    with database.write() as connection:
        connection.execute(sa.text("DELETE FROM item_details"))
        connection.execute(sa.text("UPDATE labels SET state = 'needs_review'"))
        for name, (label, confidence, _) in rows.items():
            connection.execute(
                sa.text(
                    "UPDATE labels SET state = 'graduated', label = :label, confidence = :confidence"
                    " WHERE item_id = :item"
                ),
                {"label": label, "confidence": confidence, "item": item_uuid("animals", name)},
            )
    for name, (_, _, width) in rows.items():
        if width is not None:
            details(database, item_uuid("animals", name), width=width)


def expected(before: Rows, after: Rows) -> set[tuple[Any, ...]]:
    found: set[tuple[Any, ...]] = {("added", name, None, after[name][0]) for name in after.keys() - before}
    found |= {("removed", name, before[name][0], None) for name in before.keys() - after}
    for name in before.keys() & after.keys():
        (old, was, width), (new, now, size) = before[name], after[name]
        for kind, differs in (
            ("relabelled", old != new),
            ("confidence", was != now),
            ("details", width != size),
        ):
            if differs:
                found.add((kind, name, old, new))
                break
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=ROWS, after=ROWS)
def test_a_diff_is_what_two_dicts_say(
    before: Rows, after: Rows, store: tuple[Database, Dataset, str]
) -> None:
    database, _, root = store
    made = []
    for rows in (before, after):
        set_rows(database, rows)
        made.append(create_snapshot(database, "animals", root).snapshot)
    found = diff_snapshots(database, root, *made)
    changes = list(found.changes())
    wanted = expected(before, after)
    assert {(c.change, c.external_id, c.label_from, c.label_to) for c in changes} == wanted
    assert len(changes) == sum(found.counts.values()) == len(wanted)
    assert found.same == len(before.keys() & after.keys()) - sum(
        found.counts[kind] for kind in ("relabelled", "confidence", "details")
    )
    assert (made[0] == made[1]) == (not wanted)


def test_each_change_says_who_or_what_and_why(
    database: Database, labelled: Dataset, snap: Snap, root: str
) -> None:
    first = snap()
    correct(database, "n00", "y", reviewer="ann", reason="it is a y", dataset_name="animals")
    cast(database, labelled, letters("n00", "yyyyyyyyyyyyyyy"), first=1000)
    correct(database, "n01", "x", reviewer="bob", reason="an x", dataset_name="animals")
    add_items(database, labelled, ["new"])
    cast(database, labelled, letters("new", "x" * 15), first=2000)
    apply_votes(database, "animals", run_id="run-2")
    second = snap()
    found = {change.external_id: change for change in diff_snapshots(database, root, first, second).changes()}
    assert set(found) == {"n00", "n01", "new"}
    new, changed, gone = found["new"], found["n00"], found["n01"]
    assert (new.change, new.label_to, new.source, new.run_id) == ("added", "x", "votes", "run-2")
    assert (changed.change, changed.label_from, changed.label_to) == ("relabelled", "x", "y")
    assert (changed.source, changed.actor, changed.reason) == ("relabel", "ann", "it is a y")
    assert (gone.change, gone.label_from, gone.state) == ("removed", "y", "in_revalidation")
    assert (gone.source, gone.actor, gone.reason) == ("relabel", "bob", "an x")
    back = diff_snapshots(database, root, second, first)
    assert back.counts["added"] == back.counts["removed"] == back.counts["relabelled"] == 1


def test_a_renamed_class_is_a_change_of_classes_and_old_snapshots_stay_as_they_were(
    database: Database, tmp_path: Path
) -> None:
    from hiveguard_pipeline.classes import rename_class

    root = str(tmp_path / "snapshots")
    dataset = create_dataset(database, "pets", Policy(), classes=("cat", "dog"))
    names = add_items(database, dataset, ["a", "b"])
    cast(
        database,
        dataset,
        [(name, answer) for name, answer in (("a", "cat"), ("b", "dog")) for _ in range(15)],
    )
    apply_votes(database, "pets", run_id="run-1")
    assert len(names) == 2
    before = create_snapshot(database, "pets", root).snapshot
    rename_class(database, "pets", "cat", "feline", actor="ann", reason="science")
    after = create_snapshot(database, "pets", root).snapshot
    found = diff_snapshots(database, root, before, after)
    assert {kind: count for kind, count in found.counts.items() if count} == {"class": 1}
    back = diff_snapshots(database, root, after, before)
    assert {kind: count for kind, count in back.counts.items() if count} == {"class": 1}
    assert [(change.version, change.actor, change.reason) for change in found.schema] == [
        (2, "ann", "science")
    ]
    assert found.header["schema_version"] == (1, 2)
    old = find_snapshot(database, before.snapshot_id)
    assert old.header.classes == ("cat", "dog")
    assert {row["label"] for row in rows_of(root, old.file)} == {"cat", "dog"}


def test_a_renamed_class_inside_boxes_is_a_change_of_classes(database: Database, tmp_path: Path) -> None:
    from hiveguard_pipeline.classes import rename_class

    root = str(tmp_path / "snapshots")
    dataset = create_dataset(database, "cars", Policy(), task_type="bbox")
    add_items(database, dataset, ["a", "b"])
    answers = (
        ("a", '{"boxes":[{"bbox":[0.0,0.0,9.0,9.0],"label":"car"}]}'),
        ("b", '{"boxes":[{"bbox":[0.0,0.0,9.0,9.0],"label":"bus"}]}'),
    )
    cast(database, dataset, [(name, answer) for name, answer in answers for _ in range(15)])
    apply_votes(database, "cars", run_id="run-1")
    before = create_snapshot(database, "cars", root).snapshot
    rename_class(database, "cars", "car", "automobile", actor="ann", reason="a longer word")
    after = create_snapshot(database, "cars", root).snapshot
    for pair in ((before, after), (after, before)):
        found = diff_snapshots(database, root, *pair)
        assert {kind: count for kind, count in found.counts.items() if count} == {"class": 1}
        (change,) = found.changes()
        assert (change.external_id, change.label_from != change.label_to) == ("a", True)


def test_ids_of_any_form_are_joined_by_what_they_say() -> None:
    import numpy as np
    import pyarrow as pa

    from hiveguard_pipeline.snapshots.diff import _shared

    alike = ["00000000-0000-5000-8000-00000000000a", "00000000-0000-5000-8000-00000000000b"]
    for first, second in ((alike, alike[1:]), (["a", "b"], ["b"]), (alike, []), ([], alike)):
        old, new = (pa.table({"item_id": pa.array(ids, pa.string())}) for ids in (first, second))
        kept, stayed = _shared(old, new)
        assert np.array_equal(kept, np.isin(first, second).reshape(len(first)))
        assert np.array_equal(stayed, np.isin(second, first).reshape(len(second)))


def test_masks_of_arrow_are_read_bit_by_bit_wherever_they_begin() -> None:
    values = [place % 3 == 0 for place in range(29)]
    whole = pa.array(values)
    for start in range(12):
        assert _mask(whole.slice(start)).tolist() == values[start:]
    pieces = pa.chunked_array([whole.slice(3, 0), whole.slice(3, 9), whole.slice(12)], type=pa.bool_())
    assert _mask(pieces).tolist() == values[3:]
    assert _mask(pieces).dtype == np.bool_
    assert _mask(pa.chunked_array([], type=pa.bool_())).tolist() == []
