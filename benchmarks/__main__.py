"""Run the benchmarks: `python -m benchmarks [--quick] [--only NAME,...] [--postgres URL]`, or `make bench`.

Every figure comes from a fresh process; ours and the peer's take turns. The table goes to stdout, and with
every figure and the picture into --output. Without --postgres a server is started from the test
environment's wheel, if it is installed.
"""

import argparse
import json
import os
import platform
import signal
import sqlite3
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.bench import FULL, QUICK, Bench, say
from benchmarks.picture import cost_svg
from benchmarks.places import PostgresPlace, SqlitePlace, postgres_place
from benchmarks.processes import ROOT, BenchmarkError
from benchmarks.report import Row, absent, markdown
from benchmarks.rows import ROWS


def main() -> None:
    """Measure, print the table, write the files; ends with 1 if a row could not be measured."""
    chosen = _chosen()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stores and server go, however it ends
    sizes = QUICK if chosen.quick else FULL
    if chosen.history:
        histories = (chosen.history // 100, chosen.history // 10, chosen.history)
        sizes = replace(sizes, histories=histories, batch_items=max(1, min(1_000, chosen.history // 10_000)))
    rounds = chosen.rounds or (2 if chosen.quick else 5)
    chosen.output.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    failed = False
    with (
        postgres_place(chosen.postgres) as postgres,
        tempfile.TemporaryDirectory(dir=chosen.scratch) as folder,
    ):
        places = [SqlitePlace(Path(folder)), *([postgres] if postgres else [])]
        bench = Bench(sizes, rounds, Path(folder), places)
        about = _about(bench, postgres, quick=chosen.quick)
        for name in chosen.only:
            began = time.monotonic()
            say(f"{name} ...")
            try:
                for row in ROWS[name](bench):
                    rows.append(row)
                    say(row.markdown(judge=not chosen.quick))
            except BenchmarkError as error:
                failed = True
                say(str(error))
                rows.append(absent(name, name, "failed"))
            say(f"  {time.monotonic() - began:.0f} s")
            _write(chosen.output, about, rows, bench)
        print(_table(about, rows))
    say(f"written to {chosen.output}")
    sys.exit(1 if failed else 0)


def _chosen() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Ours beside what else one would use."
    )
    parser.add_argument("--quick", action="store_true", help="small data, two rounds, no `dg dev`")
    parser.add_argument("--only", type=_names, default=list(ROWS), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, help="how often each side runs")
    parser.add_argument(
        "--history", type=int, help="votes of the largest history; a tenth and a hundredth of it too"
    )
    parser.add_argument("--postgres", metavar="URL", help="a server on which databases may be created")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "benchmarks")
    parser.add_argument("--scratch", type=Path, help="where stores are made (full size: 30 GB)")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no row is named {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return names


def _about(bench: Bench, postgres: PostgresPlace | None, *, quick: bool) -> dict[str, object]:
    return {
        "mode": "quick" if quick else "full",
        "rounds": bench.rounds,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "postgresql": postgres.version if postgres else None,
        "sizes": asdict(bench.sizes),
    }


def _table(about: dict[str, object], rows: list[Row]) -> str:
    quick = about["mode"] == "quick"
    heading = (
        f"Medians over {about['rounds']} rounds (least .. most), {about['cores']} cores,"
        f" Python {about['python']}, SQLite {about['sqlite']}, PostgreSQL {about['postgresql']}."
        " Seconds are this machine's; read the ratios."
    )
    if quick:
        heading += " Quick: the data is too small to judge the goals by."
    return markdown(rows, heading, judge=not quick)


def _write(folder: Path, about: dict[str, object], rows: list[Row], bench: Bench) -> None:
    """The table so far: a long run that is broken off leaves what it measured."""
    (folder / "benchmarks.md").write_text(_table(about, rows))
    records = [row.record() for row in rows]
    (folder / "benchmarks.json").write_text(
        json.dumps({**about, "rows": records, "series": bench.series}, indent=1)
    )
    if picture := cost_svg(bench.series):
        (folder / "cost-against-size.svg").write_text(picture)


if __name__ == "__main__":
    main()
