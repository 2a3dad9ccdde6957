"""The server: votes posted in bulk, and what to ask next over many items."""

from functools import partial

from benchmarks.bench import Bench, Rows
from benchmarks.places import Store
from benchmarks.processes import in_turn, measure
from benchmarks.report import Goal, Row, median, times
from benchmarks.stores import labels_store, pool_store
from hiveguard_pipeline.web.keys import create_key

LEAST_VOTES_A_SECOND = 2_000
LONGEST_P95_MS = 50.0
POST_ITEMS = 100_000


def post_rows(bench: Bench) -> Rows:
    """Bulk requests of 500 votes from four clients, beside an endpoint that only inserts."""
    votes = bench.sizes.posted_votes
    for place in bench.places:
        items = min(POST_ITEMS, bench.sizes.served_items)
        store = bench.store(place, f"pool_{items}", partial(pool_store, place, items))
        found, bare = in_turn(
            bench.rounds,
            partial(measure, "posted", str(votes), _key(store), environment=store.environment),
            partial(measure, "posted", str(votes), "bare", environment=store.environment),
        )
        rate = median([one["a_second"] for one in found])
        yield Row(
            "post",
            f"{votes:,} votes posted in bulk, a vote, {place.kind}",
            [1e6 / one["a_second"] for one in found],
            "an endpoint that only inserts",
            [1e6 / one["a_second"] for one in bare],
            Goal("under", 1e6 / LEAST_VOTES_A_SECOND) if place.kind == "PostgreSQL" else None,
            unit="µs",
            note=f"{rate:,.0f} votes a second; p95 of a request of 500"
            f" {median([one['p95_ms'] for one in found]):.0f} ms; processor time of the server"
            f" {median([one['cpu_microseconds_a_vote'] for one in found]):.0f} µs a vote, beside"
            f" {median([one['cpu_microseconds_a_vote'] for one in bare]):.0f}",
        )


def next_rows(bench: Bench) -> Rows:
    """Five items for a solver, two clients at once, while 200 votes a second are posted."""
    count = bench.sizes.served_items
    small = [] if count > POST_ITEMS else ["--small"]
    for place in bench.places:
        if place.kind == "SQLite" and not small:
            continue  # a store of that size is PostgreSQL's
        store = bench.store(place, f"pool_{count}", partial(pool_store, place, count))
        arguments = [str(bench.sizes.asked), _key(store), *small]
        found = [
            measure("next_items", *arguments, environment=store.environment) for _ in range(bench.rounds)
        ]
        last = found[-1]
        yield Row(
            "next_items",
            f"the next items of a pool of {count:,}, p95, {place.kind}",
            [one["p95_ms"] for one in found],
            "",
            goal=Goal("under", LONGEST_P95_MS),
            unit="ms",
            note=f"median {last['p50_ms']:.1f} ms, longest {last['longest_ms']:.0f} ms; first answer after"
            f" {last['first_seconds']:.1f} s, all items in memory after {last['whole_seconds']:.0f} s;"
            f" {last['server_mb']:,.0f} MB",
        )


def served_export_rows(bench: Bench) -> Rows:
    """Peak memory of a server that sends all labels, and of one that sends a tenth of them."""
    counts = [bench.sizes.memory_labels // 10, bench.sizes.memory_labels]
    for place in bench.places:
        few, many = (
            bench.store(place, f"{count:,} labels", partial(labels_store, place, count)) for count in counts
        )
        beside, found = in_turn(
            min(bench.rounds, 3),
            *(
                partial(measure, "served_export", _key(store, "export"), environment=store.environment)
                for store in (few, many)
            ),
        )
        left = [one["left_seconds"] for one in found if one["left_seconds"] is not None]
        yield Row(
            "served_export",
            f"peak memory of a server that sends an export of {counts[1]:,} labels over HTTP, {place.kind}",
            [one["peak_mb"] for one in found],
            f"{counts[0]:,} labels",
            [one["peak_mb"] for one in beside],
            times(1.15),
            unit="MB",
            note=f"{median([one['bytes'] / one['seconds'] for one in found]) / 1e6:.0f} MB a second"
            + (f"; a client that leaves leaves a transaction for {median(left):.2f} s" if left else ""),
        )
        for count in counts:
            bench.drop(place, f"{count:,} labels")


def _key(store: Store, scope: str = "votes") -> str:
    return create_key(store.open(), "benchmark", [scope], actor="benchmark")[0]
