"""A file that is written at the database's pace and read at the client's.

The export is written to disk by a thread of its own, in one transaction that sees one moment of the database,
and the answer follows it as it grows. So a client that reads slowly holds a file and no transaction, memory
does not grow with rows, and the first rows are sent at once. When the client leaves, the writing stops.
"""

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, BinaryIO, Self, cast

PART = 1 << 18
_POLL_SECONDS = 0.02


class AbandonedError(Exception):
    """The reader has gone away."""


class Spool:
    """A nameless file: one thread writes, and an answer reads what is there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, prefix="export-", buffering=0)  # noqa: SIM115
        self._written = 0
        self._abandoned = False
        self._over = threading.Event()
        self._error: BaseException | None = None
        self.closed = False

    def fill(self, write: Callable[[BinaryIO], object]) -> None:
        """Write the file: what the thread does."""
        try:
            write(cast("BinaryIO", self))
        except AbandonedError:
            pass
        except BaseException as error:  # noqa: BLE001 - the answer raises it
            self._error = error
        finally:
            self._over.set()
            if self._abandoned:
                self._file.close()

    def write(self, data: bytes | memoryview) -> int:
        """Add to the file; raises AbandonedError once nobody reads it."""
        rest = memoryview(data).cast("B")
        while len(rest):
            if self._abandoned:
                raise AbandonedError
            done = self._file.write(rest[: 8 * PART])
            self._written += done
            rest = rest[done:]
        return memoryview(data).nbytes

    def writable(self) -> bool:
        """For writers that ask."""
        return True

    def tell(self) -> int:
        """Where the next bytes go."""
        return self._written

    def flush(self) -> None:
        """All is written at once."""

    def close(self) -> None:
        """The writer is done with it; the reader may not be."""

    async def begun(self) -> None:
        """Wait for the first bytes; raises what ended the writing before them."""
        while not self._written and not self._over.is_set():
            await asyncio.sleep(_POLL_SECONDS)
        if not self._written and self._error is not None:
            raise self._error

    async def parts(self) -> AsyncGenerator[bytes]:
        """The file from its start to its end, as it grows; raises what ended the writing."""
        place, loop = 0, asyncio.get_running_loop()
        while True:
            is_over = self._over.is_set()
            if place < self._written:
                data = await loop.run_in_executor(None, os.pread, self._file.fileno(), PART, place)
                place += len(data)
                yield data
            elif is_over:
                break
            else:
                await asyncio.sleep(_POLL_SECONDS)
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """Nobody reads it any more."""
        self._abandoned = True
        if self._over.is_set():
            self._file.close()


class Spools:
    """The spools of a process, so many at once."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._free = folder, most
        self._threads = ThreadPoolExecutor(max_workers=most, thread_name_prefix="hiveguard-exports")
        self._open: set[Spool] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for spool in list(self._open):
            self.release(spool)
        self._threads.shutdown(wait=True)

    def start(self, write: Callable[[BinaryIO], object]) -> Spool | None:
        """A spool that is being written; None while as many as may be are."""
        if len(self._open) >= self._free:
            return None
        spool = Spool(self._folder)
        self._open.add(spool)
        self._threads.submit(spool.fill, write)
        return spool

    def release(self, spool: Spool) -> None:
        """A spool that is not read any more."""
        self._open.discard(spool)
        spool.abandon()
