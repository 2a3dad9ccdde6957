"""Snapshots of labels beside the plain export of the same labels, and the diff of two of them."""

import json
from functools import partial

import sqlalchemy as sa

from benchmarks.bench import Bench, Rows
from benchmarks.places import Place, Store
from benchmarks.processes import Measured, in_turn, run
from benchmarks.report import Goal, Row, times
from benchmarks.rows.exports import export
from benchmarks.stores import NAME, labels_store
from benchmarks.tools import HIVEGUARD

MOST_LABELS = 1_000_000
DIFF_SECONDS = 3.0
_CHANGED = "substr(CAST(item_id AS text), 1, 3) IN ({})".format(
    ", ".join(f"'{digits:03x}'" for digits in range(0, 4096, 100))
)


def rows(bench: Bench) -> Rows:
    """Whole processes, start to exit: a snapshot of all labels, and a diff of which 1% changed."""
    count = min(bench.sizes.labels, MOST_LABELS)
    for place in bench.places:
        store = _labels(bench, place, count)
        made, plain = in_turn(
            bench.rounds, partial(_create, bench, store), partial(export, bench, store, "jsonl")
        )
        yield Row(
            "snapshots",
            f"snapshots create --all, {count:,} labels, {place.kind}",
            [entry.seconds for entry in made],
            "labels export --fmt jsonl",
            [entry.seconds for entry in plain],
            times(3.0),
            ours_mb=[entry.peak_mb for entry in made],
            beside_mb=[entry.peak_mb for entry in plain],
        )
        before = _id_of(made[-1])
        changed = _change(store)
        after = _id_of(_create(bench, store))
        (compared,) = in_turn(bench.rounds, partial(_diff, bench, store, before, after))
        yield Row(
            "snapshots",
            f"snapshots diff, two of {count:,} labels, {changed:,} changed, {place.kind}",
            [entry.seconds for entry in compared],
            "",
            goal=Goal("under", DIFF_SECONDS),
            ours_mb=[entry.peak_mb for entry in compared],
        )
        bench.drop(place, _name(count))


def _create(bench: Bench, store: Store) -> Measured:
    return _run(bench, store, "create", "--dataset", NAME, "--all", "--fmt", "jsonl")


def _diff(bench: Bench, store: Store, before: str, after: str) -> Measured:
    return _run(bench, store, "diff", before, after, "--fmt", "csv")


def _run(bench: Bench, store: Store, *words: str) -> Measured:
    environment = store.environment | {"HIVEGUARD_SNAPSHOT_ROOT": str(bench.folder / "snapshots")}
    return run([HIVEGUARD, "snapshots", *words], environment=environment)


def _id_of(made: Measured) -> str:
    return str(json.loads(made.printed)["snapshot_id"])


def _change(store: Store) -> int:
    """Another label for about 1% of the items."""
    with store.open().write() as connection:
        return int(
            connection.execute(
                sa.text(f"UPDATE labels SET label = 'changed', confidence = 950000 WHERE {_CHANGED}")
            ).rowcount
        )


def _labels(bench: Bench, place: Place, count: int) -> Store:
    return bench.store(place, _name(count), lambda: labels_store(place, count))


def _name(count: int) -> str:
    return f"{count:,} labels for snapshots"
