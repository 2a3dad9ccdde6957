"""`hiveguard policy`."""

from typing import Any

import click

from hiveguard_pipeline.cli.shared import (
    emit,
    fmt_option,
    open_store,
    required_dataset,
    say,
    warn_of_environment,
)
from hiveguard_pipeline.rules.policy import ALL_SETTINGS
from hiveguard_pipeline.store.datasets import get_dataset, policy_history, set_policy
from hiveguard_pipeline.store.status import labels_by_policy

_COLUMNS = ["policy_id", "created_at", "actor", "reason", *ALL_SETTINGS, "labels"]


@click.group()
def policy() -> None:
    """Show and change a dataset's policy; try another on its votes."""


@policy.command()
@click.argument("name")
@fmt_option
def show(name: str, fmt: str) -> None:
    """The settings and their history, oldest first; the last one holds.

    labels: how many labels each policy made, or was the last to move.
    """
    with open_store().read() as connection:
        dataset = get_dataset(connection, name)
        history = policy_history(connection, dataset)
        made = labels_by_policy(connection, dataset)
    warn_of_environment(history[-1].policy)
    rows: list[dict[str, Any]] = [
        {
            "policy_id": entry.policy_id,
            "created_at": entry.created_at,
            "actor": entry.actor,
            "reason": entry.reason,
            **entry.policy.settings(whole=True),
            "labels": made.get(entry.policy_id, 0),
        }
        for entry in history
    ]
    if fmt != "table":
        emit(rows, _COLUMNS, fmt)
        return
    for row in rows:
        say(
            f"policy {row['policy_id']}, {row['created_at']}, {row['actor']}: {row['reason']}"
            f" ({row['labels']:,} labels stand under it)"
        )
    settings = history[-1].policy.settings()
    emit([{"setting": key, "value": value} for key, value in settings.items()], ["setting", "value"], fmt)


@policy.command("set")
@click.argument("name")
@click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option("--actor", metavar="A", required=True, help="Who changes it.")
@click.option("--reason", metavar="R", required=True, help="Why.")
def set_(name: str, settings: tuple[str, ...], actor: str, reason: str) -> None:
    """Change settings for the votes that are not processed yet; nothing is judged again."""
    recorded = set_policy(open_store(), name, _changes(settings), actor=actor, reason=reason)
    say(
        f"policy {recorded.policy_id} holds for {name}: "
        + ", ".join(f"{key}={value}" for key, value in recorded.policy.settings().items())
    )


@policy.command()
@required_dataset
@click.option(
    "--set", "settings", metavar="KEY=VALUE", multiple=True, required=True, help="May be given several times."
)
@fmt_option
def simulate(dataset_name: str, settings: tuple[str, ...], fmt: str) -> None:
    """Replay a dataset's votes under other settings and say what would differ; nothing is written.

    Both the current policy and the other one are replayed from the first vote on. Items that a person
    decided stand as they are. Under GRADUATION=adaptive the votes are read with the dataset's newest
    calibration (`hiveguard quality calibrate` makes one), up to each item's exit; settled: items in review
    that all their votes would settle. csv and jsonl give the items by state under the two; json gives all in
    one object.
    """
    from hiveguard_pipeline.cli.simulation import print_simulation
    from hiveguard_pipeline.foresight.simulate import simulate as replay

    with open_store().read() as connection:
        found = replay(connection, get_dataset(connection, dataset_name), _changes(settings))
    print_simulation(dataset_name, found, fmt)


def _changes(settings: tuple[str, ...]) -> dict[str, str]:
    changes = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError(f"{setting!r} is not KEY=VALUE")
        if key.strip() in changes:
            raise click.UsageError(f"{key.strip()} is given twice")
        changes[key.strip()] = value.strip()
    return changes
