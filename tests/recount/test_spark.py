"""Spark gives the bytes of the local engine: from files, over JDBC, into a folder or into the database."""

import os
import urllib.request
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.errors import BadInputError, HiveGuardError
from hiveguard_pipeline.recount.job import Request, recount_votes
from hiveguard_pipeline.recount.local import parts_of_database, parts_of_files, recount_here
from hiveguard_pipeline.recount.output import Result, Source
from hiveguard_pipeline.recount.session import Place, one_line_errors, session
from hiveguard_pipeline.recount.spark import (
    jdbc_address,
    recount_on_spark,
    votes_of_database,
    votes_of_files,
)
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset, get_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.recount.conftest import PASSWORD
from tests.recount.crowd import STAMP, fill, more, serialised, shuffled, votes_file, votes_table
from tests.store.voting import cast, standing


def here(votes: str, output: Path) -> dict[str, bytes]:
    recount_here(parts_of_files(votes, STAMP), Source(votes), STAMP, str(output))
    return serialised(str(output))


def on_spark(spark: Any, votes: str, output: Path) -> dict[str, bytes]:
    with one_line_errors():
        recount_on_spark(spark, votes_of_files(spark, votes), Source(votes), STAMP, str(output))
    return serialised(str(output))


@pytest.mark.slow
def test_spark_and_the_local_engine_give_the_same_bytes(spark: Any, tmp_path: Path) -> None:
    gold = pa.array([None] * 4_900 + ["cat"] * 100, pa.string())
    votes = votes_file(tmp_path, shuffled(votes_table().append_column("gold_label", gold)))
    assert on_spark(spark, votes, tmp_path / "spark") == here(votes, tmp_path / "here")
    manifests = [Result(str(tmp_path / name)).manifest for name in ("spark", "here")]
    for field in ("votes", "horizon", "rows", "states", "policy"):
        assert len({str(getattr(manifest, field)) for manifest in manifests}) == 1, field
    assert len(manifests[0].states) == 4


@pytest.mark.slow
def test_items_that_span_arrow_batches_and_partitions_of_many_sizes_change_nothing(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    votes = votes_file(tmp_path, shuffled(votes_table(votes=30_000, items=500)))
    expected = here(votes, tmp_path / "here")
    usual = spark.conf.get("spark.sql.execution.arrow.maxRecordsPerBatch")
    try:
        for number, (rows, tasks) in enumerate(((7, 1), (1_000, 5))):
            spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(rows))
            monkeypatch.setattr("hiveguard_pipeline.recount.spark._partitions", lambda *_, n=tasks: n)
            assert on_spark(spark, votes, tmp_path / f"spark-{number}") == expected
    finally:
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", usual)


@pytest.mark.slow
def test_what_spark_wrote_is_read_as_votes_and_no_votes_are_an_empty_result(
    spark: Any, tmp_path: Path
) -> None:
    votes = votes_file(tmp_path, votes_table())
    spark.read.parquet(votes).repartition(3).write.parquet(str(tmp_path / "folder"))
    expected = here(votes, tmp_path / "here")
    assert on_spark(spark, str(tmp_path / "folder"), tmp_path / "spark") == expected
    assert here(str(tmp_path / "folder"), tmp_path / "here-again") == expected
    none = votes_file(tmp_path, votes_table().slice(0, 0), "none.parquet")
    assert on_spark(spark, none, tmp_path / "none-spark") == here(none, tmp_path / "none-here")


@pytest.mark.slow
def test_a_taken_folder_bad_votes_and_absent_files_are_one_line_and_leave_nothing(
    spark: Any, tmp_path: Path
) -> None:
    votes = votes_file(tmp_path, votes_table())
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("kept")
    with pytest.raises(BadInputError, match="holds something already"):
        on_spark(spark, votes, tmp_path / "taken")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["mine"]

    twice = votes_file(
        tmp_path, pa.concat_tables([votes_table(), votes_table().slice(70, 1)]), "twice.parquet"
    )
    with pytest.raises(HiveGuardError, match=r"^Spark: vote \d+ comes twice") as told:
        on_spark(spark, twice, tmp_path / "out")
    assert "\n" not in str(told.value)
    with pytest.raises(HiveGuardError, match=r"absent\.parquet") as told:
        on_spark(spark, str(tmp_path / "absent.parquet"), tmp_path / "out")
    assert "\n" not in str(told.value)
    with pytest.raises(BadInputError, match="no column answer"):
        on_spark(spark, votes_file(tmp_path, votes_table().drop_columns(["answer"])), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def filled(url: str) -> Database:
    database = open_database(url)
    fill(database, create_dataset(database, "animals", Policy()))
    return database


@pytest.mark.slow
def test_votes_come_over_jdbc_and_the_password_shows_nowhere(
    spark: Any, jdbc_jar: str, tcp_postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hiveguard_pipeline.recount.spark.VOTES_A_CONNECTION", 200)
    database = filled(tcp_postgres)
    with database.read() as connection:
        dataset = named_animals(connection)
        horizon = connection.exec_driver_sql("SELECT max(vote_id) FROM votes").scalar_one()
    votes = votes_of_database(spark, database, dataset, horizon)
    assert votes.rdd.getNumPartitions() == -(-horizon // 200)
    source = Source("here", "animals", horizon, 0)
    recount_on_spark(spark, votes, source, STAMP, str(tmp_path / "spark"))
    recount_here(parts_of_database(database, dataset, horizon, STAMP), source, STAMP, str(tmp_path / "here"))
    assert serialised(str(tmp_path / "spark"), ()) == serialised(str(tmp_path / "here"), ())

    plan = votes._jdf.queryExecution().toString()
    assert "JDBCRelation" in plan
    address = spark.sparkContext.uiWebUrl
    app = spark.sparkContext.applicationId
    pages = [
        "environment/",
        "SQL/",
        "jobs/",
        "stages/",
        f"api/v1/applications/{app}/sql?details=true&length=1000",
    ]
    pages += [f"SQL/execution/?id={number}" for number in range(60)]
    shown = plan
    for page in pages:
        try:
            with urllib.request.urlopen(f"{address}/{page}", timeout=30) as answer:
                shown += answer.read().decode()
        except urllib.error.HTTPError:
            continue
    assert "JDBCRelation" in shown.replace(plan, "")
    for secret in (PASSWORD, PASSWORD.replace("/", "%2F").replace("@", "%40"), "3c8f"):
        assert secret not in shown
    assert str(jdbc_address(database)).count("@") == 0


def named_animals(connection: Any) -> Any:
    return get_dataset(connection, "animals")


@pytest.mark.slow
def test_a_database_that_refuses_spark_is_named_without_its_password(
    spark: Any, jdbc_jar: str, tcp_postgres: str
) -> None:
    database = filled(tcp_postgres)
    wrong = Database(tcp_postgres.replace(str(database.url.database), "no_such_database"))
    with database.read() as connection:
        dataset = named_animals(connection)
    with pytest.raises(HiveGuardError, match="no_such_database") as told, one_line_errors():
        votes_of_database(spark, wrong, dataset, 10)
    assert "\n" not in str(told.value)
    assert PASSWORD not in str(told.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_recount_on_spark_into_the_database_is_what_runs_would_have_made(
    spark: Any, kind: str, tcp_postgres: str, tmp_path: Path, shared_session: None, jdbc_jar: str
) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'h.db'}" if kind == "sqlite" else tcp_postgres)
    by_recount, by_runs = (create_dataset(database, name, Policy()) for name in ("recount", "runs"))
    for dataset in (by_recount, by_runs):
        fill(database, dataset)
        apply_votes(database, dataset.name, run_id="run")
        cast(database, dataset, more(Random(2), [f"i{number}" for number in range(30)], 300), first=900)
    place = Place("local[2]")
    asked = Request("spark", "spark", "recount", into_database=True, place=place)
    lines: list[str] = []
    done = recount_votes(asked, database, lambda *_: None, lines.append)
    apply_votes(database, "runs", run_id="run")
    assert standing(database, by_recount) == standing(database, by_runs)
    assert verify(database, "recount").findings == []
    assert done.written is not None
    assert done.written.extended > 5
    assert lines[-1] == "writing the result into the database"
    assert ("reading the votes out of the database" in lines) == (kind == "sqlite")


@pytest.fixture
def shared_session(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole recounts of this process use the session that is there: a process has one Spark."""
    from contextlib import nullcontext

    monkeypatch.setattr("hiveguard_pipeline.recount.job.session", lambda *_: nullcontext(spark))


def test_a_remote_spark_wants_a_place_that_it_reaches(
    tmp_path: Path, new_postgres: Callable[..., str]
) -> None:
    for url in (f"sqlite:///{tmp_path / 'h.db'}", new_postgres()):
        database = filled(url)
        place = Place("spark://127.0.0.1:1")
        with pytest.raises(BadInputError, match="--output is wanted"):
            recount_votes(
                Request("spark", "r", "animals", into_database=True, place=place), database, print, print
            )
        with pytest.raises(BadInputError, match=r"over TCP only.*votes export"):
            recount_votes(
                Request("spark", "r", "animals", output=str(tmp_path / "out"), place=place),
                database,
                print,
                print,
            )


def test_what_is_not_installed_is_named_with_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(HiveGuardError, match="openjdk-17-jre-headless"), session(Place("local[1]"), "t"):
        pass
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch()
    os.chmod(tmp_path / "bin" / "java", 0o755)
    place = Place("local[1]", jars=(str(tmp_path / "absent.jar"),))
    with pytest.raises(HiveGuardError, match="libpostgresql-jdbc-java"), session(place, "t"):
        pass
    monkeypatch.setitem(__import__("sys").modules, "pyspark", None)
    with pytest.raises(HiveGuardError, match=r"hiveguard-pipeline\[spark\]"), session(Place("local[1]"), "t"):
        pass
