"""What every command does in the same way: find the store, warn, print rows, show progress."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from hiveguard_pipeline.rules.policy import Policy, decimal_text
from hiveguard_pipeline.settings import Settings, differing_settings

if TYPE_CHECKING:
    from hiveguard_pipeline.store.database import Database

Command = Callable[..., Any]

_LINES_AT_ONCE = 500

fmt_option = click.option(
    "--fmt",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="How rows are written.",
)
dataset_option = click.option("--dataset", "dataset_name", metavar="NAME", help="The dataset.")
required_dataset = click.option(
    "--dataset", "dataset_name", metavar="NAME", required=True, help="The dataset."
)


class Confidence(int):
    """A confidence in millionths, written as the shortest decimal."""


def confidence(value: int | None) -> Confidence | None:
    """A confidence of the store, to be printed."""
    return None if value is None else Confidence(value)


def open_store() -> "Database":
    """The store that the environment names, at its newest revision."""
    from hiveguard_pipeline.store.schema import open_database

    return open_database(Settings.from_environment().database_url)


def say(text: str) -> None:
    """A line for the person, on stderr."""
    click.echo(text, err=True)


def warn_of_environment(policy: Policy) -> None:
    """Name the settings of the environment that differ from a dataset's policy."""
    for warning in differing_settings(policy):
        say(f"warning: {warning}")


def emit(rows: Iterable[dict[str, Any]], columns: list[str], fmt: str) -> None:
    """Print rows in one of the formats of `fmt_option`; all but the table as they come."""
    if fmt == "table":
        _print_table(list(rows), columns)
    elif fmt == "csv":
        click.echo(_csv_line(columns), nl=False)
        _echo(_csv_line([_cell(row[name]) for name in columns]) for row in rows)
    elif fmt == "jsonl":
        _echo(as_json({name: row[name] for name in columns}) + "\n" for row in rows)
    else:
        opened = "["
        for row in rows:
            click.echo(f"{opened}\n{as_json({name: row[name] for name in columns})}", nl=False)
            opened = ","
        click.echo("[]" if opened == "[" else "\n]")


def _echo(lines: Iterator[str]) -> None:
    """Print lines, some at once: each call of click.echo flushes."""
    while chunk := "".join(islice(lines, _LINES_AT_ONCE)):
        click.echo(chunk, nl=False)


def as_json(value: Any) -> str:
    """JSON with confidences as shortest decimals."""
    if isinstance(value, Confidence):
        return decimal_text(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {as_json(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_json(entry) for entry in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Confidence):
        return decimal_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _csv_line(cells: list[str]) -> str:
    line = io.StringIO()
    # With both characters in the line's end, a cell that holds either is quoted.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _print_table(rows: list[dict[str, Any]], columns: list[str]) -> None:
    if not rows:
        return
    cells = [[_on_one_line(_cell(row[name])) for name in columns] for row in rows]
    right = [all(isinstance(row[name], int | float) or row[name] is None for row in rows) for name in columns]
    widths = [
        max(len(_on_one_line(name)), *(len(line[position]) for line in cells))
        for position, name in enumerate(columns)
    ]
    for line in [[_on_one_line(name) for name in columns], *cells]:
        click.echo(
            "  ".join(
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(line, widths, right, strict=True)
            ).rstrip()
        )


def _on_one_line(text: str) -> str:
    """Text as a terminal may show it: control characters escaped, long values cut."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= 80 else shown[:79] + "…"


@contextmanager
def progress(what: str, unit: str = "rows") -> Iterator[Callable[..., None]]:
    """A bar on a terminal, nothing elsewhere. Called with (done) or (done, total)."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from tqdm import tqdm

    with tqdm(desc=what, unit=f" {unit}", leave=False, file=sys.stderr) as bar:

        def report(done: int, total: int | None = None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report
