"""The labels as files: the same rows in every format, in item_id order, on either database."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq  # noqa: TID253
import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports import FORMATS, export_labels
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.tables import item_uuid
from tests.store.voting import add_items, cast, letters

FIELDS = ["item_id", "data_ref", "modality", "label", "confidence", "solver_count", "created_at"]

ODD = [
    'say "x"', "a,b", "a\nb", "\r\n", "\r", "\t", "\\", "\\N", "=1+1", "+1", "-1", "@x", "NULL", "01", "1.0",
    "é", "e\u0301", "猫", "😀", "\u2028", "\x01", "\x1f", "\x7f", "'", " x ", "</script>", "{}", "[]", "%s",
]  # fmt: skip


def exported(database: Database, fmt: str, **chosen: Any) -> bytes:
    stream = io.BytesIO()
    rows = export_labels(database, stream, fmt, **chosen)
    data = stream.getvalue()
    assert len(parsed(data, fmt)) == rows
    return data


def parsed(data: bytes, fmt: str) -> list[dict[str, Any]]:
    """The rows of an export, values as a training job reads them."""
    if fmt == "parquet":
        return list(pq.read_table(io.BytesIO(data)).to_pylist())
    text = data.decode()
    if fmt == "csv":
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        return [
            row | {"confidence": float(row["confidence"]), "solver_count": int(row["solver_count"])}
            for row in rows
        ]
    return (
        list(json.loads(text)) if fmt == "json" else [json.loads(line) for line in text.split("\n") if line]
    )


def crowd(database: Database, dataset: Dataset, items: int = 60) -> None:
    """Items with 0 to 24 votes, in all states."""
    random = Random(4)
    names = [f"i{number}" for number in range(items)]
    add_items(database, dataset, names)
    votes = [vote for name in names for vote in letters(name, "x" * random.randrange(20))]
    votes += [(random.choice(names), "y") for _ in range(4 * items)]
    cast(database, dataset, votes)
    apply_votes(database, dataset.name, run_id="run")


def test_every_format_holds_the_same_rows_in_item_id_order(database: Database, dataset: Dataset) -> None:
    crowd(database, dataset)
    rows = parsed(exported(database, "jsonl"), "jsonl")
    assert 10 < len(rows) < 60
    assert list(rows[0]) == FIELDS
    ids = [row["item_id"] for row in rows]
    assert ids == sorted(ids)
    for fmt in FORMATS:
        assert parsed(exported(database, fmt), fmt) == rows


def test_a_row_says_what_the_label_is(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, "a")
    cast(database, dataset, letters("a", "xyx" + "xxx" + "yy"))
    apply_votes(database, dataset.name, run_id="run")
    item_id, created = item_uuid("animals", "a"), "2026-11-01T00:00:02.000000Z"
    row = f"{item_id},https://example.org/a.png,image,x,0.816667,6,{created}\n"
    assert exported(database, "csv").decode() == ",".join(FIELDS) + "\n" + row
    values = dict(zip(FIELDS, row.strip().split(","), strict=True)) | {
        "confidence": 0.816667,
        "solver_count": 6,
    }
    assert exported(database, "jsonl").decode() == json.dumps(values) + "\n"
    assert exported(database, "json").decode() == f"[\n{json.dumps(values)}\n]\n"


def test_flagged_discarded_gold_and_unlabeled_items_are_in_no_export(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, ["unlabeled", "flagged", "graduated", "running"])
    add_items(database, dataset, ["gold"], gold="x")
    stands = {"unlabeled": "xy", "flagged": "xxyyyy", "graduated": "x" * 15, "running": "xyx", "gold": "xxx"}
    cast(database, dataset, [vote for name, answers in stands.items() for vote in letters(name, answers)])
    apply_votes(database, dataset.name, run_id="run")

    def names(**chosen: Any) -> set[str]:
        return {row["data_ref"][20:-4] for row in parsed(exported(database, "json", **chosen), "json")}

    assert names() == {"graduated", "running"}
    assert names(graduated=True) == {"graduated"}
    assert names(min_confidence=666_667) == {"graduated", "running"}
    assert names(min_confidence=666_668) == {"graduated"}
    assert names(min_confidence=666_668, graduated=True, dataset_name=dataset.name) == {"graduated"}


def test_one_dataset_or_all_of_them(database: Database, dataset: Dataset) -> None:
    other = create_dataset(database, "other", Policy())
    for each in (dataset, other):
        add_items(database, each, "a")
        cast(database, each, letters("a", "xxx"))
        apply_votes(database, each.name, run_id="run")
    assert len(parsed(exported(database, "csv"), "csv")) == 2
    (row,) = parsed(exported(database, "csv", dataset_name="other"), "csv")
    assert row["item_id"] == item_uuid("other", "a")
    with pytest.raises(BadInputError, match="nothing-here"):
        exported(database, "csv", dataset_name="nothing-here")


@pytest.mark.parametrize("fmt", FORMATS)
def test_odd_labels_leave_as_they_came(database: Database, dataset: Dataset, fmt: str) -> None:
    names = add_items(database, dataset, [f"i{number}" for number in range(len(ODD))])
    cast(database, dataset, [(name, label) for name, label in zip(names, ODD, strict=True) for _ in "123"])
    apply_votes(database, dataset.name, run_id="run")
    found = {row["item_id"]: row["label"] for row in parsed(exported(database, fmt), fmt)}
    assert found == dict(zip(names.values(), ODD, strict=True))


def test_an_empty_dataset_gives_valid_files(database: Database, dataset: Dataset) -> None:
    assert exported(database, "csv").decode() == ",".join(FIELDS) + "\n"
    assert exported(database, "jsonl") == b""
    assert json.loads(exported(database, "json")) == []
    table = pq.read_table(io.BytesIO(exported(database, "parquet")))
    assert table.num_rows == 0
    assert table.schema.names == FIELDS
    assert table.schema.field("confidence").type == pa.float64()
    assert table.schema.field("solver_count").type == pa.int64()


def test_the_bytes_are_the_same_on_either_database(tmp_path: Path, new_postgres: Callable[..., str]) -> None:
    files = []
    for url in (f"sqlite:///{tmp_path / 'hiveguard.db'}", new_postgres()):
        database = open_database(url)
        crowd(database, create_dataset(database, "animals", Policy()))
        files.append([exported(database, fmt) for fmt in FORMATS])
    assert files[0] == files[1]


@pytest.mark.slow
def test_the_memory_of_an_export_does_not_grow_with_its_rows(database_url: str, tmp_path: Path) -> None:
    code = (
        "import re, sys\n"
        "from hiveguard_pipeline.exports import export_labels\n"
        "from hiveguard_pipeline.store.schema import open_database\n"
        "_, url, dataset, fmt, path = sys.argv\n"
        "with open(path, 'wb') as stream:\n"
        "    export_labels(open_database(url), stream, fmt, dataset_name=dataset)\n"
        # Not getrusage: its peak outlives exec and would be that of pytest itself.
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024)"
    )
    database = open_database(database_url)
    peaks: dict[tuple[str, int], int] = {}
    for rows in (20_000, 200_000):
        dataset = create_dataset(database, f"of-{rows}", Policy(consensus_threshold=1))
        names = [f"i{number}" for number in range(rows)]
        add_items(database, dataset, names)
        cast(database, dataset, [(name, "a label of some length") for name in names])
        apply_votes(database, dataset.name, run_id="run")
        for fmt in FORMATS:
            command = [sys.executable, "-c", code, database_url, dataset.name, fmt, str(tmp_path / "out")]
            root = Path(__file__).parents[2]
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
            peaks[fmt, rows] = int(done.stdout)
    page_cache = 256 if database.is_sqlite else 0
    for fmt in FORMATS:
        assert peaks[fmt, 200_000] < peaks[fmt, 20_000] + 100 + page_cache, peaks
