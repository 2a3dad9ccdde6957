"""`hiveguard tasks`."""

import click

from hiveguard_pipeline.cli.shared import dataset_option, emit, fmt_option, open_store, say
from hiveguard_pipeline.store.datasets import get_dataset, list_datasets

_TASK_COLUMNS = [
    "lease_id",
    "dataset",
    "stage",
    "item_id",
    "external_id",
    "data_ref",
    "modality",
    "expires_at",
]
_LEASE_COLUMNS = [
    "lease_id",
    "dataset",
    "stage",
    "external_id",
    "solver_id",
    "leased_at",
    "expires_at",
    "ended_at",
    "ending",
]


@click.group()
def tasks() -> None:
    """Items that people are asked about: take, answer, give back."""


@tasks.command("next")
@click.option("--solver", metavar="S", required=True, help="Who asks.")
@click.option("--n", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many.")
@dataset_option
@click.option(
    "--lease-minutes", type=float, default=30.0, show_default=True, help="How long they are kept for S."
)
@click.option(
    "--most-open", type=click.IntRange(1), default=50, show_default=True, help="Open tasks of S at once."
)
@fmt_option
def next_(
    solver: str, n: int, dataset_name: str | None, lease_minutes: float, most_open: int, fmt: str
) -> None:
    """Lease the next tasks of a person: reviews first, then what a selection ranks, then the pool."""
    from hiveguard_pipeline.workflow import lease_next

    found = lease_next(
        open_store(),
        solver=solver,
        n=n,
        dataset_name=dataset_name,
        lease_minutes=lease_minutes,
        most_open=most_open,
    )
    if not found:
        say(f"there is nothing to ask {solver} now")
    emit([{name: getattr(task, name) for name in _TASK_COLUMNS} for task in found], _TASK_COLUMNS, fmt)


@tasks.command()
@click.argument("lease", type=int)
@click.option("--answer", "given", metavar="A", help="The answer.")
@click.option("--discard", is_flag=True, help="The item is to be taken out (stages of people only).")
@click.option("--reason", metavar="R", default="", help="Why.")
@click.option("--solver", metavar="S", help="Refuse if the task is somebody else's.")
def answer(lease: int, given: str | None, discard: bool, reason: str, solver: str | None) -> None:
    """Answer a task: a vote where the crowd is asked, else an answer of its stage."""
    from hiveguard_pipeline.workflow import answer as answer_task

    if (given is None) != discard:
        raise click.UsageError("one of --answer A and --discard is wanted")
    done = answer_task(open_store(), lease, answer=given, reason=reason, solver=solver)
    stage = f"stage {done.stage}: {done.outcome}" if done.outcome else f"stage {done.stage} goes on"
    say(f"{done.wrote.replace('_', ' ')} on item {done.external_id}; {stage}; it is {done.state}")


@tasks.command("return")
@click.argument("lease", type=int)
@click.option("--solver", metavar="S", help="Refuse if the task is somebody else's.")
def return_(lease: int, solver: str | None) -> None:
    """Give a task back unanswered."""
    from hiveguard_pipeline.workflow import release

    release(open_store(), lease, solver=solver)
    say(f"task {lease} goes to somebody else")


@tasks.command("list")
@dataset_option
@click.option("--solver", metavar="S", help="Only those of S.")
@click.option("--all", "ended", is_flag=True, help="Those that ended, too.")
@fmt_option
def list_(dataset_name: str | None, solver: str | None, ended: bool, fmt: str) -> None:
    """List the tasks in people's hands, oldest first."""
    from hiveguard_pipeline.workflow import list_leases

    with open_store().read() as connection:
        chosen = [get_dataset(connection, dataset_name)] if dataset_name else list_datasets(connection)
        found = [
            lease
            for dataset in chosen
            for lease in list_leases(connection, dataset, solver=solver, ended=ended)
        ]
    emit([{name: getattr(lease, name) for name in _LEASE_COLUMNS} for lease in found], _LEASE_COLUMNS, fmt)
