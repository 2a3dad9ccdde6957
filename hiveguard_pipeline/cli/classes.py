"""`hiveguard classes`."""

from typing import TYPE_CHECKING, Any

import click

from hiveguard_pipeline.cli.shared import Command, emit, fmt_option, open_store, required_dataset, say
from hiveguard_pipeline.store.datasets import get_dataset

if TYPE_CHECKING:
    from hiveguard_pipeline.classes import ClassChange

_LISTED = ["class", "labels", "gold_items", "former_names"]
_HISTORY = ["version", "created_at", "change", "classes", "class_map", "actor", "reason"]
_CHANGED = ["dataset", "version", "change", "classes", "class_map", "labels", "gold_labels"]


@click.group()
def classes() -> None:
    """Show and change a dataset's classes; labels and answers follow.

    A change is a new version of the dataset's classes with the map from old names to new ones. Labels take
    their new names, answers (those to come too) are read as what they mean now, and nothing is counted again:
    votes, decisions and the ledger stay as they are, and snapshots keep the classes of their time.
    """


def _change(command: Command) -> Command:
    """The options that every change takes."""
    for option in (
        fmt_option,
        click.option("--reason", metavar="R", required=True, help="Why."),
        click.option("--actor", metavar="A", required=True, help="Who changes it."),
        required_dataset,
    ):
        command = option(command)
    return command


@classes.command("list")
@required_dataset
@fmt_option
def list_(dataset_name: str, fmt: str) -> None:
    """The classes, with the labels and gold items that have them, and the former names that mean them.

    Where answers are structured a class is counted in no label: labels and gold_items are empty. A dataset
    that takes any answer has no list; then what its labels name is shown.
    """
    from hiveguard_pipeline.classes import list_classes

    with open_store().read() as connection:
        found = list_classes(connection, get_dataset(connection, dataset_name))
    rows = [
        {
            "class": entry.name,
            "labels": entry.labels,
            "gold_items": entry.gold_items,
            "former_names": _listed(entry.former_names, fmt),
        }
        for entry in found
    ]
    emit(rows, _LISTED, fmt)


@classes.command()
@required_dataset
@fmt_option
def history(dataset_name: str, fmt: str) -> None:
    """The versions of a dataset's classes, oldest first; the last one holds."""
    from hiveguard_pipeline.store.schema_versions import schema_history

    with open_store().read() as connection:
        versions = schema_history(connection, get_dataset(connection, dataset_name))
    rows = [
        {
            "version": version.version,
            "created_at": version.created_at,
            "change": version.change,
            "classes": _names(version.classes, fmt),
            "class_map": _mapped(version.class_map, fmt),
            "actor": version.actor,
            "reason": version.reason,
        }
        for version in versions
    ]
    emit(rows, _HISTORY, fmt)


@classes.command()
@click.argument("names", nargs=-1, required=True, metavar="CLASS...")
@_change
def add(names: tuple[str, ...], dataset_name: str, actor: str, reason: str, fmt: str) -> None:
    """Add classes; answers that name them are taken from now on."""
    from hiveguard_pipeline.classes import add_classes

    _print(add_classes(open_store(), dataset_name, names, actor=actor, reason=reason), fmt)


@classes.command()
@click.argument("old")
@click.argument("new")
@_change
def rename(old: str, new: str, dataset_name: str, actor: str, reason: str, fmt: str) -> None:
    """Give a class another name; the former one is an answer still, and no class again."""
    from hiveguard_pipeline.classes import rename_class

    _print(rename_class(open_store(), dataset_name, old, new, actor=actor, reason=reason), fmt)


@classes.command()
@click.argument("names", nargs=-1, required=True, metavar="CLASS...")
@click.option(
    "--into", required=True, metavar="CLASS", help="What they are from now on: one of them, another, or new."
)
@_change
def merge(names: tuple[str, ...], into: str, dataset_name: str, actor: str, reason: str, fmt: str) -> None:
    """Make one class of several."""
    from hiveguard_pipeline.classes import merge_classes

    _print(merge_classes(open_store(), dataset_name, names, into, actor=actor, reason=reason), fmt)


@classes.command()
@click.argument("name", metavar="CLASS")
@click.option("--into", required=True, metavar="CLASS", help="The class that its labels and answers go to.")
@_change
def remove(name: str, into: str, dataset_name: str, actor: str, reason: str, fmt: str) -> None:
    """Take a class away."""
    from hiveguard_pipeline.classes import remove_class

    _print(remove_class(open_store(), dataset_name, name, into, actor=actor, reason=reason), fmt)


def _print(done: "ClassChange", fmt: str) -> None:
    say(
        f"schema version {done.version} of {done.dataset}: {done.change}; {done.labels:,} labels and"
        f" {done.gold_labels:,} gold labels have another name"
    )
    row = {
        "dataset": done.dataset,
        "version": done.version,
        "change": done.change,
        "classes": _names(done.classes, fmt),
        "class_map": _mapped(done.class_map, fmt),
        "labels": done.labels,
        "gold_labels": done.gold_labels,
    }
    emit([row], _CHANGED, fmt)


def _names(names: tuple[str, ...] | None, fmt: str) -> Any:
    """A list where a format has lists; None where any answer is taken."""
    return None if names is None else _listed(names, fmt)


def _listed(names: tuple[str, ...], fmt: str) -> Any:
    return list(names) if fmt in ("json", "jsonl") else ",".join(names)


def _mapped(class_map: dict[str, str], fmt: str) -> Any:
    if fmt in ("json", "jsonl"):
        return class_map
    return ", ".join(f"{old} -> {new}" for old, new in class_map.items())
