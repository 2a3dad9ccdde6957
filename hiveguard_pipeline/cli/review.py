"""`hiveguard review`."""

import click

from hiveguard_pipeline.cli.shared import (
    Command,
    confidence,
    dataset_option,
    emit,
    fmt_option,
    open_store,
    say,
)
from hiveguard_pipeline.review import Decision, decide, list_flagged
from hiveguard_pipeline.review import undo as undo_decision
from hiveguard_pipeline.rules.policy import decimal_text
from hiveguard_pipeline.store.datasets import get_dataset, list_datasets

COLUMNS = [
    "dataset",
    "item_id",
    "external_id",
    "data_ref",
    "modality",
    "reason",
    "label",
    "confidence",
    "votes",
    "waiting_votes",
    "proposal",
    "proposal_probability",
    "stage",
]


@click.group()
def review() -> None:
    """The review queue, and decisions on it."""


@review.command("list")
@dataset_option
@fmt_option
def list_(dataset_name: str | None, fmt: str) -> None:
    """List the items that people must decide, least confident first, with what a model proposes."""
    with open_store().read() as connection:
        chosen = [get_dataset(connection, dataset_name)] if dataset_name else list_datasets(connection)
        flagged = [item for dataset in chosen for item in list_flagged(connection, dataset)]
    rows = [
        {name: getattr(item, name) for name in COLUMNS}
        | {name: confidence(getattr(item, name)) for name in ("confidence", "proposal_probability")}
        for item in flagged
    ]
    emit(rows, COLUMNS, fmt)


def _decision_options(command: Command) -> Command:
    for option in (
        click.option("--reason", metavar="T", required=True, help="Why."),
        click.option("--reviewer", metavar="R", required=True, help="Who decides."),
        dataset_option,
    ):
        command = option(command)
    return command


@review.command()
@click.argument("item")
@_decision_options
def confirm(item: str, dataset_name: str | None, reviewer: str, reason: str) -> None:
    """Keep the label; the item goes back into re-validation."""
    say_decision(
        decide(open_store(), item, "confirm", reviewer=reviewer, reason=reason, dataset_name=dataset_name)
    )


@review.command()
@click.argument("item")
@click.argument("label")
@_decision_options
def relabel(item: str, label: str, dataset_name: str | None, reviewer: str, reason: str) -> None:
    """Set another label; the item goes back into re-validation."""
    say_decision(
        decide(
            open_store(),
            item,
            "relabel",
            label=label,
            reviewer=reviewer,
            reason=reason,
            dataset_name=dataset_name,
        )
    )


@review.command()
@click.argument("item")
@_decision_options
def discard(item: str, dataset_name: str | None, reviewer: str, reason: str) -> None:
    """Take the item out for good."""
    say_decision(
        decide(open_store(), item, "discard", reviewer=reviewer, reason=reason, dataset_name=dataset_name)
    )


@review.command()
@click.argument("item")
@_decision_options
def undo(item: str, dataset_name: str | None, reviewer: str, reason: str) -> None:
    """Bring back what the newest decision replaced, unless votes were applied since."""
    say_decision(
        undo_decision(open_store(), item, reviewer=reviewer, reason=reason, dataset_name=dataset_name)
    )


def say_decision(made: Decision) -> None:
    """One line on what a decision did."""
    stands = (
        ""
        if made.label is None or made.confidence is None
        else (f", label {made.label!r} at {decimal_text(made.confidence)}")
    )
    say(
        f"{made.decision}: item {made.external_id} is {made.state}{stands};"
        f" {made.waiting_votes} votes wait for the next run"
    )
