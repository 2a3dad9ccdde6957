"""An import of votes, with all its checks, beside the databases' own loads of as many rows."""

from functools import partial
from pathlib import Path

from benchmarks.bench import Bench, Rows
from benchmarks.data import write_import
from benchmarks.places import Place, Store
from benchmarks.processes import Measured, in_turn
from benchmarks.report import Row, times
from benchmarks.stores import CLASSES, NAME, fill_named_items
from benchmarks.tools import SQLITE_SETTINGS, hiveguard, missing, run_script, tool_of
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.datasets import create_dataset

_COLUMNS = "item_id, solver_id, answer, duration_ms, created_at"
_BARE = {
    "SQLite": "CREATE TABLE bare (item_id TEXT, solver_id TEXT, answer TEXT, duration_ms INTEGER,"
    " created_at TEXT);",
    "PostgreSQL": "CREATE TABLE bare (item_id uuid, solver_id text, answer text, duration_ms bigint,"
    " created_at timestamptz);",
}


def rows(bench: Bench) -> Rows:
    """Ours into an empty store; the tool into a table without any key, and into our own votes table."""
    ours_csv, bare_csv, numbered_csv = (bench.folder / f"{name}.csv" for name in ("ours", "bare", "numbered"))
    write_import(ours_csv, bare_csv, numbered_csv, bench.sizes.votes, bench.sizes.items)
    for place in bench.places:
        empty = bench.store(place, "no votes", partial(_empty, place))
        items = bench.store(
            place,
            "items without votes",
            partial(_with_items, bench, place),
        )
        tool = tool_of(place.kind)
        numbered = numbered_csv if place.kind == "SQLite" else bare_csv

        def ours(place: Place = place, empty: Store = empty) -> Measured:
            return hiveguard(
                place.copy(empty), "votes", "import", ours_csv, "--dataset", NAME, "--create-items"
            )

        def bare(place: Place = place, empty: Store = empty) -> Measured:
            return run_script(place.copy(empty), _BARE[place.kind] + _load(place.kind, "bare", bare_csv))

        def as_it_is(place: Place = place, items: Store = items, numbered: Path = numbered) -> Measured:
            return run_script(place.copy(items), _load(place.kind, "votes", numbered))

        found = in_turn(bench.rounds, ours, bare if tool else None, as_it_is if tool else None)
        name = "sqlite3 .import" if place.kind == "SQLite" else "psql \\copy"
        for peer, theirs in (
            ("into a bare table", found[1]),
            ("into our votes table, its keys and all", found[2]),
        ):
            yield Row(
                "import",
                f"votes import --create-items, {bench.sizes.votes:,} rows of CSV, {place.kind}",
                [entry.seconds for entry in found[0]],
                f"{name} {peer}" if tool else missing(place.kind),
                [entry.seconds for entry in theirs],
                times(3),
                ours_mb=[entry.peak_mb for entry in found[0]],
                beside_mb=[entry.peak_mb for entry in theirs],
            )


def _load(kind: str, table: str, path: Path) -> str:
    if kind == "SQLite":
        return f"\n{SQLITE_SETTINGS}\n.mode csv\n.import '{path}' {table}\n"
    return f"\n\\copy {table} ({_COLUMNS}) from '{path}' csv\n"


def _empty(place: Place) -> Store:
    store = place.new("empty")
    create_dataset(store.open(), NAME, Policy(), classes=CLASSES)
    place.settle(store)
    return store


def _with_items(bench: Bench, place: Place) -> Store:
    store = place.new("items")
    fill_named_items(store.open(), bench.sizes.items)
    place.settle(store)
    return store
