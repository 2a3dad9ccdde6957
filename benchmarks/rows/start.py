"""How long the command takes to start."""

import sys

from benchmarks.bench import Bench, Rows
from benchmarks.processes import in_turn, run
from benchmarks.report import Goal, Row
from benchmarks.rows.exports import export
from benchmarks.stores import labels_store

LABELS = 100


def rows(bench: Bench) -> Rows:
    """An export of a hundred labels, process start to exit, beside an interpreter that does nothing."""
    place = bench.sqlite
    store = bench.store(place, f"{LABELS} labels", lambda: labels_store(place, LABELS))
    ours, theirs = in_turn(
        2 * bench.rounds + 1,
        lambda: export(bench, store, "csv"),
        lambda: run([sys.executable, "-c", "pass"]),
    )
    yield Row(
        "start",
        f"labels export of {LABELS} rows, process start to exit",
        [entry.seconds for entry in ours],
        "python -c pass",
        [entry.seconds for entry in theirs],
        Goal("more", 0.35),
        ours_mb=[entry.peak_mb for entry in ours],
        beside_mb=[entry.peak_mb for entry in theirs],
    )
