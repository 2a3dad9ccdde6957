"""Votes leave in the order they came, in four formats that say the same, and come back as they were."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq  # noqa: TID253
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.exports import FORMATS, export_votes
from hiveguard_pipeline.intake import import_items, import_votes
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from tests.exports.test_labels import ODD
from tests.store.voting import add_items, cast, letters

ANSWERS = [answer for answer in ODD if answer.strip()]
"""A blank answer could not be imported again."""

FIELDS = [
    "vote_id", "item_id", "external_id", "solver_id", "answer", "duration_ms", "created_at", "gold_label",
    "excluded",
]  # fmt: skip


def exported(database: Database, fmt: str) -> bytes:
    stream = io.BytesIO()
    export_votes(database, stream, fmt, "animals")
    return stream.getvalue()


def parsed(data: bytes, fmt: str) -> list[dict[str, Any]]:
    """Rows with empty for missing, numbers as text, times as they are written."""
    if fmt == "parquet":
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
        rows = [row | {"created_at": t.time_text(row["created_at"])} for row in rows]
    elif fmt == "csv":
        return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))
    else:
        text = data.decode()
        rows = json.loads(text) if fmt == "json" else [json.loads(line) for line in text.split("\n") if line]
    for row in rows:
        assert isinstance(row["excluded"], bool)
        row["excluded"] = str(row["excluded"]).lower()
    return [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]


@pytest.fixture
def crowd(database: Database, dataset: Dataset) -> Dataset:
    """Odd answers, a gold item, durations that are missing or not, and votes of another dataset between."""
    other = create_dataset(database, "other", Policy())
    add_items(database, other, "o")
    add_items(database, dataset, ["a", 'b,"c'])
    add_items(database, dataset, ["gold"], gold="x,y")
    cast(database, dataset, [("a", answer) for answer in ANSWERS])
    cast(database, other, letters("o", "xxx"))
    cast(database, dataset, [*letters('b,"c', "xy"), ("gold", "x,y")], first=100)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE votes SET duration_ms = vote_id * 10 WHERE mod(vote_id, 3) = 0"))
    return dataset


def test_every_format_holds_the_same_votes_in_the_order_they_came(database: Database, crowd: Dataset) -> None:
    rows = parsed(exported(database, "csv"), "csv")
    assert len(rows) == len(ANSWERS) + 3
    assert list(rows[0]) == FIELDS
    ids = [int(row["vote_id"]) for row in rows]
    assert ids == sorted(ids)
    assert [row["answer"] for row in rows[: len(ANSWERS)]] == ANSWERS
    assert {row["duration_ms"] for row in rows} > {"", "30"}
    assert [row["gold_label"] for row in rows[-3:]] == ["", "", "x,y"]
    for fmt in FORMATS:
        assert parsed(exported(database, fmt), fmt) == rows


def test_parquet_has_types_that_a_recount_reads(database: Database, crowd: Dataset) -> None:
    schema = pq.read_table(io.BytesIO(exported(database, "parquet"))).schema
    assert schema.field("vote_id").type == schema.field("duration_ms").type == pa.int64()
    assert schema.field("created_at").type == pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize("fmt", ["csv", "jsonl"])
def test_an_import_of_the_export_gives_the_same_votes(
    database: Database, crowd: Dataset, tmp_path: Path, fmt: str
) -> None:
    (tmp_path / "votes").write_bytes(exported(database, fmt))
    (tmp_path / "items.csv").write_text(
        'external_id,data_ref,modality\na,u,image\n"b,""c",u,image\ngold,u,image\n'
    )
    create_dataset(database, "copy", Policy())
    import_items(database, "copy", tmp_path / "items.csv")
    by_name = tmp_path / "by-name"
    # Ids of items are those of their dataset: a copy under another name goes by the owner's names.
    by_name.write_bytes((tmp_path / "votes").read_bytes().replace(b"item_id", b"former_id"))
    done = import_votes(database, "copy", by_name)
    assert (done.accepted, done.quarantined) == (len(ANSWERS) + 3, 0)
    query = sa.text(
        "SELECT v.solver_id, v.answer, v.duration_ms, v.created_at FROM votes v JOIN items i"
        " ON i.item_id = v.item_id JOIN datasets d ON d.dataset_id = i.dataset_id WHERE d.name = :name"
        " ORDER BY v.vote_id"
    )
    with database.read() as connection:
        assert (
            connection.execute(query, {"name": "copy"}).all()
            == connection.execute(query, {"name": "animals"}).all()
        )
    again = import_votes(database, "animals", tmp_path / "votes")
    assert (again.accepted, again.already_known + again.quarantined) == (0, len(ANSWERS) + 3)


def test_a_dataset_without_votes_gives_valid_files(database: Database, dataset: Dataset) -> None:
    assert exported(database, "csv").decode() == ",".join(FIELDS) + "\n"
    assert exported(database, "jsonl") == b""
    assert json.loads(exported(database, "json")) == []
    assert pq.read_table(io.BytesIO(exported(database, "parquet"))).schema.names == FIELDS
