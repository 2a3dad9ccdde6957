"""`hiveguard workflow`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hiveguard_pipeline.cli.shared import confidence, emit, fmt_option, open_store, say
from hiveguard_pipeline.store.datasets import current_policy, get_dataset

if TYPE_CHECKING:
    from hiveguard_pipeline.workflow import WorkflowChange

_ITEM_COLUMNS = [
    "item_id",
    "external_id",
    "stage",
    "state",
    "label",
    "confidence",
    "answers",
    "entered_at",
    "due_at",
]
_WAY_COLUMNS = [
    "created_at",
    "external_id",
    "from_stage",
    "outcome",
    "to_stage",
    "detail",
    "workflow_id",
    "run_id",
]


@click.group()
def workflow() -> None:
    """The stages that items go through: who answers, and what it leads to."""


@workflow.command()
@click.argument("name")
@fmt_option
def show(name: str, fmt: str) -> None:
    """Draw the stages of a dataset; without a workflow, the documented life cycle."""
    from hiveguard_pipeline.workflow.drawn import COLUMNS, drawing, shown_stages, stage_rows
    from hiveguard_pipeline.workflow.recorded import current_workflow

    with open_store().read() as connection:
        dataset = get_dataset(connection, name)
        policy = current_policy(connection, dataset).policy
        recorded = current_workflow(connection, dataset)
        stages, items = shown_stages(connection, dataset)
    if recorded is None:
        say(f"{name}: the documented life cycle")
    else:
        since = f"{recorded.created_at}, {recorded.actor}: {recorded.reason}"
        say(f"{name}: workflow {recorded.workflow_id}, {since}")
    if fmt == "table":
        click.echo(drawing(stages, items, policy))
    else:
        emit(stage_rows(stages, items, policy), COLUMNS, fmt)


@workflow.command("set")
@click.argument("name")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A YAML file with workflow: or quality:; its other keys are not looked at.",
)
@click.option("--documented", is_flag=True, help="The documented life cycle.")
@click.option("--actor", metavar="A", required=True, help="Who changes it.")
@click.option("--reason", metavar="R", required=True, help="Why.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
def set_(name: str, config: Path | None, documented: bool, actor: str, reason: str, dry_run: bool) -> None:
    """Give a dataset other stages. No finished item moves; what becomes of open ones is said."""
    from hiveguard_pipeline.config import set_workflow_from_config
    from hiveguard_pipeline.workflow import LIFE_CYCLE, set_workflow

    if (config is None) != documented:
        raise click.UsageError("one of --config FILE and --documented is wanted")
    database = open_store()
    if config is None:
        made = set_workflow(database, name, LIFE_CYCLE, actor=actor, reason=reason, dry_run=dry_run)
    else:
        made = set_workflow_from_config(database, name, config, actor=actor, reason=reason, dry_run=dry_run)
    _say_change(made)


def _say_change(made: "WorkflowChange") -> None:
    would = "would be " if made.dry_run else ""
    if made.workflow_id is None:
        say(f"{made.dataset} has these stages already")
    elif made.dry_run:
        say(f"{made.dataset} would have these stages from now on; nothing was changed")
    else:
        say(f"workflow {made.workflow_id} holds for {made.dataset}")
    for key, value in made.settings.items():
        say(f"policy: {key} {would}{value}")
    for group in made.unlisted:
        add = f"hiveguard people add {made.dataset} {group} NAME"
        say(f"warning: nobody is one of the {group} yet; `{add}` makes somebody one")
    rows = [
        {"from": start, "to": end, "items": count} for (start, end), count in sorted(made.open_items.items())
    ]
    if rows:
        say("items that wait in a stage:")
        emit(rows, ["from", "to", "items"], "table")


@workflow.command()
@click.argument("name")
@fmt_option
def history(name: str, fmt: str) -> None:
    """The workflows of a dataset, oldest first; the last one holds."""
    from hiveguard_pipeline.workflow import workflow_history

    with open_store().read() as connection:
        recorded = workflow_history(connection, get_dataset(connection, name))
    rows = [
        {
            "workflow_id": entry.workflow_id,
            "created_at": entry.created_at,
            "actor": entry.actor,
            "reason": entry.reason,
            "stages": ", ".join(stage.name for stage in entry.stages)
            if fmt in ("table", "csv")
            else [stage.values() for stage in entry.stages],
        }
        for entry in recorded
    ]
    emit(rows, ["workflow_id", "created_at", "actor", "reason", "stages"], fmt)


@workflow.command()
@click.argument("name")
@click.option("--stage", metavar="S", help="Only the items in this one.")
@fmt_option
def items(name: str, stage: str | None, fmt: str) -> None:
    """The items that wait in a stage of people or of a model, longest first."""
    from hiveguard_pipeline.workflow.listed import waiting_items

    with open_store().read() as connection:
        found = waiting_items(connection, get_dataset(connection, name), stage)
    emit([row | {"confidence": confidence(row["confidence"])} for row in found], _ITEM_COLUMNS, fmt)


@workflow.command()
@click.argument("name")
@click.option("--item", metavar="ITEM", help="Only of this one: an item_id or external_id.")
@fmt_option
def transitions(name: str, item: str | None, fmt: str) -> None:
    """The ways of items from stage to stage, oldest first."""
    from hiveguard_pipeline.workflow.listed import transitions_of

    with open_store().read() as connection:
        found = transitions_of(connection, get_dataset(connection, name), item)
    if fmt in ("table", "csv"):
        found = [row | {"detail": json.dumps(row["detail"], ensure_ascii=False)} for row in found]
    emit(found, _WAY_COLUMNS, fmt)


@workflow.command()
@click.argument("name")
def advance(name: str) -> None:
    """Move every item that can move now; runs do it by themselves."""
    from hiveguard_pipeline.workflow import advance as advance_dataset

    done = advance_dataset(open_store(), name)
    if done.workflow_id is None:
        say(f"{name} has no workflow: the documented life cycle holds")
        return
    say(f"{done.moved} moves")
    rows = [
        {"from": start or "the pool", "outcome": outcome, "to": end, "items": count}
        for (start, outcome, end), count in sorted(done.ways.items())
    ]
    emit(rows, ["from", "outcome", "to", "items"], "table")
