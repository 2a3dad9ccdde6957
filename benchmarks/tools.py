"""The peers that are not Python: the databases' own command-line tools."""

import re
import shutil
from pathlib import Path

from benchmarks.places import Store
from benchmarks.processes import BIN, ROOT, Measured, run

PEER_PYTHON = ROOT / ".peers" / "crowd-kit" / "bin" / "python"
HIVEGUARD = BIN / "hiveguard"
_TOOLS = {"SQLite": "sqlite3", "PostgreSQL": "psql"}
_TIMES = {"SQLite": (r"Run Time: real ([\d.]+)", 1.0), "PostgreSQL": (r"^Time: ([\d.]+) ms", 1000.0)}

SQLITE_SETTINGS = """
PRAGMA journal_mode = WAL;
PRAGMA foreign_keys = ON;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -262144;
"""
"""The tool with the settings that our own connections have."""


def tool_of(kind: str) -> str | None:
    """The tool of a database, if it is installed."""
    return _TOOLS[kind] if shutil.which(_TOOLS[kind]) else None


def missing(kind: str) -> str:
    """What the table says instead of a figure."""
    package = {"SQLite": "sqlite3", "PostgreSQL": "postgresql-client"}[kind]
    return f"{_TOOLS[kind]} is not installed (Debian: {package})"


def run_script(store: Store, script: str, output: Path | None = None) -> Measured:
    """A script of the store's tool, from process start to exit."""
    if store.kind == "SQLite":
        return run(["sqlite3", "-bail", store.path], script=script, output=output)
    return run(store.psql, script=script, output=output, environment=store.environment)


def seconds_of_statements(store: Store, script: str) -> tuple[float, Measured]:
    """The tool's own time of a script's statements, and the process."""
    timer = ".timer on\n" if store.kind == "SQLite" else "\\timing on\n"
    done = run_script(store, timer + script)
    pattern, unit = _TIMES[store.kind]
    found = re.findall(pattern, done.printed, re.MULTILINE)
    return sum(float(seconds) for seconds in found) / unit, done


def hiveguard(store: Store, *arguments: str | Path) -> Measured:
    """A `hiveguard` command on a store, from process start to exit."""
    return run([HIVEGUARD, *arguments], environment=store.environment)
