"""`hiveguard labels`."""

import sys
from pathlib import Path
from typing import Any, BinaryIO

import click

from hiveguard_pipeline.cli.shared import dataset_option, open_store, say
from hiveguard_pipeline.exports.direct import export_directly
from hiveguard_pipeline.exports.files import FORMATS, replacing
from hiveguard_pipeline.rules.policy import millionths
from hiveguard_pipeline.settings import Settings


@click.group()
def labels() -> None:
    """Export labels; correct one."""


@labels.command()
@click.option("--fmt", type=click.Choice(FORMATS), required=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; stdout without it.")
@dataset_option
@click.option("--min-confidence", metavar="X", help="Only labels of at least this confidence (0 to 1).")
@click.option("--graduated", is_flag=True, help="Only labels that rest on enough evidence.")
def export(
    fmt: str, output: Path | None, dataset_name: str | None, min_confidence: str | None, graduated: bool
) -> None:
    """Stream the finalized labels, in item_id order."""
    least = 0 if min_confidence is None else millionths("--min-confidence", min_confidence)
    write_labels(output, fmt, dataset_name=dataset_name, min_confidence=least, graduated=graduated)


def write_labels(output: Path | None, fmt: str, **chosen: Any) -> None:
    """Write labels to a file, which appears when it is whole, or to stdout."""
    if output is None:
        if fmt == "parquet" and sys.stdout.isatty():
            raise click.UsageError("parquet is not for a terminal: name a file with --output")
        _export(sys.stdout.buffer, fmt, **chosen)
        sys.stdout.buffer.flush()
        return
    with replacing(output) as stream:
        rows = _export(stream, fmt, **chosen)
    say(f"{rows:,} labels in {output}")


def _export(stream: BinaryIO, fmt: str, **chosen: Any) -> int:
    rows = export_directly(Settings.from_environment().database_url, stream, fmt, **chosen)
    if rows is None:
        from hiveguard_pipeline.exports import export_labels

        rows = export_labels(open_store(), stream, fmt, **chosen)
    return rows


@labels.command()
@click.argument("item")
@click.argument("label")
@dataset_option
@click.option("--reviewer", metavar="R", required=True, help="Who decides.")
@click.option("--reason", metavar="T", required=True, help="Why.")
def correct(item: str, label: str, dataset_name: str | None, reviewer: str, reason: str) -> None:
    """Set the label of an item in any state; it goes back into re-validation."""
    from hiveguard_pipeline.cli.review import say_decision
    from hiveguard_pipeline.review import correct as correct_label

    say_decision(
        correct_label(open_store(), item, label, reviewer=reviewer, reason=reason, dataset_name=dataset_name)
    )
