"""`hiveguard policy`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from hiveguard_pipeline.cli.shared import (
    as_json,
    emit,
    fmt_option,
    open_store,
    required_dataset,
    say,
    warn_of_environment,
)
from hiveguard_pipeline.rules.policy import ALL_SETTINGS
from hiveguard_pipeline.rules.states import STATES
from hiveguard_pipeline.store.datasets import get_dataset, policy_history, set_policy
from hiveguard_pipeline.store.status import labels_by_policy

if TYPE_CHECKING:
    from hiveguard_pipeline.foresight.simulate import Simulation

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
    decided stand as they are. csv and jsonl give the items by state under the two; json gives all in one
    object.
    """
    from hiveguard_pipeline.foresight.simulate import simulate as replay

    with open_store().read() as connection:
        found = replay(connection, get_dataset(connection, dataset_name), _changes(settings))
    moves = [
        {"from": before, "to": after, "items": int(found.matrix[row, column])}
        for row, before in enumerate(STATES)
        for column, after in enumerate(STATES)
        if found.matrix[row, column]
    ]
    if fmt == "json":
        click.echo(as_json(_simulated(dataset_name, found) | {"states": moves}))
        return
    if found.recorded_states_differ or found.recorded_labels_differ:
        say(
            f"as recorded, {found.recorded_states_differ:,} items stand in another state than this replay of"
            f" the current policy gives, and {found.recorded_labels_differ:,} have another label: earlier"
            " policies made them, or votes wait for a run"
        )
    if fmt != "table":
        emit(moves, ["from", "to", "items"], fmt)
        return
    _show_simulated(found, moves)


def _changes(settings: tuple[str, ...]) -> dict[str, str]:
    changes = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError(f"{setting!r} is not KEY=VALUE")
        changes[key.strip()] = value.strip()
    return changes


def _simulated(name: str, found: "Simulation") -> dict[str, Any]:
    gold: dict[str, Any] | None = None
    if found.gold_now is not None and found.gold_then is not None:
        gold = {
            "items": found.gold_items,
            "current": asdict(found.gold_now),
            "other": asdict(found.gold_then),
        }
    return {
        "dataset": name,
        "current": found.current.settings(),
        "other": found.other.settings(),
        "items": found.items,
        "votes": found.votes,
        "decided_by_people": found.decided,
        "states_changed": found.states_changed,
        "labels_changed": found.labels_changed,
        "labels_gained": found.labels_gained,
        "labels_lost": found.labels_lost,
        "votes_applied": {"current": found.applied_now, "other": found.applied_then},
        "exports": {"finalized": asdict(found.finalized), "graduated": asdict(found.graduated)},
        "accuracy_on_gold": gold,
        "recorded": {
            "states_differ": found.recorded_states_differ,
            "labels_differ": found.recorded_labels_differ,
        },
    }


def _show_simulated(found: "Simulation", moves: list[dict[str, Any]]) -> None:
    for key, value in found.other.settings().items():
        if value != found.current.settings()[key]:
            say(f"{key}: {found.current.settings()[key]} -> {value}")
    say(
        f"{found.states_changed:,} of {found.items:,} items change state, {found.labels_changed:,} their"
        f" label; {found.labels_gained:,} gain one, {found.labels_lost:,} lose it;"
        f" {found.decided:,} were decided by people and stay"
    )
    emit(moves, ["from", "to", "items"], "table")
    click.echo()
    exports = {"finalized": found.finalized, "graduated": found.graduated}
    emit(
        [{"export": name} | asdict(export) for name, export in exports.items()],
        ["export", "now", "then", "gained", "lost", "relabelled"],
        "table",
    )
    if found.gold_now is None or found.gold_then is None:
        say("no gold item has votes: accuracy is not known")
        return
    click.echo()
    rows = [
        {"on_gold": f"{which}, {policy_name}"} | asdict(getattr(on_gold, which))
        for which in ("labelled", "graduated")
        for policy_name, on_gold in (("current", found.gold_now), ("other", found.gold_then))
    ]
    emit(rows, ["on_gold", "items", "right", "accuracy", "low", "high"], "table")
