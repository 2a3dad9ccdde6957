"""A role with just the grants of docs/postgres.md runs everything."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.demo import SCENES, simulate, write_crowd
from hiveguard_pipeline.store.database import parse_url
from tests.cli.conftest import Terminal

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


def test_the_documented_role_cannot_change_a_vote_or_the_ledger(pipeline_environment: dict[str, str]) -> None:
    engine = sa.create_engine(parse_url(pipeline_environment["HIVEGUARD_DATABASE_URL"]))
    for table in ("votes", "batches", "reviews", "policies"):
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET item_id = item_id"):
            with engine.connect() as connection, pytest.raises(sa.exc.ProgrammingError):
                connection.execute(sa.text(statement))
    engine.dispose()
