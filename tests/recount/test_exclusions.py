"""A recount leaves the votes of excluded solvers out, wherever it reads them, and finds the store so."""

import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # noqa: TID253
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports import export_votes
from hiveguard_pipeline.recount.job import Request, recount_votes, write_result
from hiveguard_pipeline.recount.local import parts_of_files, recount_here
from hiveguard_pipeline.recount.output import Result, Source
from hiveguard_pipeline.recount.session import Place
from hiveguard_pipeline.recount.spark import recount_on_spark, votes_of_files
from hiveguard_pipeline.retraction import exclude, restore
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.recount.crowd import STAMP, fill, serialised
from tests.store.voting import standing

WHO = {"actor": "lead", "reason": "a test"}


def with_exclusions(database: Database, dataset: Dataset) -> list[str]:
    """A crowd of which every ninth voter is excluded after a run; returns the excluded."""
    fill(database, dataset)
    apply_votes(database, dataset.name, run_id="run")
    with database.read() as connection:
        solvers = connection.execute(
            sa.text(
                "SELECT solver_id FROM votes v JOIN items i ON i.item_id = v.item_id"
                " WHERE i.dataset_id = :dataset ORDER BY vote_id"
            ),
            {"dataset": dataset.dataset_id},
        )
        excluded = list(solvers.scalars())[::9]
    assert exclude(database, dataset.name, excluded, **WHO).recounted > 20
    return excluded


def recount(database: Database, output: Path, engine: str = "local", **asked: Any) -> dict[str, bytes]:
    request = Request(engine, "r", "animals", output=str(output), **asked)
    recount_votes(request, database, lambda *_: None, lambda _: None)
    return serialised(str(output))


def exported(database: Database, path: Path) -> str:
    with path.open("wb") as stream:
        export_votes(database, stream, "parquet", "animals")
    return str(path)


def test_a_recount_of_the_database_or_of_its_export_finds_the_store_as_exclusions_left_it(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    excluded = with_exclusions(database, dataset)
    votes = exported(database, tmp_path / "votes.parquet")
    marked = pq.read_table(io.BytesIO(Path(votes).read_bytes())).to_pylist()
    assert sum(row["excluded"] for row in marked) == len(excluded)
    assert {row["solver_id"] for row in marked if row["excluded"]} == set(excluded)
    from_file = recount(database, tmp_path / "file", votes=votes)
    assert recount(database, tmp_path / "database") == from_file
    before = standing(database, dataset)
    for folder in ("file", "database"):
        done = write_result(database, "animals", str(tmp_path / folder), "r")
        assert (done.extended, done.new_generations, done.ledger_rows) == (0, 0, 0)
    assert standing(database, dataset) == before


def test_a_recount_that_read_other_votes_is_refused(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    excluded = with_exclusions(database, dataset)
    votes = exported(database, tmp_path / "votes.parquet")
    recount(database, tmp_path / "database")
    restore(database, "animals", excluded[:3], **WHO)
    with pytest.raises(BadInputError, match="excluded, restored or withdrawn since"):
        write_result(database, "animals", str(tmp_path / "database"), "r")
    recount(database, tmp_path / "file", votes=votes)
    with pytest.raises(BadInputError, match="recount of other votes"):
        write_result(database, "animals", str(tmp_path / "file"), "r")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_spark_leaves_them_out_as_well(
    spark: Any,
    jdbc_jar: str,
    kind: str,
    tcp_postgres: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from contextlib import nullcontext

    monkeypatch.setattr("hiveguard_pipeline.recount.job.session", lambda *_: nullcontext(spark))
    database = open_database(f"sqlite:///{tmp_path / 'h.db'}" if kind == "sqlite" else tcp_postgres)
    with_exclusions(database, create_dataset(database, "animals", Policy()))
    expected = recount(database, tmp_path / "here")
    assert recount(database, tmp_path / "spark", "spark", place=Place("local[2]")) == expected
    votes = exported(database, tmp_path / "votes.parquet")
    recount_here(parts_of_files(votes, STAMP), Source(votes), STAMP, str(tmp_path / "file"))
    recount_on_spark(spark, votes_of_files(spark, votes), Source(votes), STAMP, str(tmp_path / "spark-file"))
    assert serialised(str(tmp_path / "spark-file")) == serialised(str(tmp_path / "file"))
    assert Result(str(tmp_path / "file")).manifest.votes == Result(str(tmp_path / "here")).manifest.votes
