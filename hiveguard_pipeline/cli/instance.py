"""Dagster's instance for a command: its files made by one process at a time, and whole or not at all."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

UNFINISHED = ".setup-unfinished"
"""There while Dagster's files are being made."""

FOLDERS = ("history", "schedules")
"""Where Dagster keeps runs, events and ticks in a home without other storage."""


def open_instance(home: Path) -> "dg.DagsterInstance":
    """The instance of a home folder; files that a killed process left half made are made anew.

    Dagster makes them table by table without a lock of its own: two first commands would collide, and a
    killed one would leave a home in which no run starts.
    """
    import dagster as dg
    from filelock import FileLock

    if not os.access(home, os.W_OK):  # not a new one
        return dg.DagsterInstance.get()
    unfinished = home / UNFINISHED
    with FileLock(home / ".setup.lock"):
        if unfinished.exists() and not _has_runs(home):
            for folder in FOLDERS:
                shutil.rmtree(home / folder, ignore_errors=True)
        is_new = not (home / FOLDERS[0]).exists()
        if is_new:
            unfinished.touch()
        instance = dg.DagsterInstance.get()
        if is_new or unfinished.exists():
            unfinished.unlink(missing_ok=True)
    return instance


def _has_runs(home: Path) -> bool:
    """Whether a run was ever recorded; then nothing there is thrown away."""
    path = home / "history" / "runs.db"
    if not path.exists():
        return False
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is not None
        except sqlite3.DatabaseError:  # no such table, or half a file
            return False
