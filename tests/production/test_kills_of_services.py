"""Every process of a production deployment is killed -9 while votes come in and runs go: nothing is lost.

PostgreSQL (with the store and Dagster's storage), code server, daemon and webserver are started as
`deploy/` starts them, with its dagster.yaml, workspace.yaml, roles and grants.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.backlog import Position, look
from hiveguard_pipeline.store.bulk import append, read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.production.observer import Observer, now, overlaps, runs, standing, succeeded_since
from tests.production.services import BIN, DEPLOY, Postgres, Service, answers_http, free_port, wait_for
from tests.production.writer import Writer
from tests.races.crowd import add_items, outcome

DATASETS = ("animals", "birds", "signs", "words")
ITEMS_A_DATASET = 300
SILENCE_SECONDS = 30
"""How long a run may be silent here; ten minutes by default."""


class Deployment:
    """PostgreSQL and the three services, on an empty machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Postgres(folder / "postgres")
        self.home = folder / "dagster"
        self.home.mkdir()
        for name in ("dagster.yaml", "workspace.yaml"):
            shutil.copy(DEPLOY / name, self.home)
        port = str(self.postgres.port)
        self.webserver_port = free_port()
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("HIVEGUARD", "DAGSTER"))
            },
            "HIVEGUARD_HOME": str(folder / "home"),
            "HIVEGUARD_DATABASE_URL": f"postgresql://hiveguard_pipeline@127.0.0.1:{port}/hiveguard",
            "HIVEGUARD_RUN_SILENCE_SECONDS": str(SILENCE_SECONDS),
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": port,
            "DAGSTER_PG_USER": "dagster",
            "DAGSTER_PG_PASSWORD": "not asked for",
            "DAGSTER_PG_DB": "dagster",
            "HIVEGUARD_CODE_SERVER_HOST": "127.0.0.1",
            "HIVEGUARD_CODE_SERVER_PORT": str(free_port()),
            "HIVEGUARD_WEBSERVER_HOST": "127.0.0.1",
            "HIVEGUARD_WEBSERVER_PORT": str(self.webserver_port),
        }
        names = ("code-server", "daemon", "webserver")
        self.services = {name: Service(name, self.environment, folder) for name in names}

    def set_up(self) -> Database:
        """Roles, tables and grants, as the documentation says; the store, as its owner."""
        self.postgres.start()
        self.postgres.make_roles(self.folder / "secrets")
        owner = f"postgresql://hiveguard_owner@127.0.0.1:{self.postgres.port}/hiveguard"
        for command in (["hiveguard", "init"], ["dagster", "instance", "migrate"]):
            subprocess.run(
                [BIN / command[0], *command[1:]],
                cwd=self.folder,
                env={**self.environment, "HIVEGUARD_DATABASE_URL": owner},
                check=True,
                capture_output=True,
                timeout=60,
            )
        self.postgres.grant()
        return open_database(owner)

    def start_again_what_ended(self) -> bool:
        """Be the service manager."""
        for service in self.services.values():
            service.start_again_if_it_ended()
        return True

    def serves(self) -> bool:
        """Whether the web interface answers."""
        return answers_http(f"http://127.0.0.1:{self.webserver_port}/server_info")

    def files(self) -> list[str]:
        """The files in the homes of Dagster and HiveGuard."""
        made = [path for home in ("dagster", "home") for path in (self.folder / home).rglob("*")]
        return sorted(str(path.relative_to(self.folder)) for path in made if path.is_file())

    def stop(self) -> None:
        """End everything."""
        for service in self.services.values():
            service.stop()
        self.postgres.kill()


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    # Not in pytest's own folder: another session at the same time would clean that away.
    with tempfile.TemporaryDirectory(prefix="hiveguard-production-") as folder:
        made = Deployment(Path(folder))
        try:
            yield made
        finally:
            made.stop()


@pytest.mark.slow
def test_each_service_killed_in_turn_loses_nothing_and_applies_nothing_twice(
    deployment: Deployment, tmp_path: Path
) -> None:
    postgres, services = deployment.postgres, deployment.services
    database = deployment.set_up()
    items = _datasets_with_items(database)

    for service in services.values():
        service.start()
    with ExitStack() as stack:
        observer = stack.enter_context(Observer(postgres))
        writer = stack.enter_context(Writer(postgres, items))
        began = now()

        def all_have_succeeded_since(moment: float) -> Callable[[], bool]:
            return lambda: (
                deployment.start_again_what_ended() and succeeded_since(postgres, moment) == set(DATASETS)
            )

        wait_for("a dataset has no run that succeeded", all_have_succeeded_since(began), 180)
        wait_for("the web interface does not answer", deployment.serves, 60)

        _say("kill the webserver")
        services["webserver"].kill()
        assert not deployment.serves()
        services["webserver"].start()

        with _runs_in_the_middle(postgres):
            dataset, run_id = runs(postgres, "STARTED")[0]
            _say("kill a run worker")
            os.kill(_worker(postgres, run_id), signal.SIGKILL)
        wait_for(
            f"the killed run {run_id} of {dataset} is not seen",
            lambda: (dataset, run_id) in runs(postgres, "FAILURE"),
            60,
        )

        with _runs_in_the_middle(postgres):
            _say("kill the daemon")
            services["daemon"].kill()
        moment = now()
        services["daemon"].start()
        wait_for("runs after the daemon's end", all_have_succeeded_since(moment), 180)

        with _runs_in_the_middle(postgres):
            hanging = runs(postgres, "STARTED")
            _say("kill the code server and its runs")
            services["code-server"].kill()
        moment = now()
        services["code-server"].start()
        wait_for("runs after the code server's end", all_have_succeeded_since(moment), 180)
        assert set(hanging) <= set(runs(postgres, "FAILURE"))

        # As many at work as may be, so that none is being launched: Dagster would put that one back into
        # the queue and start it twice. A service manager leaves no orphan.
        with _runs_in_the_middle(postgres, at_least=len(DATASETS)):
            orphans = runs(postgres, "STARTED")
            _say("kill the code server alone")
            services["code-server"].kill(alone=True)
            services["code-server"].start()
        wait_for("the orphaned runs do not end", lambda: set(orphans) <= set(runs(postgres, "SUCCESS")), 60)

        with _runs_in_the_middle(postgres):
            _say("kill PostgreSQL")
            postgres.kill()
        moment = now()
        postgres.start()
        wait_for("runs after PostgreSQL's end", all_have_succeeded_since(moment), 180)

        wait_for("the web interface does not answer", deployment.serves, 60)
        _say("the last votes")
        writer.stop()
        wait_for("votes are left that a run would apply", lambda: _is_settled(deployment, database), 180)

    assert writer.failures, "no write met an outage: the test tests nothing"
    _say("look at what is there")
    _nothing_was_lost(database, writer)
    assert [verify(database, name).findings for name in DATASETS] == [[]] * len(DATASETS)
    assert outcome(database) == outcome(_undisturbed(database, items, tmp_path))

    assert observer.looks > 100
    assert observer.most_together > 1, "runs of several datasets were never at work at once"
    assert dict(observer.most) == dict.fromkeys(DATASETS, 1)
    assert overlaps(postgres) == []
    # Nothing is kept on the local disk: not by Dagster, not by us.
    assert deployment.files() == ["dagster/dagster.yaml", "dagster/workspace.yaml"]


def _say(what: str) -> None:
    """Shown where the test fails, and with -s."""
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", flush=True)


def _datasets_with_items(database: Database) -> list[str]:
    return [
        item
        for name in DATASETS
        for item in add_items(database, create_dataset(database, name, Policy()), ITEMS_A_DATASET)
    ]


@contextmanager
def _runs_in_the_middle(postgres: Postgres, at_least: int = 2) -> Iterator[None]:
    """Holds runs where they have read their votes and begin to write the ledger."""
    holder = postgres.connect("hiveguard")
    holder.autocommit = False
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE batches IN SHARE MODE")
    try:
        wait_for(f"there are no {at_least} runs that write", lambda: _held(postgres) >= at_least, 180)
    except AssertionError:
        _say(standing(postgres))
        raise
    try:
        yield
    finally:
        holder.close()


def _held(postgres: Postgres) -> int:
    """Runs that wait: for the ledger, or, to measure quality, for a run that does."""
    (row,) = postgres.rows(
        "hiveguard",
        "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
        " WHERE NOT l.granted AND a.application_name = 'hiveguard'",
    )
    return int(row[0])


def _worker(postgres: Postgres, run_id: str) -> int:
    """The process of a run, by the event that it wrote at its start."""
    rows = postgres.rows("dagster", f"SELECT event FROM event_logs WHERE run_id = '{run_id}'")
    (pid,) = {
        found[1] for row in rows if (found := re.search(r"Started process for run \(pid: (\d+)\)", row[0]))
    }
    return int(pid)


def _is_settled(deployment: Deployment, database: Database) -> bool:
    deployment.start_again_what_ended()
    live = runs(deployment.postgres, "NOT_STARTED", "QUEUED", "STARTING", "STARTED", "CANCELING")
    return not live and not look(database, Position()).position.due


def _nothing_was_lost(database: Database, writer: Writer) -> None:
    with database.read() as connection:
        rows = connection.execute(sa.text("SELECT CAST(item_id AS text), solver_id, answer FROM votes"))
        there = {(item, solver): answer for item, solver, answer in rows}
    assert there == writer.acknowledged


def _undisturbed(database: Database, items: list[str], folder: Path) -> Database:
    """A fresh store in which each dataset's votes were applied at once."""
    types: dict[str, Any] = {"vote_id": int, "item_id": str, "solver_id": str, "answer": str}
    with database.read() as connection:
        votes = read_columns(
            connection,
            "SELECT vote_id, CAST(item_id AS text) AS item_id, solver_id, answer FROM votes ORDER BY vote_id",
            {},
            types,
        )
    calm = open_database(f"sqlite:///{folder / 'calm.db'}")
    assert _datasets_with_items(calm) == items
    created = pa.repeat(pa.scalar("2026-01-01T00:00:00.000000Z"), len(votes["vote_id"]))
    with calm.write() as connection:
        append(connection, "votes", {**votes, "vote_id": np.asarray(votes["vote_id"]), "created_at": created})
    for name in DATASETS:
        apply_votes(calm, name, run_id="calm")
    return calm
