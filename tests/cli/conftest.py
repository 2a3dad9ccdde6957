"""The command as a user has it: a process of its own, in a home of its own."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from hiveguard_pipeline.cli.main import main
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.dagster_location.crowd import CROWD, put_votes

Ended = subprocess.CompletedProcess[str]
HIVEGUARD = str(Path(sys.executable).with_name("hiveguard"))


class Terminal:
    """Runs `hiveguard`; every call says how it must end, and no call may show a traceback.

    In this process, which spares a second of imports; `process` is the same terminal with processes.
    """

    def __init__(self, environment: dict[str, str], folder: Path, own_process: bool = False) -> None:
        self.environment = environment
        self.folder = folder
        self._run = self._in_a_process if own_process else self._in_this_process

    @property
    def process(self) -> "Terminal":
        return Terminal(self.environment, self.folder, own_process=True)

    def __call__(self, *words: object, code: int = 0, **changed: str) -> Ended:
        done = self._run([str(word) for word in words], self.environment | changed)
        assert done.returncode == code, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def _in_a_process(self, words: list[str], environment: dict[str, str]) -> Ended:
        return subprocess.run(
            [HIVEGUARD, *words],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def _in_this_process(self, words: list[str], environment: dict[str, str]) -> Ended:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        before = dict(os.environ), sys.argv
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [HIVEGUARD, *words]
        try:
            with chdir(self.folder), redirect_stdout(out), redirect_stderr(err):
                main()
        except SystemExit as ended:
            code = ended.code
        finally:
            os.environ.clear()
            os.environ.update(before[0])
            sys.argv = before[1]
        out.flush()
        printed = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
        return subprocess.CompletedProcess([HIVEGUARD, *words], int(code or 0), *printed)

    def rows(self, *words: object) -> list[dict[str, Any]]:
        """The rows of a listing."""
        return [json.loads(line) for line in self(*words, "--fmt", "jsonl").stdout.splitlines()]

    def refused(self, *words: object, code: int = 1, **changed: str) -> str:
        """The one line of a command that fails; nothing is on stdout."""
        done = self(*words, code=code, **changed)
        assert done.stdout == ""
        if code == 1:
            assert done.stderr.count("\n") == 1, done.stderr
            assert done.stderr.startswith("hiveguard: ")
        return done.stderr.strip()


def clean_environment() -> dict[str, str]:
    """This environment without any setting of HiveGuard or Dagster."""
    own = ("HIVEGUARD_", "REVALIDATION_", "CONSENSUS_", "DAGSTER_HOME")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


@pytest.fixture
def home(tmp_path: Path) -> Terminal:
    """A terminal with nothing set but an empty home: SQLite by default."""
    return Terminal(clean_environment() | {"HIVEGUARD_HOME": str(tmp_path / "home")}, tmp_path)


@pytest.fixture
def terminal(environment: dict[str, str], tmp_path: Path) -> Terminal:
    """A terminal on an empty store of each kind."""
    return Terminal(environment, tmp_path)


@pytest.fixture
def make_labels() -> Callable[[str], Database]:
    """Fills the dataset `animals` of a store with an item in each state."""

    def make(url: str) -> Database:
        database = open_database(url)
        with database.read() as connection:
            dataset = get_dataset(connection, "animals")
        put_votes(database, dataset, CROWD)
        apply_votes(database, "animals", run_id="by-hand")
        return database

    return make
