"""Vote to label through a running `dg dev`, with the sensor on."""

import tempfile
from pathlib import Path

from benchmarks.bench import Bench, Rows
from benchmarks.places import Place
from benchmarks.processes import measure
from benchmarks.report import Goal, Row, absent

LONGEST_P95 = 12.0


def third_vote_rows(bench: Bench) -> Rows:
    """One item at a time: its third vote to its label."""
    if not bench.sizes.arrival_seconds:
        yield absent("third_vote", "third vote to label through the sensor", "left out of --quick")
        return
    found = _measured(bench.sqlite, "third_vote")
    yield Row(
        "third_vote",
        "third vote to label through the sensor, SQLite",
        found["seconds"],
        "",
    )


def arrival_rows(bench: Bench) -> Rows:
    """Votes that arrive steadily: how long a due one waits, and whether a backlog builds up."""
    seconds = bench.sizes.arrival_seconds
    for place in bench.places:
        work = f"vote to label through the sensor, 100 votes a second for {seconds} s, p95, {place.kind}"
        goal = Goal("under", LONGEST_P95)
        if not seconds:
            work = f"vote to label through the sensor, 100 votes a second, {place.kind}"
            yield absent("arrivals", work, "left out of --quick", goal)
            continue
        found = _measured(place, "arrivals", str(seconds))
        before, after = found["backlog"]
        yield Row(
            "arrivals",
            work,
            [found["p95"]],
            "",
            goal=goal,
            also=after <= 1.2 * before,
            note=f"median {found['median']:.1f} s, longest {found['longest']:.1f} s; due items that wait:"
            f" {before:.0f} in the second third, {after:.0f} in the last",
        )


def _measured(place: Place, module: str, *arguments: str) -> dict:
    store = place.new(module)
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **store.environment,
            "HIVEGUARD_HOME": home,
            "DAGSTER_HOME": str(Path(home) / "dagster"),
        }
        return dict(measure(module, *arguments, environment=environment))
