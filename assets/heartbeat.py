"""A sign of life in a run's event log: without one for ten minutes, the sensor takes the run for dead."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

BEAT_SECONDS = 60.0


@contextmanager
def heartbeat(
    instance: dg.DagsterInstance, run: dg.DagsterRun, every: float = BEAT_SECONDS
) -> Iterator[None]:
    """Write an event each minute while the block works."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every):
            instance.report_engine_event("HiveGuard is at work", run)

    thread = threading.Thread(target=beat, name="hiveguard-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
