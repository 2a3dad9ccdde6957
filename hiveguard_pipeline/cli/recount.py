"""`hiveguard recount`: all votes from the first one on, on this machine or on Spark."""

import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click

from hiveguard_pipeline.cli.asset_process import AssetProcess, asset_process, end_on_signals
from hiveguard_pipeline.cli.shared import (
    dataset_option,
    emit,
    fmt_option,
    open_store,
    progress,
    say,
    warn_of_environment,
)
from hiveguard_pipeline.rules.states import STATES
from hiveguard_pipeline.settings import policy_from_environment

LINE_SECONDS = 5.0

_WRITTEN = ["extended", "new_generations", "withdrawn", "unchanged", "left_alone"]


@click.command()
@click.option("--engine", type=click.Choice(["local", "spark"]), default="local", show_default=True)
@dataset_option
@click.option(
    "--votes",
    metavar="PATH",
    help="Votes in Parquet, a file or folder: any fsspec URL for local, any Hadoop path for spark."
    " Without it they are read from the database (by spark over JDBC).",
)
@click.option("--output", metavar="PATH", help="A new folder for labels/, ledger/, states/, manifest.json.")
@click.option("--into-database", is_flag=True, help="Write the result into the dataset's labels and ledger.")
@click.option(
    "--result", metavar="PATH", help="No recount: write this one, made elsewhere, with --into-database."
)
@click.option(
    "--master",
    metavar="URL",
    help="Where Spark runs: local[N], spark://host:7077, k8s://..., or sc://host for Spark Connect."
    "  [default: SPARK_REMOTE, else local[*]]",
)
@click.option("--conf", "conf", metavar="KEY=VALUE", multiple=True, help="A setting of Spark; repeatable.")
@click.option(
    "--jdbc-jar",
    metavar="PATH",
    envvar="HIVEGUARD_JDBC_JAR",
    help="PostgreSQL's JDBC driver.  [default: HIVEGUARD_JDBC_JAR, else /usr/share/java/postgresql.jar]",
)
@click.option("--lines", is_flag=True, help="Progress as lines on stderr, where there is no terminal.")
@click.option("--run-id", hidden=True)
@click.option("--end-with", type=int, hidden=True, help="End when this parent process has ended.")
@fmt_option
def recount(
    engine: str,
    dataset_name: str | None,
    votes: str | None,
    output: str | None,
    into_database: bool,
    result: str | None,
    master: str | None,
    conf: tuple[str, ...],
    jdbc_jar: str | None,
    lines: bool,
    run_id: str | None,
    end_with: int | None,
    fmt: str,
) -> None:
    """Recount all votes of a dataset under its policy, from the first vote on.

    The policy is the dataset's; for --votes without --dataset it is what the environment says
    (CONSENSUS_THRESHOLD, ... or the defaults), and no database is opened. Gold items are left out, and
    so are votes with a gold_label in a file.

    The result goes to --output as Parquet, --into-database, or both. In the database an item's ledger is
    extended where it agrees with the recount, and begun anew in a new generation where it does not; items
    on which a person has decided are left alone.
    """
    _check(engine, dataset_name, votes, output, into_database, result, master, conf)
    end_on_signals(end_with)
    database = open_store() if dataset_name is not None else None
    run_id = run_id or f"recount-{uuid.uuid4()}"
    if result is not None:
        from hiveguard_pipeline.recount.job import write_result

        row = _written(write_result(database, str(dataset_name), result, run_id))
        emit([row], list(row), fmt)
        return

    from hiveguard_pipeline.recount.job import Request
    from hiveguard_pipeline.recount.session import JDBC_JAR, Place, check_settings

    if database is not None:
        _warn(database, str(dataset_name))
    request = Request(
        engine=engine,
        run_id=run_id,
        dataset_name=dataset_name,
        votes=votes,
        output=output,
        into_database=into_database,
        policy=policy_from_environment(),
        place=Place(master, check_settings(conf)),
        jdbc_jar=jdbc_jar or JDBC_JAR,
    )
    with asset_process() as asset:
        done = _done(request, database, asset, lines)
        row = _row(done)
        if asset:
            version = f"{done.manifest.horizon}.{done.manifest.policy_id}"
            counts = {name: value for name, value in row.items() if name != "output"}
            asset.materialized({"dagster/row_count": row["labels"], **counts}, done.output, version)
    emit([row], list(row), fmt)


def _done(request: Any, database: Any, asset: AssetProcess | None, lines: bool) -> Any:
    from hiveguard_pipeline.recount.job import recount_votes

    def tell(text: str) -> None:
        if asset:
            asset.log(text)
        elif lines or sys.stderr.isatty():
            say(text)

    with _following(tell, lines or asset is not None) as follow:
        return recount_votes(request, database, follow, tell)


def _row(done: Any) -> dict[str, Any]:
    found = done.manifest
    return {
        "engine": found.engine,
        "dataset": found.dataset,
        "votes": found.votes,
        "labels": found.rows["labels"],
        "ledger_rows": found.rows["ledger"],
        **{state: found.states.get(state, 0) for state in STATES[:4]},
        "output": done.output,
        **(_written(done.written) if done.written else {}),
    }


def _written(written: Any) -> dict[str, Any]:
    values = asdict(written)
    return {name: values[name] for name in _WRITTEN} | {"rows_written": values["ledger_rows"]}


def _check(
    engine: str,
    dataset_name: str | None,
    votes: str | None,
    output: str | None,
    into_database: bool,
    result: str | None,
    master: str | None,
    conf: tuple[str, ...],
) -> None:
    if result is not None:
        if votes is not None or output is not None or not into_database:
            raise click.UsageError("--result goes with --dataset and --into-database alone")
    elif dataset_name is None and votes is None:
        raise click.UsageError("name the votes: --dataset NAME, or --votes PATH, or both")
    if into_database and dataset_name is None:
        raise click.UsageError("--into-database wants --dataset NAME")
    if result is None and output is None and not into_database:
        raise click.UsageError("name where the result goes: --output PATH, --into-database, or both")
    if engine == "local" and (master is not None or conf):
        raise click.UsageError("--master and --conf are for --engine spark")


def _warn(database: Any, dataset_name: str) -> None:
    from hiveguard_pipeline.store.datasets import current_policy, get_dataset

    with database.read() as connection:
        warn_of_environment(current_policy(connection, get_dataset(connection, dataset_name)).policy)


@contextmanager
def _following(tell: Callable[[str], None], lines: bool) -> Iterator[Any]:
    """A bar on a terminal; lines some seconds apart if they are asked for."""
    with progress("recount", "steps") as bar:
        told = [0.0]

        def follow(done: int, total: int, what: str) -> None:
            bar(done, total)
            if lines and time.monotonic() - told[0] >= LINE_SECONDS:
                told[0] = time.monotonic()
                tell(f"{done:,} of {total:,} done{f' ({what})' if what else ''}")

        yield follow
