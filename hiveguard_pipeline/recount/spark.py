"""The engine past one machine: the same fold as Arrow batches on Apache Spark, partitioned by item."""

from typing import Any

import pyarrow as pa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.recount.fold import TABLES, VOTES, Stamp
from hiveguard_pipeline.recount.output import (
    MANIFEST,
    Counts,
    Folder,
    FsspecFolder,
    Manifest,
    Source,
    refuse_if_taken,
)
from hiveguard_pipeline.recount.rows import PART, ROWS, VotesToRows
from hiveguard_pipeline.recount.session import Follow, followed, is_connect
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset

VOTES_A_PARTITION = 1_000_000
"""The most votes that one task folds."""

VOTES_WORTH_A_TASK = 20_000
TASKS_AT_ONCE = 16
"""Tasks to make at least, if there are votes for them, where Spark does not say how many it can run."""

VOTES_A_CONNECTION = 1_000_000
MOST_CONNECTIONS = 16
"""The most connections that one recount opens to the database."""

_FETCHED_ROWS = "20000"
_PASSED_ON = ("sslmode", "sslrootcert", "sslcert", "sslkey")

_SQL_TYPES = {
    pa.string(): "string",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    VOTES.field("created_at").type: "timestamp",
}


def recount_on_spark(
    spark: Any, votes: Any, source: Source, stamp: Stamp, output: str, follow: Follow | None = None
) -> Manifest:
    """Recount a DataFrame of votes into a new folder on any path that the executors reach.

    What an error left there is removed. Raises BadInputError if the folder holds anything already.
    """
    folder = _folder(spark, output)
    refuse_if_taken(folder)
    rows = (
        votes.select(*VOTES.names)
        .repartition(
            _partitions(spark, source.votes if source.votes is not None else votes.count()), "item_id"
        )
        .sortWithinPartitions("item_id", "vote_id")
        .mapInArrow(VotesToRows(stamp).__call__, ", ".join(f"{f.name} {_SQL_TYPES[f.type]}" for f in ROWS))
        .persist()
    )
    try:
        with followed(spark, follow):
            for table, schema in TABLES.items():
                rows.where(rows[PART] == table).select(*schema.names).write.parquet(f"{output}/{table}")
            counts = _counts(rows)
        manifest = Manifest.of("spark", source, stamp, counts)
        folder.write_text(MANIFEST, manifest.text())
    except BaseException:
        folder.remove()
        raise
    finally:
        rows.unpersist()
    return manifest


def _partitions(spark: Any, votes: int) -> int:
    """How many tasks to spread votes over."""
    at_once = TASKS_AT_ONCE if is_connect(spark) else spark.sparkContext.defaultParallelism
    return max(1, -(-votes // VOTES_A_PARTITION), min(at_once, -(-votes // VOTES_WORTH_A_TASK)))


def votes_of_files(spark: Any, path: str) -> Any:
    """The votes in Parquet at a Hadoop path; rows with a gold_label or of excluded solvers are left out."""
    votes = spark.read.parquet(path)
    if missing := [name for name in VOTES.names if name not in votes.columns]:
        raise BadInputError(
            f"{path} has no column {missing[0]}; votes have {', '.join(VOTES.names)}"
            " (`hiveguard votes export --fmt parquet` writes them)"
        )
    if "gold_label" in votes.columns:
        votes = votes.where(votes["gold_label"].isNull())
    if "excluded" in votes.columns:
        votes = votes.where("NOT coalesce(CAST(excluded AS boolean), false)")
    return votes.select(*(votes[f.name].cast(_SQL_TYPES[f.type]).alias(f.name) for f in VOTES))


def votes_of_database(spark: Any, database: Database, dataset: Dataset, horizon: int) -> Any:
    """A dataset's votes up to a horizon, read by executors over JDBC in ranges of vote_id; PostgreSQL only.

    Gold items and votes of excluded solvers are left out. The password goes to the driver as an option, and
    is in no plan. A Spark Connect server would show it on its pages: it is not sent there, executors have
    it in their .pgpass.
    """
    query = (
        "(SELECT CAST(v.item_id AS text) AS item_id, v.vote_id, v.answer, v.created_at"
        " FROM votes v JOIN items i ON i.item_id = v.item_id"
        f" WHERE i.dataset_id = '{dataset.dataset_id}' AND i.gold_label IS NULL"
        f" AND v.vote_id <= {horizon} AND v.solver_id NOT IN"
        f" (SELECT solver_id FROM active_exclusions WHERE dataset_id = '{dataset.dataset_id}')"
        " AND v.vote_id NOT IN"
        f" (SELECT vote_id FROM withdrawals WHERE dataset_id = '{dataset.dataset_id}')) AS votes"
    )
    connections = max(1, min(MOST_CONNECTIONS, -(-horizon // VOTES_A_CONNECTION)))
    options = {
        **_jdbc_options(database, with_password=not is_connect(spark)),
        "dbtable": query,
        "fetchsize": _FETCHED_ROWS,
        "partitionColumn": "vote_id",
        "lowerBound": "1",
        "upperBound": str(horizon + 1),
        "numPartitions": str(connections),
    }
    return spark.read.format("jdbc").options(**options).load()


def jdbc_address(database: Database) -> str | None:
    """The JDBC address of a database, without user or password; None if it is not reached over TCP."""
    url = database.url
    host, port = url.query.get("host", url.host), url.query.get("port", url.port or 5432)
    if database.is_sqlite or not isinstance(host, str) or host.startswith("/"):
        return None
    return f"jdbc:postgresql://{f'[{host}]' if ':' in host else host}:{port}/{url.database}"


def _jdbc_options(database: Database, with_password: bool) -> dict[str, str]:
    url = database.url
    options: dict[str, object] = {
        "url": jdbc_address(database),
        "driver": "org.postgresql.Driver",
        "user": url.username,
        "password": (url.password or url.query.get("password")) if with_password else None,
        **{key: url.query.get(key) for key in _PASSED_ON},
    }
    return {key: str(value) for key, value in options.items() if value}


def _counts(rows: Any) -> Counts:
    from pyspark.sql import functions as f

    found = rows.groupBy(PART, f.when(rows[PART] == "states", rows["state"]).alias("state")).agg(
        f.count(f.lit(1)), f.sum("votes"), f.max("newest_vote_id")
    )
    counts = Counts()
    for part, state, count, votes, newest in found.collect():
        counts.rows[part] += count
        if part == "states":
            counts.states[state] += count
            counts.votes += votes
            counts.newest_vote_id = max(counts.newest_vote_id, newest)
    return counts


def _folder(spark: Any, url: str) -> "Folder":
    return FsspecFolder(url.replace("s3a://", "s3://", 1)) if is_connect(spark) else _HadoopFolder(spark, url)


class _HadoopFolder:
    """A folder on any file system that Hadoop knows, reached through the driver's JVM."""

    def __init__(self, spark: Any, url: str) -> None:
        self._jvm, self.shown = spark._jvm, url
        self._path = self._jvm.org.apache.hadoop.fs.Path(url)
        self._filesystem = self._path.getFileSystem(spark._jsc.hadoopConfiguration())

    def holds_anything(self) -> bool:
        """Whether there is something in it, or a file in its place."""
        if not self._filesystem.exists(self._path):
            return False
        status = self._filesystem.getFileStatus(self._path)
        return not status.isDirectory() or len(self._filesystem.listStatus(self._path)) > 0

    def write_text(self, name: str, text: str) -> None:
        """Write a small file."""
        stream = self._filesystem.create(self._jvm.org.apache.hadoop.fs.Path(self._path, name))
        try:
            stream.write(bytearray(text.encode()))
        finally:
            stream.close()

    def remove(self) -> None:
        """Remove it and all that it holds."""
        self._filesystem.delete(self._path, True)
