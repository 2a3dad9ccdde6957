"""`hiveguard annotations`."""

from pathlib import Path

import click

from hiveguard_pipeline.cli.shared import emit, fmt_option, open_store, progress, required_dataset, say
from hiveguard_pipeline.formats.registry import FORMATS


@click.group()
def annotations() -> None:
    """Import annotations of training formats and of Label Studio."""


@annotations.command("import")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@required_dataset
@click.option("--from", "format_name", type=click.Choice(list(FORMATS)), required=True, help="The format.")
@click.option("--solver", metavar="NAME", help="Who annotated, where the input does not say.")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["votes", "gold"]),
    default="votes",
    show_default=True,
    help="An answer of each person, or the truth.",
)
@click.option("--image-dir", type=click.Path(path_type=Path), help="Where the images lie, for their sizes.")
@click.option("--create-items", is_flag=True, help="Make the items that are not there yet.")
@fmt_option
def import_(
    source: Path,
    dataset_name: str,
    format_name: str,
    solver: str | None,
    kind: str,
    image_dir: Path | None,
    create_items: bool,
    fmt: str,
) -> None:
    """Import a file or folder of annotations: one vote of each person on each item, or gold labels.

    An item is found by its name in the input, in Label Studio by our own id (hg_id) first. Importing the
    same input twice changes nothing.
    """
    from hiveguard_pipeline.intake.annotations import NOT_LABELLED, SEVERAL_CLASSES, import_annotations

    with progress(f"reading {source.name}", "items") as report:
        done = import_annotations(
            open_store(),
            dataset_name,
            source,
            format_name,
            solver=solver,
            as_gold=kind == "gold",
            image_dir=image_dir,
            create_items=create_items,
            report=report,
        )
    row = {"items": done.items, "answers": done.answers, "items_created": done.of_items.created}
    if kind == "gold":
        row |= {"made_gold": done.of_items.made_gold, "gold_kept": done.of_items.gold_kept}
    else:
        names = ("accepted", "quarantined", "already_known")
        row |= {name: getattr(done.votes, name) if done.votes else 0 for name in names}
    emit([row], list(row), fmt)
    of_items = done.of_items
    unknown = of_items.read - of_items.created - of_items.updated - of_items.unchanged
    if unknown:
        say(f"{unknown:,} items are not in {dataset_name}; --create-items makes them")
    said = {
        NOT_LABELLED: "items without an annotation gave no answer",
        SEVERAL_CLASSES: f"items have several classes, and an answer of {dataset_name} is one",
    }
    for code, count in sorted(done.notes.items()):
        say(f"{count:,} {said[code]}" if code in said else f"{count:,} {code}")
    for reason, count in (done.votes.reasons if done.votes else {}).items():
        say(f"quarantined: {count:,} {reason}")
    if done.votes and done.votes.reasons:
        say(f"`hiveguard votes quarantined --dataset {dataset_name}` shows the rows")
