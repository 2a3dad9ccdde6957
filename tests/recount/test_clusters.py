"""The command on a Spark of several processes: a standalone cluster, and Spark Connect."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.recount.local import parts_of_files, recount_here
from hiveguard_pipeline.recount.output import Result, Source
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.cli.conftest import HIVEGUARD, Terminal, clean_environment
from tests.recount.clusters import WORKERS, plain_python, standalone
from tests.recount.conftest import PASSWORD, free_port
from tests.recount.crowd import STAMP, fill, serialised, shuffled, votes_file, votes_table
from tests.store.voting import standing

# In one process: the cluster is started once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("spark-cluster")]


@pytest.fixture(scope="module")
def cluster(java: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a command whose executors have a plain Python, and the options that it needs."""
    folder = tmp_path_factory.mktemp("cluster")
    with standalone(folder, [free_port() for _ in range(2 + WORKERS)]) as address:
        yield {"address": address, "python": str(plain_python(folder))}


def terminal(folder: Path, **environment: str) -> Terminal:
    home = {"HIVEGUARD_HOME": str(folder / "home"), "SPARK_LOCAL_IP": "127.0.0.1"}
    return Terminal(clean_environment() | home | environment, folder).process


def here(votes: str, output: Path) -> dict[str, bytes]:
    recount_here(parts_of_files(votes, STAMP), Source(votes), STAMP, str(output))
    return serialised(str(output))


def on(cluster: dict[str, str]) -> list[str]:
    return [
        *("--engine", "spark", "--master", cluster["address"]),
        *("--conf", "spark.driver.host=127.0.0.1", "--conf", f"spark.ui.port={free_port()}"),
    ]


def test_two_workers_give_the_bytes_of_the_local_engine(cluster: dict[str, str], tmp_path: Path) -> None:
    votes = votes_file(tmp_path, shuffled(votes_table(votes=60_000, items=4_000)))
    run = terminal(tmp_path, PYSPARK_PYTHON=cluster["python"])
    done = run("recount", *on(cluster), "--votes", votes, "--output", tmp_path / "out", "--lines")
    assert serialised(str(tmp_path / "out")) == here(votes, tmp_path / "here")
    assert f"at {cluster['address']}, http://" in done.stderr
    assert "tasks)" in done.stderr
    assert len(list((tmp_path / "out" / "labels").glob("*.parquet"))) == WORKERS


def test_two_workers_read_over_jdbc_and_the_result_goes_into_the_database(
    cluster: dict[str, str], tcp_postgres: str, jdbc_jar: str, tmp_path: Path
) -> None:
    database = open_database(tcp_postgres)
    by_recount, by_runs = (create_dataset(database, name, Policy()) for name in ("recount", "runs"))
    for dataset in (by_recount, by_runs):
        fill(database, dataset)
    apply_votes(database, "runs", run_id="run")
    run = terminal(tmp_path, PYSPARK_PYTHON=cluster["python"], HIVEGUARD_DATABASE_URL=tcp_postgres)
    (row,) = run.rows(
        *("recount", *on(cluster), "--dataset", "recount", "--into-database", "--output", tmp_path / "out")
    )
    assert row["rows_written"] == row["ledger_rows"] > 40
    assert standing(database, by_recount) == standing(database, by_runs)
    assert verify(database, "recount").findings == []
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes()


def test_spark_connect_gives_the_bytes_of_the_local_engine(java: str, tmp_path: Path) -> None:
    votes = votes_file(tmp_path, shuffled(votes_table()))
    run = terminal(tmp_path, SPARK_REMOTE="local[2]", **ANY_PORT)
    run("recount", "--engine", "spark", "--votes", votes, "--output", tmp_path / "out")
    assert serialised(str(tmp_path / "out")) == here(votes, tmp_path / "here")
    assert Result(str(tmp_path / "out")).manifest.engine == "spark"
    told = run.refused("recount", "--engine", "spark", "--votes", tmp_path / "no", "--output", tmp_path / "o")
    assert "PATH_NOT_FOUND" in told
    assert not (tmp_path / "o").exists()


# PySpark's own switch for tests: the server of a local Spark Connect listens at any free port, not at 15002.
ANY_PORT = {"SPARK_TESTING": "1"}

READ_BY_CONNECT = """
import os, sys, time, urllib.request
from hiveguard_pipeline.recount.output import Source
from hiveguard_pipeline.recount.session import JDBC_JAR, Place, session
from hiveguard_pipeline.recount.spark import recount_on_spark, votes_of_database
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset
from tests.recount.crowd import STAMP
url, output, port = sys.argv[1:]
database = Database(url)
with database.read() as connection:
    dataset = get_dataset(connection, "animals")
with session(Place(None, (("spark.ui.port", port), ("spark.ui.enabled", "true")), (JDBC_JAR,)), "t") as spark:
    votes = votes_of_database(spark, database, dataset, 10**6)
    recount_on_spark(spark, votes, Source("here", "animals", 10**6, 0), STAMP, output)
    for page in ("connect/", "SQL/", "environment/", "jobs/", "stages/"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=30) as answer:
            print(page, answer.read().decode())
"""


def test_spark_connect_reads_over_jdbc_with_the_password_of_its_own_file_and_shows_none(
    java: str, jdbc_jar: str, tcp_postgres: str, tmp_path: Path
) -> None:
    database = open_database(tcp_postgres)
    fill(database, create_dataset(database, "animals", Policy()))
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"*:*:*:crowd:{PASSWORD}\n")
    passwords.chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-c", READ_BY_CONNECT, tcp_postgres, str(tmp_path / "out"), str(free_port())],
        env=clean_environment() | {"SPARK_REMOTE": "local[2]", "PGPASSFILE": str(passwords)} | ANY_PORT,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Result(str(tmp_path / "out")).manifest.rows["ledger"] > 40
    assert "jdbc" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr


def _hear_interrupts() -> None:
    """A process that a shell started in the background hands on that interrupts are to be ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_takes_spark_with_it_and_leaves_no_result(
    how: signal.Signals, java: str, tmp_path: Path
) -> None:
    votes = votes_file(tmp_path, votes_table(votes=400_000, items=20_000))
    command = [HIVEGUARD, "recount", "--engine", "spark", "--master", "local[1]", "--lines"]
    command += ["--votes", votes, "--output", str(tmp_path / "out")]
    environment = clean_environment() | {"SPARK_LOCAL_IP": "127.0.0.1"}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_interrupts
    ) as process:
        try:
            assert process.stderr is not None
            assert "Spark 4" in process.stderr.readline()
            processes = psutil.Process(process.pid).children(recursive=True)
            assert any("java" in child.name() for child in processes)
            process.send_signal(how)
            assert process.wait(60) == 130
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_command_ends_when_the_process_that_it_was_told_of_has_ended(java: str, tmp_path: Path) -> None:
    votes = votes_file(tmp_path, votes_table(votes=400_000, items=20_000))
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([*sys.argv[1:], '--end-with', str(os.getpid())], stderr=subprocess.PIPE)\n"
        "child.stderr.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [HIVEGUARD, "recount", "--engine", "spark", "--master", "local[1]", "--lines"]
    command += ["--votes", votes, "--output", str(tmp_path / "out")]
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *command],
        env=os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        processes = [child, *child.children(recursive=True)]
    finally:
        parent.kill()
        parent.wait()
    started = time.monotonic()
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert alive == [], time.monotonic() - started
    assert not (tmp_path / "out" / "manifest.json").exists()
