"""A command as the process of a Dagster asset: its lines and its result go to the asset's run.

Dagster Pipes says by environment variables that there is such an asset; without them nothing happens.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_PARENT_SECONDS = 1.0


class AssetProcess:
    """What a command can tell the asset that it works for."""

    def __init__(self, pipes: Any) -> None:
        self._pipes = pipes

    def log(self, text: str) -> None:
        """A line in the run's event log."""
        self._pipes.log.info(text)

    def materialized(self, metadata: Mapping[str, Any], path: str | None, data_version: str) -> None:
        """Say what was made; empty values are left out."""
        shown = {key: value for key, value in metadata.items() if value is not None}
        if path is not None:
            shown["path"] = {"raw_value": path, "type": "path"}
        self._pipes.report_asset_materialization(metadata=shown, data_version=data_version)


@contextmanager
def asset_process() -> Iterator[AssetProcess | None]:
    """The asset that this process works for, None if there is none; it is told of an error of the block."""
    if "DAGSTER_PIPES_CONTEXT" not in os.environ:
        yield None
        return
    from dagster_pipes import open_dagster_pipes

    with open_dagster_pipes() as pipes:
        try:
            yield AssetProcess(pipes)
        except Exception as error:
            pipes.log.error(str(error))
            raise


def end_on_signals(parent: int | None) -> None:
    """End in good order on SIGTERM, and when the parent process that is named here is no more."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="hiveguard-parent", daemon=True).start()
