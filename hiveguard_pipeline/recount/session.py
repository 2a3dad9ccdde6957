"""A session of Apache Spark: started for a recount, followed, stopped whatever happens, its errors told.

Where Spark runs: a master (`local[*]`, `spark://host:7077`, `k8s://...`), or a Spark Connect server
(`sc://host`, or SPARK_REMOTE). A server that starts here listens on this machine alone.
"""

import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError, HiveGuardError

JDBC_JAR = "/usr/share/java/postgresql.jar"
"""Where Debian's libpostgresql-jdbc-java puts PostgreSQL's driver."""

SHIPPED = (
    "__init__.py",
    "errors.py",
    "rules/*.py",
    "rules/structured/*.py",
    "store/__init__.py",
    "store/class_map.py",
    "recount/__init__.py",
    "recount/fold.py",
    "recount/rows.py",
)
"""What executors need of this package; it is sent to them."""

Follow = Callable[[int, int, str], None]
"""Called with tasks done, tasks known, and what is running."""

_POLL_SECONDS = 0.5
_CLASS = re.compile(r"^(?:[\w$]+\.)+([\w$]+(?:Exception|Error)): ")
"""How Java names what was thrown."""

_SQL_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where Spark runs, with further settings of it. master None: SPARK_REMOTE, else all cores here."""

    master: str | None = None
    settings: tuple[tuple[str, str], ...] = ()
    jars: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The master, or the Spark Connect server."""
        return self.master or os.environ.get("SPARK_REMOTE") or "local[*]"

    @property
    def is_connect(self) -> bool:
        """Whether this is a Spark Connect server, which may be one that starts here."""
        return self.address.startswith("sc://") or (self.master is None and "SPARK_REMOTE" in os.environ)

    @property
    def starts_spark(self) -> bool:
        """Whether this process starts Spark, or the part of it that drives the rest."""
        return not self.address.startswith("sc://")

    @property
    def is_here(self) -> bool:
        """Whether all of Spark runs on this machine, in a process of ours."""
        return self.address.startswith("local")


@contextmanager
def session(place: Place, name: str) -> Iterator[Any]:
    """A SparkSession. What Spark raises inside the block leaves it as one line, a HiveGuardError."""
    _demand_spark(place)
    with tempfile.TemporaryDirectory(prefix="hiveguard-spark-") as scratch, one_line_errors():
        with _signals_later() as signals, _jvm_log(Path(scratch) / "spark.log"):
            spark = _started(place, name)
        try:
            signals.deliver()
            ship(spark, Path(scratch))
            yield spark
        except BaseException:
            if is_connect(spark):
                spark.interruptAll()
            raise
        finally:
            spark.stop()


def is_connect(spark: Any) -> bool:
    """Whether a session is one of Spark Connect, which has no JVM of its own here."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def ship(spark: Any, folder: Path) -> None:
    """Send executors the modules that they need; all else they have is Python, numpy, pyarrow, scipy."""
    package = Path(__file__).parents[1]
    archive = folder / "hiveguard_rules.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for pattern in SHIPPED:
            for path in sorted(package.glob(pattern)):
                packed.write(path, Path(package.name) / path.relative_to(package))
    if is_connect(spark):
        spark.addArtifact(str(archive), pyfile=True)
    else:
        spark.sparkContext.addPyFile(str(archive))


def ui_address(spark: Any) -> str | None:
    """Where Spark's own pages are, if there are any."""
    return None if is_connect(spark) else spark.sparkContext.uiWebUrl


@contextmanager
def followed(spark: Any, follow: Follow | None) -> Iterator[None]:
    """Report the tasks of the session's jobs while the block waits for them."""
    if follow is None:
        yield
    elif is_connect(spark):
        with _followed_connect(spark, follow):
            yield
    else:
        done = threading.Event()
        thread = threading.Thread(target=_poll, args=(spark, follow, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def explained(error: BaseException) -> str:
    """What an error of Spark says, in one line: our own message, or its first line and the root cause."""
    chain = [error]
    while (cause := getattr(chain[-1], "_cause", None)) is not None:
        chain.append(cause)
    text = "\n".join(map(str, chain))
    if own := re.findall(r"hiveguard_pipeline\.errors\.\w+: (.+)", text):
        return str(own[-1])
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    # Of a constructor that failed py4j says first that it was called, then, after a colon, what failed.
    thrown = [line.removeprefix(": ") for line in lines if line.startswith(": ")]
    said = [causes[-1] if causes else thrown[0] if thrown else lines[0]]
    if len(chain) > 1:
        said += str(chain[-1]).strip().splitlines()[:1]
    return ": ".join(re.sub(_CLASS, r"\1: ", line)[:500] for line in dict.fromkeys(said))


def _demand_spark(place: Place) -> None:
    try:
        import pyspark  # noqa: F401
    except ImportError:
        raise HiveGuardError(
            "Spark is not installed: pip install 'hiveguard-pipeline[spark]', or use --engine local"
        ) from None
    if not place.starts_spark:
        return
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=f"{home}/bin" if home else None) is None:
        raise HiveGuardError(
            "Spark wants Java 17 or newer: install it (Debian: apt-get install openjdk-17-jre-headless)"
            " and set JAVA_HOME if it is not on the path, or use --engine local"
        )
    for jar in place.jars:
        if not Path(jar).exists():
            raise HiveGuardError(
                f"the JDBC driver of PostgreSQL is not at {jar}: install it (Debian: apt-get install"
                " libpostgresql-jdbc-java), or name its place with HIVEGUARD_JDBC_JAR"
            )


def _started(place: Place, name: str) -> Any:
    from pyspark.sql import SparkSession

    if place.is_here:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if place.is_connect:
        builder = SparkSession.builder.remote(place.address)
    else:
        os.environ.pop("SPARK_REMOTE", None)
        builder = SparkSession.builder.master(place.address).appName(name)
        builder = builder.config("spark.ui.showConsoleProgress", "false")
    if place.starts_spark:
        if place.jars:
            builder = builder.config("spark.jars", ",".join(place.jars))
        for key, value in place.settings:
            builder = builder.config(key, value)
    spark = builder.getOrCreate()
    for key, value in {**_SQL_SETTINGS, **({} if place.starts_spark else dict(place.settings))}.items():
        spark.conf.set(key, value)
    return spark


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Make one line, a HiveGuardError, of what Spark raises in the block."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    def is_not_of_py4j(record: logging.LogRecord) -> bool:
        return record.module != "java_gateway"

    # py4j logs an interrupt with its traceback, by the root logger and by its own.
    logging.getLogger().addFilter(is_not_of_py4j)
    own = logging.getLogger("py4j")
    level = own.level
    own.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (PySparkException, Py4JError) as error:
        if os.environ.get("HIVEGUARD_DEBUG"):
            raise
        raise HiveGuardError(f"Spark: {explained(error)}") from None
    finally:
        logging.getLogger().removeFilter(is_not_of_py4j)
        own.setLevel(level)


class _Signals:
    """Signals that came while nobody could act on them."""

    def __init__(self) -> None:
        self.came: list[int] = []

    def deliver(self) -> None:
        """Let their handlers have them now."""
        for number in self.came:
            signal.raise_signal(number)


@contextmanager
def _signals_later() -> Iterator[_Signals]:
    """Hold SIGINT and SIGTERM back in the block: a JVM whose starter leaves half way lives for ever."""
    held = _Signals()
    if threading.current_thread() is not threading.main_thread():
        yield held
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in usual:
        signal.signal(number, lambda number, _: held.came.append(number))
    try:
        yield held
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


@contextmanager
def _jvm_log(path: Path) -> Iterator[None]:
    """Let the JVM that starts in the block write its log to a file instead of to our stderr."""
    if os.environ.get("HIVEGUARD_DEBUG"):
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with path.open("wb") as log:
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _poll(spark: Any, follow: Follow, done: threading.Event) -> None:
    tracker = spark.sparkContext.statusTracker()
    stages: dict[int, tuple[int, int]] = {}
    while not done.wait(_POLL_SECONDS):
        running = tracker.getActiveStageIds()
        for stage in running:
            if info := tracker.getStageInfo(stage):
                stages[stage] = info.numCompletedTasks, info.numTasks
        for stage in stages.keys() - set(running):
            stages[stage] = stages[stage][1], stages[stage][1]
        _report(follow, stages, running)


@contextmanager
def _followed_connect(spark: Any, follow: Follow) -> Iterator[None]:
    def handle(stages: Any, inflight_tasks: int, operation_id: Any, done: bool) -> None:  # noqa: ARG001
        found = {stage.stage_id: (stage.num_completed_tasks, stage.num_tasks) for stage in stages or []}
        _report(follow, found, [stage.stage_id for stage in stages or [] if not stage.done])

    spark.registerProgressHandler(handle)
    try:
        yield
    finally:
        spark.removeProgressHandler(handle)


def _report(follow: Follow, stages: dict[int, tuple[int, int]], running: list[int]) -> None:
    if not stages:
        return
    named = [
        f"stage {key}: {stages[key][0]} of {stages[key][1]} tasks" for key in sorted(running) if key in stages
    ]
    done, total = (sum(entry[place] for entry in stages.values()) for place in (0, 1))
    follow(done, total, ", ".join(named))


def check_settings(pairs: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """KEY=VALUE settings of Spark; raises BadInputError for what is none."""
    for pair in pairs:
        if "=" not in pair:
            raise BadInputError(f"{pair!r} is no setting of Spark: KEY=VALUE is wanted")
    return tuple((key, value) for key, _, value in (pair.partition("=") for pair in pairs))
