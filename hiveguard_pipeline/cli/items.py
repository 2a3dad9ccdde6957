"""`hiveguard items`."""

from dataclasses import asdict
from pathlib import Path

import click

from hiveguard_pipeline.cli.shared import emit, fmt_option, open_store, required_dataset, say
from hiveguard_pipeline.intake import import_items


@click.group()
def items() -> None:
    """Import items."""


@items.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@required_dataset
@fmt_option
def import_(file: Path, dataset_name: str, fmt: str) -> None:
    """Import items from CSV or JSONL.

    Columns: external_id, data_ref, modality[, gold_label, width, height, text, group, licence].
    """
    done = asdict(import_items(open_store(), dataset_name, file))
    emit([done], list(done), fmt)
    if done["gold_kept"]:
        say(f"{done['gold_kept']} gold labels differ from the file's and were kept")
    if done["details_kept"]:
        say(f"{done['details_kept']} items have another size, text, group or licence, which was kept")
