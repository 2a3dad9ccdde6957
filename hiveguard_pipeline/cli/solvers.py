"""`hiveguard solvers`."""

import getpass
from dataclasses import asdict
from typing import Any

import click

from hiveguard_pipeline.cli.shared import (
    Command,
    as_json,
    dataset_option,
    emit,
    fmt_option,
    open_store,
    required_dataset,
    say,
)
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.store.datasets import get_dataset, list_datasets
from hiveguard_pipeline.store.exclusions import list_exclusions

COLUMNS = [
    "dataset",
    "solver_id",
    "excluded_at",
    "actor",
    "reason",
    "restored_at",
    "restored_by",
    "restored_reason",
]


@click.group()
def solvers() -> None:
    """Take solvers' votes out of a dataset, and put them back."""


@solvers.command("list")
@dataset_option
@click.option("--all", "former", is_flag=True, help="Those that were taken back, too.")
@fmt_option
def list_(dataset_name: str | None, former: bool, fmt: str) -> None:
    """List the solvers whose votes do not count."""
    with open_store().read() as connection:
        chosen = [get_dataset(connection, dataset_name)] if dataset_name else list_datasets(connection)
        found = [
            exclusion
            for dataset in chosen
            for exclusion in list_exclusions(connection, dataset, former=former)
        ]
    columns = COLUMNS if former else COLUMNS[:5]
    emit([{name: getattr(exclusion, name) for name in columns} for exclusion in found], columns, fmt)


def _retraction_options(command: Command) -> Command:
    for option in (
        fmt_option,
        click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing."),
        click.option("--actor", metavar="A", help="Who does it; by default the user of this machine."),
        click.option("--reason", metavar="R", required=True, help="Why."),
        required_dataset,
        click.argument("solver", nargs=-1, required=True, metavar="SOLVER..."),
    ):
        command = option(command)
    return command


@solvers.command()
@_retraction_options
def exclude(
    solver: tuple[str, ...], dataset_name: str, reason: str, actor: str | None, dry_run: bool, fmt: str
) -> None:
    """Take solvers' votes out, those to come too, and recount the items they touched."""
    from hiveguard_pipeline.retraction import exclude as exclude_solvers

    done = exclude_solvers(
        open_store(), dataset_name, solver, actor=_actor(actor), reason=reason, dry_run=dry_run
    )
    _show("excluded from", asdict(done), fmt)


@solvers.command()
@_retraction_options
def restore(
    solver: tuple[str, ...], dataset_name: str, reason: str, actor: str | None, dry_run: bool, fmt: str
) -> None:
    """Let the votes of excluded solvers count again, and recount the items they touched."""
    from hiveguard_pipeline.retraction import restore as restore_solvers

    done = restore_solvers(
        open_store(), dataset_name, solver, actor=_actor(actor), reason=reason, dry_run=dry_run
    )
    _show("restored to", asdict(done), fmt)


def _actor(given: str | None) -> str:
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        raise BadInputError("this machine's user has no name: say who with --actor") from None


def _show(done: str, effect: dict[str, Any], fmt: str) -> None:
    """What an exclusion or restoration did: one object as JSON, a count a line otherwise."""
    if fmt in ("json", "jsonl"):
        click.echo(as_json(effect))
    else:
        counts = {name: effect[name] for name in ("votes", "items", "recounted")}
        for part in ("labels", "finalized", "graduated"):
            counts |= {f"{part}_{what}": count for what, count in effect[part].items()}
        counts |= {f"{change['before']} -> {change['after']}": change["items"] for change in effect["states"]}
        emit([{"what": what, "count": count} for what, count in counts.items()], ["what", "count"], fmt)
    names = ", ".join(effect["solvers"])
    would = "would be " if effect["dry_run"] else ""
    ending = "; nothing was changed (--dry-run)" if effect["dry_run"] else ""
    say(
        f"{names} {would}{done} {effect['dataset']}: {effect['recounted']:,} of {effect['items']:,} items"
        f" counted again{ending}"
    )
