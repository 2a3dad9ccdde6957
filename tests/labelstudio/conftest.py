"""A real Label Studio server for the session, people in it, and a user of HiveGuard who has its address."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.schema import open_database
from tests.cli.conftest import Terminal, clean_environment
from tests.labelstudio.running import PROGRAM, Person, RunningServer


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    if not PROGRAM.exists():
        pytest.skip("Label Studio is not installed: `make label-studio` does it")
    folder = Path(tempfile.mkdtemp(prefix="hiveguard-label-studio-"))
    running = RunningServer(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def person(server: RunningServer) -> Callable[[str], Person]:
    """Gives people by name; each signs up once."""
    known: dict[str, Person] = {}

    def find(name: str) -> Person:
        if name not in known:
            known[name] = Person(server, f"{name}@example.com")
        return known[name]

    return find


@pytest.fixture
def user(server: RunningServer, tmp_path: Path) -> Terminal:
    """A terminal on an empty home, which knows the server."""
    own = {"HIVEGUARD_HOME": str(tmp_path / "home")}
    return Terminal(clean_environment() | own | server.settings, tmp_path)


@pytest.fixture
def store(user: Terminal, tmp_path: Path) -> Database:
    """The store of that user."""
    folder = tmp_path / "home"
    folder.mkdir(exist_ok=True)
    return open_database(f"sqlite:///{folder / 'hiveguard.db'}")
