"""A sign of life in a run's event log: without one for ten minutes, the sensor takes the run for dead."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg

from hiveguard_pipeline.settings import Settings

BEATS_A_SILENCE = 10


@contextmanager
def heartbeat(instance: dg.DagsterInstance, run: dg.DagsterRun, every: float | None = None) -> Iterator[None]:
    """Write an event each minute (a tenth of the silence that is allowed) while the block works."""
    done = threading.Event()
    silence = Settings.from_environment().run_silence_seconds
    pause = silence / BEATS_A_SILENCE if every is None else every

    def beat() -> None:
        while not done.wait(pause):
            # While Dagster's storage is away the work goes on, and so must the beats after it.
            with suppress(Exception):
                instance.report_engine_event("HiveGuard is at work", run)

    thread = threading.Thread(target=beat, name="hiveguard-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
