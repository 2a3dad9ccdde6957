"""The lean way out, for a process that only exports: the same bytes, and one SQLite library."""

import io
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.exports import FORMATS, export_directly, export_labels
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from tests.dagster_location.fresh import imported_by, mapped_files, run_python
from tests.store.voting import add_items, cast, letters

from .test_labels import ODD, crowd

EXPORT = """
from pathlib import Path
from hiveguard_pipeline.exports.direct import export_directly
with Path({output!r}).open("wb") as stream:
    rows = export_directly({url!r}, stream, {fmt!r}, **{chosen!r})
"""
CHOICES: list[dict[str, Any]] = [
    {},
    {"graduated": True},
    {"min_confidence": 800_000},
    {"dataset_name": "animals"},
    {"dataset_name": "odd"},
]


def odd_labels(database: Database) -> None:
    """Labels that have to be quoted, times that are not there, and references that are empty."""
    dataset = create_dataset(database, "odd", Policy())
    names = [str(place) for place in range(len(ODD))]
    add_items(database, dataset, names)
    cast(database, dataset, [(name, odd) for name, odd in zip(names, ODD, strict=True) for _ in range(3)])
    apply_votes(database, "odd", run_id="run")
    with database.write() as connection:
        connection.execute(sa.text("UPDATE items SET data_ref = '' WHERE external_id IN ('1', '4')"))
        connection.execute(
            sa.text(
                "UPDATE labels SET created_at = NULL WHERE item_id IN"
                " (SELECT item_id FROM items WHERE external_id IN ('2', '4'))"
            )
        )


@pytest.mark.parametrize("fmt", FORMATS)
def test_it_writes_the_bytes_of_the_ordinary_way(
    database: Database, database_url: str, dataset: Dataset, fmt: str, tmp_path: Path
) -> None:
    crowd(database, dataset)
    odd_labels(database)
    direct = database.is_sqlite or fmt == "csv"
    for chosen in CHOICES if fmt == "csv" else CHOICES[:2]:
        output = tmp_path / "labels"
        code = EXPORT.format(output=str(output), url=database_url, fmt=fmt, chosen=chosen)
        done = run_python(f"{code}\nprint(rows)", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        stream = io.BytesIO()
        rows = export_labels(database, stream, fmt, **chosen)
        assert rows > 0
        assert done.stdout.split() == [str(rows) if direct else "None"]
        assert output.read_bytes() == (stream.getvalue() if direct else b"")


@pytest.mark.parametrize("fmt", ["csv", "jsonl"])
def test_it_loads_one_sqlite_library_and_nothing_heavy(
    database: Database, database_url: str, dataset: Dataset, fmt: str, tmp_path: Path
) -> None:
    if not database.is_sqlite and fmt != "csv":
        pytest.skip("PostgreSQL writes csv alone by itself")
    crowd(database, dataset)
    code = EXPORT.format(output=str(tmp_path / "labels"), url=database_url, fmt=fmt, chosen={})
    heavy = ["sqlite3", "sqlalchemy", "pandas", "adbc_driver_sqlite", "psycopg2"]
    expected = {"adbc_driver_sqlite"} if database.is_sqlite else {"psycopg2"}
    assert imported_by(f"{code}\nassert rows", heavy, tmp_path) == expected


def test_a_process_that_has_used_sqlite_goes_on_with_the_library_it_has(
    database: Database, database_url: str, dataset: Dataset
) -> None:
    crowd(database, dataset)
    stream = io.BytesIO()
    rows = export_directly(database_url, stream, "csv")
    assert (rows is None) == database.is_sqlite
    mapped = mapped_files(Path("/proc/self/maps").read_text())
    assert any("_sqlite3" in path for path in mapped)
    assert [path for path in mapped if "adbc" in path] == []


def test_what_it_cannot_do_it_leaves_to_the_ordinary_way(
    database: Database, database_url: str, dataset: Dataset, tmp_path: Path
) -> None:
    add_items(database, dataset, "a")
    cast(database, dataset, letters("a", "xxx"))
    apply_votes(database, dataset.name, run_id="run")
    absent = f"sqlite:///{tmp_path / 'absent.db'}"
    for url, chosen in ((database_url, {"dataset_name": "nobody"}), (absent, {}), ("postgresql:///%", {})):
        code = EXPORT.format(output=str(tmp_path / "labels"), url=url, fmt="csv", chosen=chosen)
        done = run_python(f"{code}\nprint(rows)", cwd=tmp_path)
        assert (done.returncode, done.stdout.split()) == (0, ["None"]), done.stderr
        assert (tmp_path / "labels").read_bytes() == b""
    assert not (tmp_path / "absent.db").exists()
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    code = EXPORT.format(output=str(tmp_path / "labels"), url=database_url, fmt="csv", chosen={})
    assert run_python(f"{code}\nprint(rows)", cwd=tmp_path).stdout.split() == ["None"]
