"""`hiveguard votes`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hiveguard_pipeline.cli.retraction import named_actor, show_retraction
from hiveguard_pipeline.cli.shared import emit, fmt_option, open_store, progress, required_dataset, say
from hiveguard_pipeline.exports import FORMATS, export_votes
from hiveguard_pipeline.exports.files import replacing
from hiveguard_pipeline.intake import import_votes
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import get_dataset

_COUNTS = ["read", "accepted", "quarantined", "already_known", "items_created"]
_QUARANTINE = ["quarantine_id", "import_id", "file_name", "line", "reason", "row"]


@click.group()
def votes() -> None:
    """Import and export votes; show what was refused; take single ones back."""


@votes.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@required_dataset
@click.option("--create-items", is_flag=True, help="Make the items that are not there yet.")
@fmt_option
def import_(file: Path, dataset_name: str, create_items: bool, fmt: str) -> None:
    """Import votes from CSV or JSONL.

    Columns: external_id or item_id, solver_id, answer[, duration_ms, created_at].
    """
    with progress(f"reading {file.name}") as report:
        done = import_votes(open_store(), dataset_name, file, create_items=create_items, report=report)
    emit([{name: getattr(done, name) for name in _COUNTS}], _COUNTS, fmt)
    for reason, count in done.reasons.items():
        say(f"quarantined: {count:,} {reason}")
    if done.reasons:
        if "unknown_item" in done.reasons:
            say("once their items are there, importing the file again brings these in")
        say(f"`hiveguard votes quarantined --dataset {dataset_name}` shows the rows")


@votes.command()
@required_dataset
@click.option("--fmt", type=click.Choice(FORMATS), required=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; stdout without it.")
def export(dataset_name: str, fmt: str, output: Path | None) -> None:
    """Stream the votes in the order they came: to import them elsewhere, or to recount them.

    Columns: vote_id, item_id, external_id, solver_id, answer, duration_ms, created_at, gold_label.
    """
    database = open_store()
    if output is None:
        if fmt == "parquet" and sys.stdout.isatty():
            raise click.UsageError("parquet is not for a terminal: name a file with --output")
        export_votes(database, sys.stdout.buffer, fmt, dataset_name)
        sys.stdout.buffer.flush()
        return
    with replacing(output) as stream:
        rows = export_votes(database, stream, fmt, dataset_name)
    say(f"{rows:,} votes in {output}")


@votes.command()
@required_dataset
@fmt_option
def quarantined(dataset_name: str, fmt: str) -> None:
    """List the rows that could not be votes, each with its file, line and reason."""
    with open_store().read() as connection:
        dataset = get_dataset(connection, dataset_name)
        emit(_quarantined(connection, dataset.dataset_id), _QUARANTINE, fmt)


def _quarantined(connection: sa.Connection, dataset_id: str) -> Iterator[dict[str, Any]]:
    q, i = t.quarantined_votes.c, t.imports.c
    rows = connection.execution_options(yield_per=10_000).execute(
        sa.select(q.quarantine_id, q.import_id, i.file_name, q.line, q.reason, q.row)
        .join(t.imports, i.import_id == q.import_id)
        .where(q.dataset_id == dataset_id)
        .order_by(q.quarantine_id)
    )
    for row in rows.mappings():
        yield dict(row)


@votes.command()
@click.argument("vote_id", nargs=-1, required=True, type=click.IntRange(1), metavar="VOTE_ID...")
@required_dataset
@click.option("--reason", metavar="R", required=True, help="Why.")
@click.option("--actor", metavar="A", help="Who does it; by default the user of this machine.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@fmt_option
def withdraw(
    vote_id: tuple[int, ...], dataset_name: str, reason: str, actor: str | None, dry_run: bool, fmt: str
) -> None:
    """Take single votes back, for good, and recount their items. The votes stay in the table."""
    from hiveguard_pipeline.retraction import withdraw as withdraw_votes

    who = named_actor(actor)
    done = withdraw_votes(open_store(), dataset_name, vote_id, actor=who, reason=reason, dry_run=dry_run)
    show_retraction(done, fmt)
    would = "would be " if dry_run else ""
    say(
        f"{done.votes:,} of {len(set(vote_id)):,} votes {would}withdrawn from {dataset_name}:"
        f" {done.recounted:,} of {done.items:,} items counted again"
        + ("; nothing was changed (--dry-run)" if dry_run else "")
    )
