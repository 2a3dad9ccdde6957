"""Fresh processes, timed from start to exit, with their peak memory."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
LAUNCH = ROOT / "benchmarks" / "launch.py"
LONGEST_SECONDS = 3600
"""No process of a benchmark takes longer; one that does is ended."""


class BenchmarkError(Exception):
    """A process of a benchmark failed; the message holds what it said."""


@dataclass(frozen=True)
class Measured:
    """One process: seconds from start to exit, peak resident memory, and what it printed."""

    seconds: float
    peak_mb: float
    printed: str = field(repr=False)

    @property
    def figures(self) -> dict[str, Any]:
        """What a module of benchmarks/measured printed as its last line."""
        return dict(json.loads(self.printed.splitlines()[-1]))


def run(
    command: list[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    script: str = "",
    output: Path | None = None,
) -> Measured:
    """Run a command to its end, with `script` as its input. Raises BenchmarkError if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        report, given, said, errors = (Path(folder) / name for name in ("report", "in", "out", "err"))
        given.write_text(script)
        with given.open("rb") as stdin, (output or said).open("wb") as stdout, errors.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-S", "-E", str(LAUNCH), str(report), *map(str, command)],
                cwd=ROOT,
                env={**_clean_environment(), **(environment or {})},
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                code = process.wait(LONGEST_SECONDS)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code:
            message = errors.read_text(errors="replace")[-2000:]
            raise BenchmarkError(f"{' '.join(map(str, command))} ended with {code}:\n{message}")
        took = json.loads(report.read_text())
        printed = "" if output else said.read_text(errors="replace")
        return Measured(took["seconds"], took["peak_mb"], printed)


def measure(module: str, *arguments: str | Path, python: str | Path = sys.executable, **options: Any) -> Any:
    """The figures that a module of benchmarks/measured prints, with its process's peak memory."""
    done = run([python, "-m", f"benchmarks.measured.{module}", *arguments], **options)
    return {"peak_mb": done.peak_mb, **done.figures}


def in_turn(rounds: int, *sides: Callable[[], Any] | None) -> list[list[Any]]:
    """Each side's results over some rounds, the sides taking turns; nothing for a side that is None."""
    results: list[list[Any]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, found in zip(sides, results, strict=True):
            if side is not None:
                found.append(side())
    return results


def _clean_environment() -> dict[str, str]:
    """This environment without settings that would change what is measured."""
    ours = ("HIVEGUARD_", "CONSENSUS_", "REVALIDATION_", "DAGSTER_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
