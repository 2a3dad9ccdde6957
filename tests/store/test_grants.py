"""A role with just the grants of docs/postgres.md runs everything."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from hiveguard_pipeline.demo import SCENES, simulate, write_crowd
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.database import Database, parse_url
from hiveguard_pipeline.web.app import create_app
from hiveguard_pipeline.web.pages.counted import FIGURES
from tests.cli.conftest import Terminal
from tests.web.pages.visitor import Page

WORKFLOW = """
name: animals
workflow:
  people: {experts: [eve, ida]}
  stages:
    - {name: first, who: crowd, on_pass: again, on_fail: review}
    - {name: again, who: crowd, on_pass: done, on_fail: review}
    - {name: review, who: experts, answers: 2, on_pass: done, on_fail: again}
"""

DOC = Path(__file__).parents[2] / "docs" / "postgres.md"
PASSWORD = "sw0rdfish-7"


@pytest.fixture
def pipeline_environment(
    new_postgres: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The environment of a user who is the documented role, and no more."""
    import os

    url = parse_url(new_postgres())
    found = re.search(r"```sql grants\n(.*?)```", DOC.read_text(), re.DOTALL)
    assert found is not None
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for role in ("hiveguard_pipeline", "challenge_server"):
            there = connection.execute(sa.text(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'")).first()
            if not there:
                connection.execute(sa.text(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"))
        grants = found[1].replace("DATABASE hiveguard ", f"DATABASE {url.database} ")
        connection.execute(sa.text("REVOKE ALL ON SCHEMA public FROM PUBLIC"))
        connection.execute(sa.text(f"REVOKE ALL ON DATABASE {url.database} FROM PUBLIC"))
        connection.execute(sa.text(grants))
    engine.dispose()
    own = url.set(username="hiveguard_pipeline", password=PASSWORD)
    return {
        **os.environ,
        "HIVEGUARD_HOME": str(tmp_path / "home"),
        "HIVEGUARD_DATABASE_URL": own.render_as_string(hide_password=False),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
    }


def test_a_role_with_the_documented_grants_runs_every_command(
    pipeline_environment: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = ""
    terminal = Terminal(pipeline_environment, tmp_path)

    def hiveguard(*arguments: str) -> str:
        nonlocal said
        done = terminal(*arguments)
        said += done.stdout + done.stderr
        return done.stdout

    paths = write_crowd(simulate(SCENES[0], 300, 5), tmp_path)
    on = ("--dataset", "animals")
    why = ("--reviewer", "r", "--reason", "t")
    hiveguard("datasets", "create", "animals", "--classes", ",".join(SCENES[0].classes))
    hiveguard("items", "import", str(paths["items"]), *on)
    hiveguard("votes", "import", str(paths["votes"]), *on)
    hiveguard("run", *on)
    flagged = [
        line.split(",")[2] for line in hiveguard("review", "list", *on, "--fmt", "csv").splitlines()[1:]
    ]
    hiveguard("review", "confirm", flagged[0], *on, *why)
    hiveguard("review", "relabel", flagged[1], "bus", *on, *why)
    hiveguard("review", "undo", flagged[1], *on, *why)
    hiveguard("review", "discard", flagged[2], *on, *why)
    hiveguard("labels", "correct", flagged[3], "bus", *on, *why)
    hiveguard("policy", "set", "animals", "REVALIDATION_MIN_VOTES=2", "--actor", "a", "--reason", "r")
    hiveguard("run", *on)
    solver = hiveguard("votes", "export", *on, "--fmt", "csv").splitlines()[1].split(",")[3]
    hiveguard("solvers", "exclude", solver, *on, "--reason", "r", "--dry-run")
    hiveguard("solvers", "exclude", solver, *on, "--reason", "r")
    hiveguard("solvers", "restore", solver, *on, "--reason", "r")
    paths["items"].write_text(
        "external_id,data_ref,modality,gold_label\nimage-00001,https://example.com/1.jpg,image,bus\n"
    )
    hiveguard("items", "import", str(paths["items"]), *on)
    changed = ("--actor", "a", "--reason", "r")
    hiveguard("classes", "merge", "bus", "bicycle", "--into", "vehicle", *on, *changed)
    hiveguard("classes", "rename", "vehicle", "wheels", *on, *changed)
    hiveguard("run", *on)
    hiveguard("pool", "sample", *on)
    hiveguard("explain", flagged[0], *on)
    hiveguard("labels", "export", "--fmt", "csv")
    hiveguard("datasets", "show", "animals")
    hiveguard("verify")
    said += "".join(capfd.readouterr())
    assert PASSWORD not in said


def test_a_role_with_the_documented_grants_serves_the_api_and_the_dashboard(
    pipeline_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hiveguard = Terminal(pipeline_environment, tmp_path)
    on = ("--dataset", "animals")
    paths = write_crowd(simulate(SCENES[0], 200, 5), tmp_path)
    hiveguard("datasets", "create", "animals", "--classes", ",".join(SCENES[0].classes))
    hiveguard("items", "import", paths["items"], *on)
    hiveguard("votes", "import", paths["votes"], *on)
    (tmp_path / "config.yaml").write_text(WORKFLOW)
    changed = ("--actor", "lead", "--reason", "try")
    hiveguard("workflow", "set", "animals", "--config", "config.yaml", *changed)
    hiveguard("run", *on)
    hiveguard("people", "add", "animals", "experts", "bo", "--actor", "lead")
    hiveguard("people", "remove", "animals", "experts", "bo", "--actor", "lead")
    rows = "".join(f"image-{n:05d},{n % 7},1\n" for n in range(1, 201))
    (tmp_path / "vectors.csv").write_text(f"external_id,v0,v1\n{rows}")
    hiveguard("active", "settings", *on, "embeddings=vectors.csv")
    for command in ("train", "prelabel", "select"):
        hiveguard("active", command, *on)
    hiveguard("snapshots", "create", *on)
    monkeypatch.setattr("getpass.getpass", lambda _: PASSWORD)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    hiveguard("users", "create", "ada", "--role", "admin", "--actor", "lead")
    made = hiveguard("keys", "create", "all", "--scope", "admin").stdout.split()
    key = next(word for word in made if word.startswith("hg_"))
    url = pipeline_environment["HIVEGUARD_DATABASE_URL"]
    database = Database(url, serves=4)
    with TestClient(create_app(database, Settings.from_environment(pipeline_environment))) as client:
        client.headers["Authorization"] = f"Bearer {key}"

        def ask(path: str, sent: Any = None, code: int = 200) -> Any:
            said = client.get(path) if sent is None else client.post(path, json=sent)
            assert said.status_code == code, f"{path}: {said.status_code} {said.text}"
            return said.json()

        items = ask("/datasets/animals/challenge?n=3&solver=zed")["items"]
        voted = [{"item_id": item["item_id"], "solver_id": "zed", "answer": "bus"} for item in items]
        ask("/datasets/animals/votes/bulk", voted)
        first = ask("/datasets/animals/review?limit=5")[0]
        decision = {"decision": "discard", "reviewer": "ada", "reason": "t", "expected": first["standing"]}
        ask(f"/datasets/animals/items/{first['item_id']}/decisions", decision, 201)
        ask(f"/datasets/animals/items/{first['item_id']}")
        for act in ("answer", "return"):
            (task,) = ask("/datasets/animals/tasks", {"solver": "eve"}, 201)
            sent = {"solver": "eve"} | ({"answer": "bus", "reason": "t"} if act == "answer" else {})
            path = f"/datasets/animals/tasks/{task['lease_id']}/{act}"
            assert client.post(path, json=sent).status_code in (200, 204)
        assert client.get("/datasets/animals/export?fmt=csv").text.count("\n") > 100
        del client.headers["Authorization"]
        page = Page(client.get("/ui/sign-in").text)
        form = {"name": "ada", "password": PASSWORD, "csrf": page.value("csrf")}
        assert client.post("/ui/sign-in", data=form, follow_redirects=False).status_code == 303
        for path in ("", "datasets/animals", "datasets/animals/items", "datasets/animals/review", "audit"):
            assert client.get(f"/ui/{path}").status_code == 200, path
        for figure in FIGURES:
            assert client.get(f"/ui/datasets/animals/figures/{figure}").status_code == 200, figure
        page = Page(client.get("/ui/datasets/animals/tasks").text)
        form = {"csrf": page.value("csrf"), "act": "take"}
        assert client.post("/ui/datasets/animals/tasks", data=form).status_code == 200
        assert client.post("/ui/sign-out", data={"csrf": page.value("csrf")}).status_code == 200
    database.engine.dispose()
    hiveguard("keys", "revoke", key[:12])
    hiveguard("run", *on)
    hiveguard("audit", "verify")
    hiveguard("verify")


def test_the_documented_role_cannot_change_a_vote_or_the_ledger(pipeline_environment: dict[str, str]) -> None:
    engine = sa.create_engine(parse_url(pipeline_environment["HIVEGUARD_DATABASE_URL"]))
    for table in ("votes", "batches", "reviews", "policies"):
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET item_id = item_id"):
            with engine.connect() as connection, pytest.raises(sa.exc.ProgrammingError):
                connection.execute(sa.text(statement))
    engine.dispose()
