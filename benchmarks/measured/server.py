"""A server of ours, or of a bare endpoint, as a process of its own beside the client that measures it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HIVEGUARD = Path(sys.executable).with_name("hiveguard")
BARE = [sys.executable, "-m", "benchmarks.measured.bare_endpoint"]


class Served:
    """A server that runs: where, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.host, port = self.wait_for(r"on http://([\d.]+):(\d+)")
        self.port = int(port)

    def wait_for(self, pattern: str) -> tuple[str, ...]:
        """What a line that it says holds."""
        assert self._process.stderr is not None
        said = ""
        for line in self._process.stderr:
            said += line
            if found := re.search(pattern, line):
                return found.groups()
        raise RuntimeError(f"the server ended:\n{said}")

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the server so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def peak_mb(self) -> float:
        """Most memory that the server has had."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0


@contextmanager
def serving(bare: bool = False) -> Iterator[Served]:
    """A server on the store of the environment, until the block ends."""
    command = BARE if bare else [str(HIVEGUARD), "serve", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield Served(process)
    finally:
        process.terminate()
        process.communicate()
