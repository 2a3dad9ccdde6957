"""A snapshot's id is its content's: the same on every database, whatever else differs; its file is whole."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.recount.job import Request, recount_votes
from hiveguard_pipeline.review import correct
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.snapshots import (
    Selection,
    create_snapshot,
    diff_snapshots,
    drift_of,
    export_snapshot,
    find_snapshot,
    list_snapshots,
    verify_snapshot,
)
from hiveguard_pipeline.snapshots.content import HASHED
from hiveguard_pipeline.snapshots.export_folder import ExportFolder
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.snapshots.conftest import NAMES, Snap, details, graduate
from tests.store.voting import add_items, cast, letters


def rows_of(root: str, file: str) -> list[dict[str, object]]:
    import pyarrow.parquet as pq

    found: list[dict[str, object]] = pq.read_table(f"{root}/{file}").to_pylist()
    return found


def test_the_id_is_the_hash_of_header_and_rows_as_plain_json_says_it(
    database: Database, labelled: Dataset, snap: Snap, root: str
) -> None:
    ids = add_items(database, labelled, ['quo"te\\ä\n😀', "plain"])
    details(database, ids["plain"], width=3, height=4, content="a\tb", group_key="g", licence="CC0-1.0")
    cast(database, labelled, [vote for name in ids for vote in letters(name, "z" * 15)])
    apply_votes(database, "animals", run_id="run-2")
    made = snap()
    rows = rows_of(root, made.file)
    assert [row["item_id"] for row in rows] == sorted(str(row["item_id"]) for row in rows)
    assert len(rows) == made.rows == len(NAMES) + 2
    lines = [
        json.dumps(
            {name: row[name] for name in HASHED.names},
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        )
        for row in rows
    ]
    digest = hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()
    header = made.header.values()
    assert header["rows_sha256"] == digest
    assert header["licences"] == ["CC0-1.0"]
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert made.snapshot_id == hashlib.sha256(text.encode()).hexdigest()
    assert verify_snapshot(made, root) == []


def test_all_labels_and_a_least_confidence(snap: Snap, root: str) -> None:
    everything, sure = snap(graduated=False), snap(graduated=False, min_confidence=1_000_000)
    assert everything.rows == len(NAMES) + 1, "the flagged one is in no snapshot"
    assert {row["external_id"] for row in rows_of(root, sure.file)} == {*NAMES, "moving"}
    assert len({everything.snapshot_id, sure.snapshot_id, snap().snapshot_id}) == 3


def test_the_same_labels_have_one_id_on_both_databases_in_any_order_and_by_a_recount(
    tmp_path: Path, new_postgres: Callable[..., str]
) -> None:
    answers = {name: "xy"[place % 2] * 15 for place, name in enumerate(NAMES)}
    found = set()
    for place, url in enumerate(
        (f"sqlite:///{tmp_path / 'one.db'}", new_postgres(), f"sqlite:///{tmp_path / 'two.db'}")
    ):
        database = open_database(url)
        if place == 2:
            graduate(database, create_dataset(database, "other", Policy()), {"before": "q" * 15})
        dataset = create_dataset(database, "animals", Policy())
        order = random.Random(place).sample(NAMES, len(NAMES))
        add_items(database, dataset, order)
        votes = [vote for name in NAMES for vote in letters(name, answers[name])]
        cast(database, dataset, votes)
        apply_votes(database, "animals", run_id=f"run-{place}")
        root = str(tmp_path / f"snapshots-{place}")
        found.add(create_snapshot(database, "animals", root, run_id=str(place)).snapshot.snapshot_id)
        output = str(tmp_path / f"recount-{place}")
        recount_votes(
            Request("local", "r", "animals", output=output), database, lambda *_: None, lambda _: None
        )
        again = create_snapshot(database, "animals", root, recount=output)
        assert not again.is_new
        found.add(again.snapshot.snapshot_id)
    assert len(found) == 1


def test_the_same_content_again_is_the_snapshot_that_is_there(
    database: Database, snap: Snap, root: str
) -> None:
    first = snap(note="first")
    with database.write() as connection:
        connection.execute(sa.text("UPDATE batches SET run_id = 'another'"))
    again = snap(note="again")
    assert again == first
    Path(root, first.file).unlink()
    assert snap().snapshot_id == first.snapshot_id
    assert verify_snapshot(find_snapshot(database, first.snapshot_id), root) == []
    assert len(os.listdir(Path(root, "animals"))) == 1


def test_where_a_label_came_from_stands_beside_it(database: Database, snap: Snap, root: str) -> None:
    correct(database, "n00", "y", reviewer="ann", reason="seen", dataset_name="animals")
    rows = {str(row["external_id"]): row for row in rows_of(root, snap(graduated=False).file)}
    with database.read() as connection:
        known = connection.execute(
            sa.text(
                "SELECT i.external_id, v.revision, v.source, v.actor, v.reason, v.batch_id"
                " FROM label_revisions v"
                " JOIN items i ON i.item_id = v.item_id WHERE v.revision = (SELECT max(w.revision)"
                " FROM label_revisions w WHERE w.item_id = v.item_id)"
            )
        ).all()
    names = ("revision", "source", "actor", "reason", "batch_id")
    expected = {name: tuple(rest) for name, *rest in known if name in rows}
    found = {name: [row[key] for key in names] for name, row in rows.items()}
    for name, wanted in expected.items():
        assert found[name][:-1] == list(wanted[:-1])
        assert found[name][-1] == (wanted[-1] if name == "n00" else None), "the first row is not looked up"
    assert expected["n00"][:4] == (2, "relabel", "ann", "seen")


def test_ids_may_be_shortened_to_six_digits_and_are_never_guessed(database: Database, snap: Snap) -> None:
    made = snap()
    assert find_snapshot(database, made.snapshot_id[:6].upper()) == made
    for wrong in (made.snapshot_id[:5], "zzzzzzzz", "%%%%%%"):
        with pytest.raises(BadInputError, match="no id of a snapshot"):
            find_snapshot(database, wrong)
    with pytest.raises(BadInputError, match="there is no snapshot"):
        find_snapshot(database, "0" * 64 if not made.snapshot_id.startswith("0") else "1" * 64)
    with database.write() as connection:
        twin = made.snapshot_id[:8] + "0" * 56
        connection.execute(
            sa.text(
                "INSERT INTO snapshots SELECT :twin, dataset_id, parent, schema_version, policy_id,"
                " ledger_position, rows, header, file, file_sha256, code_version, run_id, actor, note,"
                " created_at, removed_at"
                " FROM snapshots"
            ),
            {"twin": twin},
        )
    with pytest.raises(BadInputError, match="several snapshots begin"):
        find_snapshot(database, made.snapshot_id[:7])


_KILLED = """
import os, signal, sys
from hiveguard_pipeline.snapshots import create
from hiveguard_pipeline.store.schema import open_database
create.record = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
create.create_snapshot(open_database(sys.argv[1]), "animals", sys.argv[2])
"""


def test_a_kill_between_file_and_row_leaves_nothing_half_and_the_next_one_mends(
    database: Database, database_url: str, snap: Snap, root: str
) -> None:
    ended = subprocess.run([sys.executable, "-c", _KILLED, database_url, root], cwd=Path(__file__).parents[2])
    assert ended.returncode == -signal.SIGKILL
    with database.read() as connection:
        assert list_snapshots(connection) == []
    (left,) = Path(root, "animals").glob("[0-9a-f]*.parquet")
    left.write_bytes(b"half of a file")
    made = snap()
    assert left == Path(root, made.file)
    assert verify_snapshot(made, root) == []


def test_two_at_once_make_one(database: Database, labelled: Dataset, root: str) -> None:
    with ThreadPoolExecutor(2) as both:
        made = list(both.map(lambda n: create_snapshot(database, "animals", root, note=str(n)), range(2)))
    assert sorted(one.is_new for one in made) == [False, True]
    assert made[0].snapshot == made[1].snapshot
    assert verify_snapshot(made[0].snapshot, root) == []
    assert os.listdir(Path(root, "animals")) == [Path(made[0].snapshot.file).name]


def test_a_root_that_cannot_be_written_changes_nothing(
    database: Database, labelled: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    for root in (str(tmp_path / "file"), "no-such-protocol://bucket"):
        with pytest.raises(BadInputError):
            create_snapshot(database, "animals", root)
    with database.read() as connection:
        assert list_snapshots(connection) == []


def test_a_root_on_another_store_holds_the_same_snapshot(database: Database, snap: Snap) -> None:
    root = f"memory://snapshots-{random.random()}"
    made = create_snapshot(database, "animals", root).snapshot
    assert made.snapshot_id == snap().snapshot_id
    assert verify_snapshot(made, root) == []


def test_retention_takes_files_and_keeps_rows_and_what_exports_name(
    database: Database, labelled: Dataset, root: str, tmp_path: Path
) -> None:
    made = [
        create_snapshot(database, "animals", root, selection=Selection(False, least), kept=0).snapshot
        for least in (0, 650_000, 700_000, 750_000)
    ]
    exports = str(tmp_path / "exports")
    ExportFolder(exports, "animals").write_json("e1/manifest.json", {"snapshot_id": made[0].snapshot_id})
    newest = create_snapshot(database, "animals", root, kept=2, export_root=exports).snapshot
    with database.read() as connection:
        standing = {one.snapshot_id for one in list_snapshots(connection, removed=False)}
        assert len(list_snapshots(connection)) == len({one.snapshot_id for one in [*made, newest]})
    assert newest.snapshot_id in standing
    assert made[0].snapshot_id in standing, "an export names it"
    files = {path.stem for path in Path(root, "animals").iterdir()}
    assert files == standing
    back = create_snapshot(database, "animals", root, selection=Selection(False, 650_000))
    assert (back.is_new, back.snapshot.removed_at) == (False, None)
    assert verify_snapshot(back.snapshot, root) == []


def test_a_changed_file_is_found(database: Database, snap: Snap, root: str) -> None:
    import pyarrow.parquet as pq

    made = snap()
    path = Path(root, made.file)
    table = pq.read_table(path)
    changed = table.set_column(
        table.schema.get_field_index("label"), "label", [["q", *table["label"].to_pylist()[1:]]]
    )
    pq.write_table(changed, path)
    found = {finding.what for finding in verify_snapshot(made, root)}
    assert {"bytes of the file", "hash of the rows"} <= found
    for use in (
        lambda: export_snapshot(database, made, root, "csv", Path(root, "out")),
        lambda: diff_snapshots(database, root, made, made),
        lambda: drift_of(database, root, made),
    ):
        with pytest.raises(BadInputError, match="was changed since its snapshot was made"):
            use()
    assert not Path(root, "out").exists()
    pq.write_table(table.slice(1), path)
    assert "rows" in {finding.what for finding in verify_snapshot(made, root)}
    path.write_bytes(path.read_bytes()[:-20])
    assert "file" in {finding.what for finding in verify_snapshot(made, root)}
    assert snap() == made  # the same labels: their file is written again
    assert verify_snapshot(made, root) == []
    path.unlink()
    (gone,) = verify_snapshot(made, root)
    assert "is gone" in gone.found
    other = "REPLACE(CAST(header AS text), 'animals', 'animal_')"
    with database.write() as connection:
        connection.execute(
            sa.text(
                f"UPDATE snapshots SET header = {other if database.is_sqlite else f'CAST({other} AS json)'}"
            )
        )
    changed_row = find_snapshot(database, made.snapshot_id)
    assert "id of the header" in {finding.what for finding in verify_snapshot(changed_row, root)}
