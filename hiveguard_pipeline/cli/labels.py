"""`hiveguard labels`."""

import getpass
import sys
from pathlib import Path
from typing import Any, BinaryIO

import click

from hiveguard_pipeline.cli.shared import dataset_option, open_store, say
from hiveguard_pipeline.exports.direct import export_directly
from hiveguard_pipeline.exports.files import FORMATS, replacing
from hiveguard_pipeline.rules.policy import millionths
from hiveguard_pipeline.settings import Settings

TRAINING = ("coco", "voc", "yolo", "spacy", "huggingface")


@click.group()
def labels() -> None:
    """Export labels; correct one."""


@labels.command()
@click.option("--fmt", type=click.Choice([*FORMATS, *TRAINING]), required=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help=f"A file, stdout without it; for {', '.join(TRAINING)} a new folder.",
)
@dataset_option
@click.option("--min-confidence", metavar="X", help="Only labels of at least this confidence (0 to 1).")
@click.option("--graduated", is_flag=True, help="Only labels that rest on enough evidence.")
@click.option("--split", type=click.Choice(["hash", "exact"]), help="Of a training format: how it is split.")
@click.option("--rebase-paths", metavar="ROOT", help="Of a training format: the root of its image paths.")
@click.option(
    "--image-dir",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Of a training format: where image files lie, for sizes that are not recorded.",
)
@click.option("--allow-lossy", is_flag=True, help="Of a training format: drop what it cannot hold.")
def export(
    fmt: str,
    output: Path | None,
    dataset_name: str | None,
    min_confidence: str | None,
    graduated: bool,
    split: str | None,
    **options: Any,
) -> None:
    """Stream the finalized labels, in item_id order; or write a training format.

    A training format is written from a snapshot of the graduated labels, which is made if need be.
    """
    least = 0 if min_confidence is None else millionths("--min-confidence", min_confidence)
    if fmt in TRAINING:
        if dataset_name is None or output is None:
            raise click.UsageError(f"--fmt {fmt} wants --dataset NAME and --output DIR")
        _export_for_training(fmt, output, dataset_name, least, split, options)
        return
    if split is not None or any(options.values()):
        raise click.UsageError(f"--split and the options of images are for {', '.join(TRAINING)}")
    if output is not None and output.is_dir():
        raise click.UsageError(f"--output {output} is a folder; --fmt {fmt} writes one file")
    write_labels(output, fmt, dataset_name=dataset_name, min_confidence=least, graduated=graduated)


def _export_for_training(
    fmt: str, output: Path, dataset_name: str, least: int, split: str | None, options: dict[str, Any]
) -> None:
    from hiveguard_pipeline.cli.snapshots import write_export
    from hiveguard_pipeline.snapshots import Selection, create_snapshot

    settings, database = Settings.from_environment(), open_store()
    made = create_snapshot(
        database,
        dataset_name,
        settings.snapshot_root,
        selection=Selection(min_confidence=least),
        split=split,
        note=f"labels export --fmt {fmt}",
        actor="command line",
        kept=settings.snapshots_kept,
        export_root=settings.export_root,
    )
    write_export(database, made.snapshot, fmt, output, **options)


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
@click.argument("label", required=False)
@click.option("--label", "named", metavar="L", help="The label, in place of the argument.")
@dataset_option
@click.option(
    "--reviewer", metavar="R", default=getpass.getuser, help="Who decides.  [default: the user's name]"
)
@click.option("--reason", metavar="T", required=True, help="Why.")
def correct(
    item: str, label: str | None, named: str | None, dataset_name: str | None, reviewer: str, reason: str
) -> None:
    """Set the label of an item in any state; it goes back into re-validation."""
    if (label is None) == (named is None):
        raise click.UsageError("give one label: LABEL, or --label L")
    label = label or named or ""
    from hiveguard_pipeline.cli.review import say_decision
    from hiveguard_pipeline.review import correct as correct_label

    say_decision(
        correct_label(open_store(), item, label, reviewer=reviewer, reason=reason, dataset_name=dataset_name)
    )
