"""Exports of labels beside the databases' own tools, and their memory as they grow."""

from functools import partial

from benchmarks.bench import Bench, Rows
from benchmarks.places import Place, Store
from benchmarks.processes import Measured, in_turn
from benchmarks.report import Row, median, times
from benchmarks.stores import labels_store
from benchmarks.tools import hiveguard, missing, run_script, tool_of

FIELDS = (
    "SELECT item_id, data_ref, modality, label, confidence / 1000000.0, solver_count, created_at"
    " FROM finalized_labels ORDER BY item_id"
)
_GOALS = {
    ("SQLite", "csv"): times(1.0),
    ("SQLite", "jsonl"): times(1.5),
    ("SQLite", "parquet"): times(1.5),
    ("PostgreSQL", "csv"): times(1.3),
}


def tool_rows(bench: Bench) -> Rows:
    """Whole processes, start to exit, each writing the same rows to a file."""
    for place in bench.places:
        store = _labels(bench, place, bench.sizes.labels)
        tool = tool_of(place.kind)
        formats = [fmt for kind, fmt in _GOALS if kind == place.kind]
        found = in_turn(
            bench.rounds,
            partial(_by_tool, bench, store) if tool else None,
            *(partial(export, bench, store, fmt) for fmt in formats),
        )
        for fmt, ours in zip(formats, found[1:], strict=True):
            name = "sqlite3 -csv" if place.kind == "SQLite" else "psql \\copy ... csv"
            yield Row(
                "export",
                f"labels export --fmt {fmt}, {bench.sizes.labels:,} labels, {place.kind}",
                [entry.seconds for entry in ours],
                name if tool else missing(place.kind),
                [entry.seconds for entry in found[0]],
                _GOALS[place.kind, fmt],
                ours_mb=[entry.peak_mb for entry in ours],
                beside_mb=[entry.peak_mb for entry in found[0]],
            )
        if bench.sizes.labels not in _memory_sizes(bench):
            bench.drop(place, _name(bench.sizes.labels))


def memory_rows(bench: Bench) -> Rows:
    """Peak memory of an export, and of one of a tenth of the labels."""
    place = bench.sqlite
    sizes = _memory_sizes(bench)
    stores = [_labels(bench, place, count) for count in sizes]
    rounds = min(bench.rounds, 3)
    found = in_turn(rounds, *(partial(export, bench, store, "csv") for store in stores))
    for count, entries in zip(sizes, found, strict=True):
        bench.point("export, memory", count, median([entry.peak_mb for entry in entries]))
    yield Row(
        "export_memory",
        f"peak memory, labels export --fmt csv, {sizes[-1]:,} labels, {place.kind}",
        [entry.peak_mb for entry in found[-1]],
        f"{sizes[0]:,} labels",
        [entry.peak_mb for entry in found[0]],
        times(1.15),
        unit="MB",
    )
    for count in sizes:
        bench.drop(place, _name(count))


def export(bench: Bench, store: Store, fmt: str) -> Measured:
    """Ours."""
    output = bench.folder / f"labels-ours.{fmt}"
    done = hiveguard(store, "labels", "export", "--fmt", fmt, "--output", output)
    output.unlink()
    return done


def _by_tool(bench: Bench, store: Store) -> Measured:
    """The database's tool, with the heading that ours writes too."""
    output = bench.folder / "labels-theirs.csv"
    if store.kind == "SQLite":
        done = run_script(store, f".mode csv\n.headers on\n{FIELDS};\n", output)
    else:
        done = run_script(store, f"\\copy ({FIELDS}) to '{output}' csv header\n")
    output.unlink()
    return done


def _memory_sizes(bench: Bench) -> list[int]:
    return [bench.sizes.memory_labels // 10, bench.sizes.memory_labels]


def _labels(bench: Bench, place: Place, count: int) -> Store:
    return bench.store(place, _name(count), lambda: labels_store(place, count))


def _name(count: int) -> str:
    return f"{count:,} labels"
