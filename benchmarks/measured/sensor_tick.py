"""Ours: one evaluation of the sensor. `python -m benchmarks.measured.sensor_tick CHECKED_THROUGH`.

The cursor says that votes up to CHECKED_THROUGH were looked at, so each tick looks at the same votes anew.
The instance is a real one, in a temporary folder.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import dagster as dg

from hiveguard_pipeline.definitions import defs
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.backlog import Position, look
from hiveguard_pipeline.store.schema import open_database

TICKS = 11


def median_seconds(work: Callable[[], object]) -> float:
    """Of TICKS calls, after one that is not timed."""
    work()
    seconds = []
    for _ in range(TICKS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    position = Position(checked_through=int(sys.argv[1]))
    sensor = defs.resolve_sensor_def("unprocessed_votes_sensor")
    database = open_database(Settings.from_environment().database_url)
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:

        def tick() -> object:
            """What the daemon calls."""
            context = dg.build_sensor_context(instance, position.text(), resources={"store": StoreResource()})
            return sensor(context)

        found = tick()
        instance.add_dynamic_partitions("datasets", look(database, position).datasets)
        print(
            json.dumps(
                {
                    "seconds": median_seconds(tick),
                    "look_seconds": median_seconds(lambda: look(database, position)),
                    "requests": len(getattr(found, "run_requests", None) or []),
                }
            )
        )
