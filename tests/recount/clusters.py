"""A standalone Spark of a master and two workers on this machine, each a process of its own."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

NO_JAVA = "Java is not here: apt-get install openjdk-17-jre-headless"
needs_java = pytest.mark.skipif(shutil.which("java") is None, reason=NO_JAVA)

WORKERS = 2
UP_SECONDS = 120


@contextmanager
def standalone(folder: Path, ports: list[int]) -> Iterator[str]:
    """The address of the master; all processes are gone afterwards. `ports`: two, and one a worker."""
    address = f"spark://127.0.0.1:{ports[0]}"
    with ExitStack() as stack:
        stack.enter_context(
            _process(folder / "master.log", "master.Master", "--port", ports[0], "--webui-port", ports[1])
        )
        _wait(folder / "master.log", "Starting Spark master", ports[0])
        logs = [folder / f"worker-{number}.log" for number in range(WORKERS)]
        for number, log in enumerate(logs):
            options = ["--cores", 1, "--memory", "1g", "--webui-port", ports[2 + number]]
            options += ["--work-dir", folder / f"work-{number}", address]
            stack.enter_context(_process(log, "worker.Worker", *options))
        for log in logs:
            _wait(log, "Successfully registered with master")
        yield address


def plain_python(folder: Path) -> Path:
    """A Python as executors may have it: numpy and pyarrow, and neither this project nor pandas."""
    libraries = folder / "libraries"
    libraries.mkdir()
    for name in ("numpy", "numpy.libs", "pyarrow", "pyarrow.libs"):
        for place in map(Path, sys.path):
            if (place / name).is_dir() and place.name == "site-packages":
                (libraries / name).symlink_to(place / name)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{libraries}:$PYTHONPATH" exec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    return python


@contextmanager
def _process(log: Path, name: str, *options: object) -> Iterator[None]:
    import pyspark

    home = Path(pyspark.__file__).parent
    command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}", "--host", "127.0.0.1"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *map(str, options)],
            stdout=output,
            stderr=output,
            env={**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"},
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(log: Path, text: str, port: int | None = None) -> None:
    deadline = time.monotonic() + UP_SECONDS
    while text not in log.read_text() or (port is not None and not _listens(port)):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
