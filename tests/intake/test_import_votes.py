"""Votes from files: what is a vote becomes one, what is none goes to quarantine, nothing is lost."""

import csv
import gzip
import io
import json
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow.parquet as pq  # noqa: TID253
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports import export_labels
from hiveguard_pipeline.intake import VoteImport, import_votes
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import vote_counts
from hiveguard_pipeline.store.tables import item_uuid
from tests.store.voting import add_items

HEADER = "external_id,solver_id,answer"
TIMED = HEADER + ",duration_ms,created_at"


def taken(
    database: Database,
    dataset: Dataset,
    folder: Path,
    content: str | bytes,
    create_items: bool = True,
    name: str = "votes",
) -> VoteImport:
    """Import a file of this content; whatever became of it, no row may be lost."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    done = import_votes(database, dataset.name, path, create_items=create_items)
    assert done.read == done.accepted + done.quarantined + done.already_known
    assert min(done.accepted, done.quarantined, done.already_known) >= 0
    assert done.quarantined == sum(done.reasons.values())
    return done


def lines(header: str, rows: Iterable[str]) -> str:
    return "\n".join([header, *rows]) + "\n"


def votes_of(database: Database, dataset: Dataset) -> list[tuple[str, str, str]]:
    query = (
        "SELECT i.external_id, v.solver_id, v.answer FROM votes v JOIN items i ON i.item_id = v.item_id"
        " WHERE i.dataset_id = :dataset ORDER BY v.vote_id"
    )
    return [tuple(row) for row in _rows(database, query, dataset)]


def quarantine_of(database: Database, dataset: Dataset) -> list[tuple[int, str]]:
    query = "SELECT line, reason FROM quarantined_votes WHERE dataset_id = :dataset ORDER BY import_id, line"
    return [tuple(row) for row in _rows(database, query, dataset)]


def _rows(database: Database, query: str, dataset: Dataset) -> Sequence[sa.Row[tuple[object, ...]]]:
    with database.read() as connection:
        return connection.execute(sa.text(query), {"dataset": dataset.dataset_id}).all()


def test_rows_become_votes_in_file_order_and_the_import_is_recorded(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    content = lines(HEADER, ["b,w1,x", "a,w1,y", "b,w2,x"])
    done = taken(database, dataset, tmp_path, content)
    assert (done.read, done.accepted, done.items_created, done.reasons) == (3, 3, 2, {})
    assert votes_of(database, dataset) == [("b", "w1", "x"), ("a", "w1", "y"), ("b", "w2", "x")]
    (recorded,) = _rows(database, "SELECT * FROM imports WHERE dataset_id = :dataset", dataset)
    assert (recorded.file_name, recorded.rows_read, recorded.accepted) == ("votes", 3, 3)


def test_made_items_have_their_name_as_data_ref_and_the_datasets_modality(
    database: Database, tmp_path: Path
) -> None:
    dataset = create_dataset(database, "sounds", Policy(), modality="audio")
    taken(database, dataset, tmp_path, lines(HEADER, ["a,w,x", "b,w,", ",w,x"]))
    query = "SELECT item_id, external_id, data_ref, modality FROM items WHERE dataset_id = :dataset"
    (row,) = _rows(database, query, dataset)
    assert (str(row.item_id), *row[1:]) == (item_uuid("sounds", "a"), "a", "a", "audio")


def test_bad_votes_go_to_quarantine_with_line_and_reason_and_stop_nothing(
    database: Database, tmp_path: Path
) -> None:
    dataset = create_dataset(database, "animals", Policy(), classes=("cat", "dog", "01"))
    add_items(database, dataset, "ab")
    rows = {
        "a,w1,cat,5,": None,
        "nobody,w1,cat,,": "unknown_item",
        ",w1,cat,,": "no_item",
        "a,,cat,,": "no_solver",
        "a, \t,cat,,": "no_solver",
        "b,w1,,,": "empty_answer",
        "b,w2,   ,,": "empty_answer",
        "b,w3,\u00a0\u2003,,": "empty_answer",
        "b,w4,Cat,,": "answer_not_in_classes",
        "b,w5,cat ,,": "answer_not_in_classes",
        "b,w6,1,,": "answer_not_in_classes",
        "b,w7,01,,": None,
        "a,w1,dog,,": "duplicate_vote",
        "b,w8,cat,-1,": "bad_duration",
        "b,w8,cat,1.5,": "bad_duration",
        "b,w8,cat,soon,": "bad_duration",
        "b,w8,cat,,yesterday": "bad_time",
        "b,w8,cat,,2026-02-30": "bad_time",
        "b,w8,cat,,1767225600": "bad_time",
        "b,w\0,cat,,": "nul_character",
        "b,w9": "unreadable_row",
        "b,w9,cat,,,": "unreadable_row",
        "b," + "w" * 513 + ",cat,,": "too_long",
        "b," + "w" * 512 + ",cat,,": None,
    }
    done = taken(database, dataset, tmp_path, lines(TIMED, rows), create_items=False)
    expected = [(line, reason) for line, reason in enumerate(rows.values(), start=2) if reason]
    assert quarantine_of(database, dataset) == expected
    assert done.accepted == 3
    assert done.reasons["answer_not_in_classes"] == 3


def test_a_quarantined_row_is_kept_as_it_came(database: Database, dataset: Dataset, tmp_path: Path) -> None:
    rows = ['nobody,"w ""1""\n", x ', "a,w", b"a,w,\xff", "a,w,x\0y"]
    raw = b"\n".join(row if isinstance(row, bytes) else row.encode() for row in [HEADER, *rows])
    taken(database, dataset, tmp_path, raw, create_items=False)
    kept = _rows(
        database, "SELECT row FROM quarantined_votes WHERE dataset_id = :dataset ORDER BY line", dataset
    )
    assert [row.row for row in kept] == [rows[0], "a,w", "a,w,\\xff", "a,w,x\\0y"]


def test_answers_are_compared_and_kept_exactly(database: Database, dataset: Dataset, tmp_path: Path) -> None:
    answers = [
        "01",
        "1",
        "NA",
        "null",
        "NULL",
        "nan",
        "Cat",
        "cat",
        " cat",
        "é",
        "e\u0301",
        "猫",
        "😀",
        "1.0",
    ]
    taken(database, dataset, tmp_path, lines(HEADER, [f"a,w{n},{text}" for n, text in enumerate(answers)]))
    assert [answer for _, _, answer in votes_of(database, dataset)] == answers
    apply_votes(database, dataset.name, run_id="run")
    assert _rows(database, "SELECT * FROM labels WHERE dataset_id = :dataset", dataset) == []


def test_json_numbers_are_the_text_that_stands_there(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    row = '{{"external_id": 7, "solver_id": {}, "answer": {}, "duration_ms": 12}}'
    content = lines(row.format(1, "1.0"), [row.format(12345678901234567890, 12345678901234567890)])
    assert taken(database, dataset, tmp_path, content).accepted == 2
    long = "12345678901234567890"
    assert votes_of(database, dataset) == [("7", "1", "1.0"), ("7", long, long)]


def test_times_are_utc_and_durations_whole_milliseconds(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    times = {
        "2026-01-01T00:00:00+02:00": "2025-12-31T22:00:00.000000Z",
        "2026-01-01T12:00:00Z": "2026-01-01T12:00:00.000000Z",
        "2026-01-01 12:00:00": "2026-01-01T12:00:00.000000Z",
        "2026-01-01T12:00:00.123456Z": "2026-01-01T12:00:00.123456Z",
        "2026-01-01T12:00:00.1": "2026-01-01T12:00:00.100000Z",
        "2026-01-01T12:00:00.123456999-05:30": "2026-01-01T17:30:00.123456Z",
        "2026-01-01": "2026-01-01T00:00:00.000000Z",
    }
    durations = ["0", "5", "5.0", " 7 ", "999999999999999", "", "12"]
    rows = [
        f"i{n},w,x,{duration},{time}" for n, (duration, time) in enumerate(zip(durations, times, strict=True))
    ]
    assert taken(database, dataset, tmp_path, lines(TIMED, rows)).accepted == len(times)
    query = sa.text("SELECT duration_ms, created_at FROM votes ORDER BY vote_id")
    with database.read() as connection:
        found = connection.execute(query).all()
    assert [row.duration_ms for row in found] == [0, 5, 5, 7, 999999999999999, None, 12]
    shown = [text if isinstance(text, str) else text.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for _, text in found]
    assert shown == list(times.values())


def test_rows_may_name_the_item_id(database: Database, dataset: Dataset, tmp_path: Path) -> None:
    ids = add_items(database, dataset, "ab")
    other = create_dataset(database, "other", Policy())
    foreign = add_items(database, other, "a")["a"]
    rows = [
        f"{ids['a']},w1,x",
        f"{ids['b'].upper()},w1,x",
        f"{uuid.uuid4()},w1,x",
        f"{foreign},w1,x",
        "a,w1,x",
        "not-a-uuid,w1,x",
    ]
    taken(database, dataset, tmp_path, lines("item_id,solver_id,answer", rows))
    assert votes_of(database, dataset) == [("a", "w1", "x"), ("b", "w1", "x")]
    assert quarantine_of(database, dataset) == [(line, "unknown_item") for line in (4, 5, 6, 7)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("external_id,answer\na,x\n", "solver_id"),
        ("external_id,solver_id\na,w\n", "answer"),
        ("solver_id,answer\nw,x\n", "external_id or item_id"),
        ('"external_id,solver_id,answer\na,w,x\n', "line 1"),
        ("", "empty"),
        (gzip.compress(lines(HEADER, [f"{uuid.uuid4()},w,x" for _ in range(3000)]).encode())[:-500], "read"),
    ],
    ids=["no solver_id", "no answer", "no item", "open quote", "empty", "cut gzip"],
)
def test_a_bad_file_is_refused_whole_with_file_and_line(
    database: Database, dataset: Dataset, tmp_path: Path, content: str | bytes, why: str
) -> None:
    with pytest.raises(BadInputError, match=why) as refused:
        taken(database, dataset, tmp_path, content)
    assert str(tmp_path / "votes") in str(refused.value)
    assert "line" in str(refused.value)
    for table in ("imports", "quarantined_votes", "items"):
        assert _rows(database, f"SELECT * FROM {table} WHERE dataset_id = :dataset", dataset) == []


def test_a_header_alone_imports_nothing_and_a_missing_dataset_is_named(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    assert taken(database, dataset, tmp_path, HEADER).read == 0
    with pytest.raises(BadInputError, match="nothing-here"):
        import_votes(database, "nothing-here", tmp_path / "votes")


def test_csv_jsonl_and_their_gzips_with_marks_and_line_ends_give_the_same_votes(
    database: Database, tmp_path: Path
) -> None:
    rows = [("a", "w1", 'x "y", z'), ("a", "w2", "two\nlines"), ("b", "w1", "猫"), ("b", "w\t2", "=1")]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEADER.split(","), *rows])
    table = text.getvalue()
    objects = "".join(
        json.dumps(dict(zip(HEADER.split(","), row, strict=True))) + end
        for row, end in zip(rows, ["\n", "\r\n", "\n\n", ""], strict=True)
    )
    for number, content in enumerate([table, "\ufeff" + table, objects, "\ufeff" + objects]):
        for packed in (content.encode(), gzip.compress(content.encode())):
            dataset = create_dataset(database, f"d{number}-{packed is not content and len(packed)}", Policy())
            assert taken(database, dataset, tmp_path, packed).quarantined == 0
            assert votes_of(database, dataset) == rows


def test_labels_that_look_like_formulas_leave_every_export_as_they_came(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    labels = [
        "=1+1",
        "+1",
        "-1",
        "@x",
        "\t=x",
        'a,"b"\n\r\nc',
        "\\N",
        "NULL",
        "01",
        "é\u2028\x7f",
        "'x",
        " x ",
    ]
    rows = [
        {"external_id": f"i{n}", "solver_id": w, "answer": x} for n, x in enumerate(labels) for w in "123"
    ]
    done = taken(database, dataset, tmp_path, "\n".join(json.dumps(row) for row in rows))
    assert done.accepted == len(rows)
    apply_votes(database, dataset.name, run_id="run")
    texts = {}
    for fmt in ("csv", "jsonl", "json", "parquet"):
        stream = io.BytesIO()
        assert export_labels(database, stream, fmt, dataset_name=dataset.name) == len(labels)
        texts[fmt] = stream.getvalue()
    found = {
        "csv": list(csv.DictReader(io.StringIO(texts["csv"].decode(), newline=""))),
        "jsonl": [json.loads(line) for line in texts["jsonl"].decode().split("\n") if line],
        "json": json.loads(texts["json"]),
        "parquet": pq.read_table(io.BytesIO(texts["parquet"])).to_pylist(),
    }
    for fmt, records in found.items():
        assert {row["data_ref"]: row["label"] for row in records} == {
            f"i{n}": label for n, label in enumerate(labels)
        }, fmt


def test_received_is_applied_unprocessed_and_quarantined_after_a_run(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    rows = [f"i{n % 5},w{n % 40},{'xxy'[n % 3]}" for n in range(90)]
    taken(database, dataset, tmp_path, lines(HEADER, [*rows, "bad", ",,"]))
    apply_votes(database, dataset.name, run_id="run")
    with database.read() as connection:
        counts = vote_counts(connection, dataset)
    assert counts["received"] == 92
    assert counts["received"] == counts["applied"] + counts["unprocessed"] + counts["quarantined"]
    assert counts["applied"] > 0
