"""`hiveguard policy`."""

from typing import Any

import click

from hiveguard_pipeline.cli.shared import emit, fmt_option, open_store, say, warn_of_environment
from hiveguard_pipeline.rules.policy import SETTINGS
from hiveguard_pipeline.store.datasets import get_dataset, policy_history, set_policy

_COLUMNS = ["policy_id", "created_at", "actor", "reason", *SETTINGS]


@click.group()
def policy() -> None:
    """Show and change a dataset's policy."""


@policy.command()
@click.argument("name")
@fmt_option
def show(name: str, fmt: str) -> None:
    """The six settings and their history, oldest first; the last one holds."""
    with open_store().read() as connection:
        history = policy_history(connection, get_dataset(connection, name))
    warn_of_environment(history[-1].policy)
    rows: list[dict[str, Any]] = [
        {
            "policy_id": entry.policy_id,
            "created_at": entry.created_at,
            "actor": entry.actor,
            "reason": entry.reason,
            **entry.policy.settings(),
        }
        for entry in history
    ]
    if fmt != "table":
        emit(rows, _COLUMNS, fmt)
        return
    for row in rows:
        say(f"policy {row['policy_id']}, {row['created_at']}, {row['actor']}: {row['reason']}")
    emit([{"setting": key, "value": rows[-1][key]} for key in SETTINGS], ["setting", "value"], fmt)


@policy.command("set")
@click.argument("name")
@click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option("--actor", metavar="A", required=True, help="Who changes it.")
@click.option("--reason", metavar="R", required=True, help="Why.")
def set_(name: str, settings: tuple[str, ...], actor: str, reason: str) -> None:
    """Change settings for the votes that are not processed yet; nothing is judged again."""
    changes = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError(f"{setting!r} is not KEY=VALUE")
        changes[key.strip()] = value.strip()
    recorded = set_policy(open_store(), name, changes, actor=actor, reason=reason)
    say(
        f"policy {recorded.policy_id} holds for {name}: "
        + ", ".join(f"{key}={value}" for key, value in recorded.policy.settings().items())
    )
