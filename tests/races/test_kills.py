"""Kill -9 at any moment of a run: after the next run every vote is applied exactly once."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.status import vote_counts
from tests.races.crowd import add_items, add_votes, outcome

ROOT = Path(__file__).parents[2]
KILLS = 22
KILLS_OF_DAGSTER = 4
VOTES = 20_000


@pytest.mark.slow
def test_a_run_killed_at_random_moments_leaves_every_vote_applied_once(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    dataset = create_dataset(database, "animals", Policy())
    items = add_items(database, dataset, 4_000)
    moments = random.Random(7)
    unfinished, whole = 0, _time_of_a_run(database_url, database, items)
    for kill in range(1, KILLS + 1):
        add_votes(database, items, VOTES, kill * VOTES, seed=kill)
        with _start(database_url) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "go\n"
            time.sleep(moments.uniform(0, whole * 1.1))
            child.send_signal(signal.SIGKILL)
            came_late = "done" in child.stdout.read()
        unfinished += not came_late
        # Runs get shorter as items graduate, and the machine is not always as quick.
        whole *= 0.7 if came_late else 1.1
        assert verify(database, "animals").findings == []
    assert unfinished >= KILLS // 3, "most kills came after the run: the test tests nothing"

    apply_votes(database, "animals", run_id="last")
    assert verify(database, "animals").findings == []
    with database.read() as connection:
        counts = vote_counts(connection, dataset)
    assert counts["received"] == (KILLS + 1) * VOTES
    assert counts["applied"] + counts["unprocessed"] == counts["received"]
    labels, ledger = outcome(database)

    calm = open_database(f"sqlite:///{tmp_path / 'calm.db'}")
    calm_items = add_items(calm, create_dataset(calm, "animals", Policy()), 4_000)
    for round_ in range(KILLS + 1):
        add_votes(calm, calm_items, VOTES, round_ * VOTES, seed=round_)
    apply_votes(calm, "animals", run_id="calm")
    assert (labels, ledger) == outcome(calm)


@pytest.mark.slow
def test_the_main_job_killed_at_random_moments_is_made_good_by_the_next(
    environment: dict[str, str], database: Database
) -> None:
    dataset = create_dataset(database, "animals", Policy())
    items = add_items(database, dataset, 500)
    command = [str(Path(sys.executable).parent / "hiveguard"), "run"]
    moments = random.Random(11)
    for kill in range(KILLS_OF_DAGSTER):
        add_votes(database, items, 4_000, kill * 4_000, seed=kill)
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(moments.uniform(1.5, 6))
        child.kill()
        child.communicate()
        assert verify(database, "animals").findings == []
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert verify(database, "animals").findings == []
    with database.read() as connection:
        counts = vote_counts(connection, dataset)
    assert counts["applied"] + counts["unprocessed"] == counts["received"] == KILLS_OF_DAGSTER * 4_000


def _start(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.races.killed_run", url, "animals"],
        cwd=ROOT,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        text=True,
    )


def _time_of_a_run(url: str, database: Database, items: list[str]) -> float:
    add_votes(database, items, VOTES, 0, seed=0)
    with _start(url) as child:
        assert child.stdout is not None
        child.stdout.readline()
        began = time.monotonic()
        assert child.stdout.readline() == "done\n"
        return time.monotonic() - began
