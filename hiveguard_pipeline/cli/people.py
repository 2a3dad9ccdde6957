"""`hiveguard people`."""

import click

from hiveguard_pipeline.cli.shared import dataset_option, emit, fmt_option, open_store, say
from hiveguard_pipeline.store.datasets import get_dataset, list_datasets

_COLUMNS = ["dataset", "group", "solver_id", "added_by", "created_at"]
_group = click.argument("group", type=click.Choice(["annotators", "experts"]))
_names = click.argument("solvers", nargs=-1, required=True, metavar="SOLVER...")
_actor = click.option("--actor", metavar="A", required=True, help="Who does it.")


@click.group()
def people() -> None:
    """The annotators and experts of datasets; everybody else is the crowd."""


@people.command("list")
@dataset_option
@fmt_option
def list_(dataset_name: str | None, fmt: str) -> None:
    """List them by dataset, group and name."""
    from hiveguard_pipeline.workflow import list_people

    with open_store().read() as connection:
        chosen = [get_dataset(connection, dataset_name)] if dataset_name else list_datasets(connection)
        found = [person for dataset in chosen for person in list_people(connection, dataset)]
    emit([{name: getattr(person, name) for name in _COLUMNS} for person in found], _COLUMNS, fmt)


@people.command()
@click.argument("name")
@_group
@_names
@_actor
def add(name: str, group: str, solvers: tuple[str, ...], actor: str) -> None:
    """Put people into a group of a dataset."""
    from hiveguard_pipeline.workflow import add_people

    new = add_people(open_store(), name, group, solvers, actor=actor)
    say(f"{new} new {group} of {name}")


@people.command()
@click.argument("name")
@_group
@_names
@_actor
def remove(name: str, group: str, solvers: tuple[str, ...], actor: str) -> None:
    """Take people out of a group; what they answered stays."""
    from hiveguard_pipeline.workflow import remove_people

    gone = remove_people(open_store(), name, group, solvers, actor=actor)
    say(f"{gone} of the {group} of {name} are so no longer")
