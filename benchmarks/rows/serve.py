"""The server: votes posted in bulk, and what to ask next over many items."""

from functools import partial

from benchmarks.bench import Bench, Rows
from benchmarks.places import Store
from benchmarks.processes import in_turn, measure
from benchmarks.report import Goal, Row, median
from benchmarks.stores import pool_store
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


def _key(store: Store) -> str:
    return create_key(store.open(), "benchmark", ["votes"], actor="benchmark")[0]
