"""One recount from its request to its end: which votes, which policy, which engine, where the result goes."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.recount.fold import Stamp
from hiveguard_pipeline.recount.into_database import WrittenBack, write_back
from hiveguard_pipeline.recount.output import Manifest, Result, Source
from hiveguard_pipeline.recount.session import JDBC_JAR, Follow, Place, session, ui_address
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, current_policy, get_dataset, progress_of
from hiveguard_pipeline.store.exclusions import counted, retractions
from hiveguard_pipeline.store.horizon import WAIT_SECONDS, safe_horizon
from hiveguard_pipeline.store.schema_versions import class_map_of

ENGINES = ("local", "spark")

Tell = Callable[[str], None]
"""Called with a line for the person who waits."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    dataset_name None: the votes are those of a file, under `policy`. votes: a Parquet file or folder, None
    for the dataset's votes in the database. output None: a folder that is gone afterwards.
    """

    engine: str
    run_id: str
    dataset_name: str | None = None
    votes: str | None = None
    output: str | None = None
    into_database: bool = False
    policy: Policy = field(default_factory=Policy)
    place: Place = field(default_factory=Place)
    jdbc_jar: str = JDBC_JAR
    wait_seconds: float = WAIT_SECONDS
    """How long to wait for writers of votes that were open when the recount began."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a request."""

    manifest: Manifest
    output: str | None
    written: WrittenBack | None


def recount_votes(request: Request, database: Database | None, follow: Follow, tell: Tell) -> Done:
    """Do a recount. Raises HiveGuardError for what stands in its way; then nothing is in the database.

    A result that could not go there stays in the output that was named: it can be tried again.
    """
    source, stamp = _begin(request, database)
    with _output(request) as output:
        engine = _on_spark if request.engine == "spark" else _here
        manifest = engine(request, database, source, stamp, output, follow, tell)
        written = None
        if request.into_database:
            tell("writing the result into the database")
            written = write_result(database, str(request.dataset_name), output, request.run_id)
    return Done(manifest, request.output, written)


def write_result(database: Database | None, dataset_name: str, output: str, run_id: str) -> WrittenBack:
    """Write a finished result into the database."""
    assert database is not None
    return write_back(database, dataset_name, Result(output), run_id=run_id)


def _begin(request: Request, database: Database | None) -> tuple[Source, Stamp]:
    """The votes that are there now, and the policy that holds now."""
    moment = time.time_ns() // 1000
    if request.dataset_name is None:
        return Source(str(request.votes)), Stamp(request.policy, None, request.run_id, moment)
    assert database is not None
    with database.look() as connection:
        dataset = get_dataset(connection, request.dataset_name)
        recorded = current_policy(connection, dataset)
        stamp = Stamp(
            recorded.policy,
            recorded.policy_id,
            request.run_id,
            moment,
            dataset.task_type,
            class_map_of(connection, dataset),
        )
        if recorded.policy.is_adaptive:
            raise BadInputError(
                f"{dataset.name} graduates by probability (GRADUATION=adaptive): a recount follows the"
                " documented rule and would make other labels"
            )
        if request.votes is not None:
            return Source(request.votes, dataset.name, schema_version=dataset.schema_version), stamp
        progress = progress_of(connection, dataset)
        horizon = safe_horizon(connection, progress.folded_through, request.wait_seconds)
        retracted = retractions(connection, dataset)
        votes = connection.execute(
            sa.text(
                "SELECT count(*) FROM votes v JOIN items i ON i.item_id = v.item_id"
                " WHERE i.dataset_id = :dataset AND i.gold_label IS NULL AND v.vote_id <= :horizon"
                + counted(connection, dataset)
            ),
            {"dataset": dataset.dataset_id, "horizon": horizon},
        ).scalar_one()
        position = progress.ledger_position
    source = Source(
        database.address, dataset.name, horizon, position, int(votes), retracted, dataset.schema_version
    )
    return source, stamp


@contextmanager
def _output(request: Request) -> Iterator[str]:
    if request.output is not None:
        yield request.output
        return
    if request.engine == "spark" and not request.place.is_here:
        raise BadInputError(
            f"--output is wanted with {request.place.address}: a folder that Spark's executors and this"
            " machine both reach"
        )
    with tempfile.TemporaryDirectory(prefix="hiveguard-recount-") as folder:
        yield str(Path(folder) / "result")


def _here(
    request: Request,
    database: Database | None,
    source: Source,
    stamp: Stamp,
    output: str,
    follow: Follow,
    tell: Tell,  # noqa: ARG001
) -> Manifest:
    from hiveguard_pipeline.recount.local import parts_of_database, parts_of_files, recount_here

    def report(done: int, total: int) -> None:
        follow(done, total, "items" if source.horizon is not None else "parts of the votes")

    if request.votes is not None:
        return recount_here(parts_of_files(request.votes, stamp, report), source, stamp, output)
    assert database is not None
    assert source.horizon is not None
    parts = parts_of_database(database, _dataset(database, source), source.horizon, stamp, report)
    return recount_here(parts, source, stamp, output)


def _on_spark(
    request: Request,
    database: Database | None,
    source: Source,
    stamp: Stamp,
    output: str,
    follow: Follow,
    tell: Tell,
) -> Manifest:
    from hiveguard_pipeline.recount.spark import (
        jdbc_address,
        recount_on_spark,
        votes_of_database,
        votes_of_files,
    )

    over_jdbc = request.votes is None and database is not None and jdbc_address(database) is not None
    if request.place.is_connect and request.place.is_here:
        over_jdbc = False  # a server that lives as long as this process has no .pgpass of its own
    jars = (request.jdbc_jar,) if over_jdbc and request.place.starts_spark else ()
    place = Place(request.place.master, request.place.settings, jars)
    with (
        _parquet(request, database, source, over_jdbc, tell, follow) as path,
        session(place, f"hiveguard recount {source.dataset or ''}".strip()) as spark,
    ):
        tell(f"Spark {spark.version} at {place.address}{_shown(ui_address(spark))}")
        if path is not None:
            votes = votes_of_files(spark, path)
        else:
            assert database is not None
            assert source.horizon is not None
            votes = votes_of_database(spark, database, _dataset(database, source), source.horizon)
        return recount_on_spark(spark, votes, source, stamp, output, follow)


def _dataset(database: Database, source: Source) -> Dataset:
    with database.read() as connection:
        return get_dataset(connection, str(source.dataset))


def _shown(address: str | None) -> str:
    return f", {address}" if address else ""


@contextmanager
def _parquet(
    request: Request, database: Database | None, source: Source, over_jdbc: bool, tell: Tell, follow: Follow
) -> Iterator[str | None]:
    """Where the votes lie in Parquet; None if executors read them over JDBC.

    They cannot open an SQLite file, nor a server's Unix socket: those votes are read here first.
    """
    if request.votes is not None or over_jdbc:
        yield request.votes
        return
    assert database is not None
    assert source.horizon is not None
    if not request.place.is_here:
        raise BadInputError(
            f"{request.place.address} reads PostgreSQL over TCP only, and {database.address} is something"
            f" else: export the votes to where its executors reach them (`hiveguard votes export --dataset"
            f" {source.dataset} --fmt parquet --output F`) and give --votes F"
        )
    from hiveguard_pipeline.recount.local import store_votes

    with tempfile.TemporaryDirectory(prefix="hiveguard-votes-") as folder:
        path = Path(folder) / "votes.parquet"
        tell("reading the votes out of the database")
        store_votes(
            database,
            _dataset(database, source),
            source.horizon,
            path,
            lambda done, total: follow(done, total, "items read"),
        )
        yield str(path)
