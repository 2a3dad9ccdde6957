"""What stays flat as history grows: a batch, and a tick of the sensor."""

import uuid
from functools import partial

import sqlalchemy as sa

from benchmarks.bench import Bench, Rows
from benchmarks.places import Place, Store
from benchmarks.processes import in_turn, measure
from benchmarks.report import Row, median, times
from benchmarks.stores import CLASSES, add_votes, history_store

VOTES_EACH = 3
NEW_VOTES = 100
_POOL = "SELECT item_id, label FROM labels WHERE state = 'in_revalidation'"
_ANY = f"SELECT item_id, '{CLASSES[0]}' AS label FROM items"


def batch_rows(bench: Bench) -> Rows:
    """A batch of 3,000 votes on items of the pool, on stores of several sizes."""
    sizes = bench.sizes.histories
    for place in bench.places:
        stores = [_history(bench, place, votes) for votes in sizes]

        def batch(store: Store) -> dict[str, float]:
            add_votes(store.open(), _POOL, bench.sizes.batch_items, VOTES_EACH, f"batch-{uuid.uuid4()}")
            return dict(measure("apply_votes", environment=store.environment))

        for store in stores:
            batch(store)
        found = in_turn(2 * bench.rounds, *(partial(batch, store) for store in stores))
        seconds = [[entry["seconds"] for entry in entries] for entries in found]
        for votes, of_size in zip(sizes, seconds, strict=True):
            bench.point(f"batch, {place.kind}", votes, median(of_size))
        yield Row(
            "batch",
            f"a batch of {bench.sizes.batch_items * VOTES_EACH:,} votes with {sizes[-1]:,} votes of history,"
            f" {place.kind}",
            seconds[-1],
            f"with {sizes[0]:,}",
            seconds[0],
            times(1.2),
            ours_mb=[entry["peak_mb"] for entry in found[-1]],
            beside_mb=[entry["peak_mb"] for entry in found[0]],
        )


def tick_rows(bench: Bench) -> Rows:
    """A tick of the sensor that finds 100 new votes, on stores of several sizes."""
    sizes = bench.sizes.histories
    for place in bench.places:
        stores = [_history(bench, place, votes) for votes in sizes]
        sides = []
        for store in stores:
            with store.open().read() as connection:
                newest = connection.execute(sa.text("SELECT max(vote_id) FROM votes")).scalar_one()
            add_votes(store.open(), _ANY, NEW_VOTES, 1, f"tick-{newest}")
            sides.append(
                lambda store=store, newest=newest: measure(
                    "sensor_tick", str(newest), environment=store.environment
                )
            )
        found = in_turn((bench.rounds + 1) // 2, *sides)
        large, small = sizes[-1], sizes[0]
        for figure, work in (("seconds", "a tick of the sensor"), ("look_seconds", "its look at the votes")):
            seconds = [[entry[figure] for entry in entries] for entries in found]
            ticks = figure == "seconds"
            if ticks:
                for votes, of_size in zip(sizes, seconds, strict=True):
                    bench.point(f"tick, {place.kind}", votes, median(of_size))
            yield Row(
                "tick",
                f"{work}, {NEW_VOTES} new votes, {large:,} votes of history and {large // 10:,} items"
                f" that wait, {place.kind}",
                seconds[-1],
                f"with {small:,} and {small // 10:,}",
                seconds[0],
                times(1.2) if ticks else None,
                also=median(seconds[-1]) < 0.05 if ticks else None,
                note="goal: under 50 ms too" if ticks else "",
                ours_mb=[entry["peak_mb"] for entry in found[-1]] if ticks else [],
                beside_mb=[entry["peak_mb"] for entry in found[0]] if ticks else [],
            )


def _history(bench: Bench, place: Place, votes: int) -> Store:
    return bench.store(place, f"history of {votes:,} votes", lambda: history_store(place, votes))
