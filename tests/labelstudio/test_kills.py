"""The server, or we, killed in the middle: nothing is lost and nothing is there twice."""

import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from hiveguard_pipeline.labelstudio.held import held_tasks
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset
from hiveguard_pipeline.store.tables import item_uuid
from tests.cli.conftest import HIVEGUARD, Terminal
from tests.labelstudio.running import ADMIN, RunningServer, choice
from tests.labelstudio.test_real_server import images, make, pulled, pushed, votes
from tests.production.services import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("label-studio")]

TASKS = 900
ANSWERS = 500


def begin(user: Terminal, *words: str) -> "subprocess.Popen[bytes]":
    """The command as a process that goes on."""
    log = (Path(user.folder) / "log").open("ab")
    return subprocess.Popen(
        [HIVEGUARD, *words], env=user.environment, cwd=user.folder, stdout=log, stderr=log
    )


def held(store: Database, name: str) -> int:
    with store.look() as connection:
        return len(held_tasks(connection, get_dataset(connection, name)))


def numbered(count: int) -> list[dict[str, object]]:
    row = images("x")[0]
    return [{**row, "external_id": f"i{number}"} for number in range(count)]


def times_there(server: RunningServer, project_id: int) -> Counter[str]:
    return Counter(task["data"]["external_id"] for task in server.tasks(project_id))


def test_a_push_that_is_killed_and_whose_server_is_killed(
    server: RunningServer, user: Terminal, store: Database
) -> None:
    make(user, "many", numbered(TASKS), "--classes", "cat,dog")
    words = ("label-studio", "push", "--dataset", "many", "--from", "all")
    process = begin(user, *words)
    wait_for("nothing was sent", lambda: held(store, "many"), 120, pause=0.01)
    process.kill()  # between what the server has and what we know of it
    process.wait(30)
    before = held(store, "many")
    assert 0 < before < TASKS
    process = begin(user, *words)
    wait_for("no more was sent", lambda: held(store, "many") > before, 120, pause=0.01)
    server.kill()
    assert held(store, "many") < TASKS
    server.start()
    process.wait(300)  # it tries for a while, then says so; either is well
    (project,) = {row["project_id"] for row in user.rows("label-studio", "status", "--dataset", "many")}
    done = pushed(user, "many", "--from", "all")
    assert done["project_id"] == project
    there = times_there(server, project)
    assert len(there) == TASKS
    assert set(there.values()) == {1}
    with store.look() as connection:
        rows = held_tasks(connection, get_dataset(connection, "many"))
    assert {row.item_id: row.task_id for row in rows.values()} == {
        task["data"]["hg_id"]: task["id"] for task in server.tasks(project)
    }
    assert pushed(user, "many", "--from", "all")["sent"] == 0


def test_a_pull_that_is_killed_and_whose_server_is_killed(
    server: RunningServer, user: Terminal, store: Database
) -> None:
    make(user, "answers", numbered(ANSWERS), "--classes", "cat,dog")
    project = pushed(user, "answers", "--from", "all", "--limit", "1")["project_id"]
    (first,) = times_there(server, project)
    others = [f"i{number}" for number in range(ANSWERS) if f"i{number}" != first]
    server.as_admin(
        "POST",
        f"/api/projects/{project}/import",
        json=[
            {
                "data": {
                    "hg_id": item_uuid("answers", name),
                    "external_id": name,
                    "image": "https://e.org/x",
                },
                "annotations": [{"result": choice("cat"), "completed_by": {"email": ADMIN}}],
            }
            for name in others
        ],
    )
    done = pushed(user, "answers", "--from", "all")
    assert (done["known"], done["sent"]) == (ANSWERS, 0)
    words = ("label-studio", "pull", "--dataset", "answers")
    process = begin(user, *words)
    time.sleep(1.5)
    server.kill()
    server.start()
    with suppress(subprocess.TimeoutExpired):
        process.wait(120)
    process.kill()
    process.wait(30)
    for pause in (0.4, 0.8, 1.6):
        process = begin(user, *words)
        time.sleep(pause)
        process.kill()
        process.wait(30)
    pulled(user, "answers")
    assert votes(user, "answers") == {(name, f"label-studio:{ADMIN}", "cat") for name in others}
    assert pulled(user, "answers")["votes"] == 0
    assert pulled(user, "answers", "--full")["votes"] == 0
    (status,) = user.rows("label-studio", "status")
    assert (status["annotations"], status["votes"]) == (len(others), len(others))
