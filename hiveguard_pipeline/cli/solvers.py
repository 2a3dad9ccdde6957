"""`hiveguard solvers`."""

from typing import TYPE_CHECKING

import click

from hiveguard_pipeline.cli.retraction import named_actor, show_retraction
from hiveguard_pipeline.cli.shared import (
    Command,
    dataset_option,
    emit,
    fmt_option,
    open_store,
    required_dataset,
    say,
)
from hiveguard_pipeline.store.datasets import get_dataset, list_datasets
from hiveguard_pipeline.store.exclusions import list_exclusions

if TYPE_CHECKING:
    from hiveguard_pipeline.retraction import Effect

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
        open_store(), dataset_name, solver, actor=named_actor(actor), reason=reason, dry_run=dry_run
    )
    _show("excluded from", done, fmt)


@solvers.command()
@_retraction_options
def restore(
    solver: tuple[str, ...], dataset_name: str, reason: str, actor: str | None, dry_run: bool, fmt: str
) -> None:
    """Let the votes of excluded solvers count again, and recount the items they touched."""
    from hiveguard_pipeline.retraction import restore as restore_solvers

    done = restore_solvers(
        open_store(), dataset_name, solver, actor=named_actor(actor), reason=reason, dry_run=dry_run
    )
    _show("restored to", done, fmt)


def _show(done: str, effect: "Effect", fmt: str) -> None:
    show_retraction(effect, fmt)
    names = ", ".join(effect.solvers)
    would = "would be " if effect.dry_run else ""
    ending = "; nothing was changed (--dry-run)" if effect.dry_run else ""
    say(
        f"{names} {would}{done} {effect.dataset}: {effect.recounted:,} of {effect.items:,} items"
        f" counted again{ending}"
    )
