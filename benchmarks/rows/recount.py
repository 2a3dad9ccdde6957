"""A recount of all votes: on this machine's engine, and on Spark; the same tables come out."""

import hashlib
import importlib.util
import shutil
from pathlib import Path

import pyarrow as pa

from benchmarks.bench import Bench, Rows
from benchmarks.data import write_parquet
from benchmarks.processes import Measured, in_turn, run
from benchmarks.report import Row, absent
from benchmarks.tools import HIVEGUARD

CORES = 2
_TABLES = ("labels", "ledger", "states")
_OF_A_RUN = {"run_id", "applied_at"}


def rows(bench: Bench) -> Rows:
    """Votes from Parquet to labels, ledger and states as Parquet."""
    work = f"recount of {bench.sizes.recount_votes:,} votes from Parquet, local engine"
    if importlib.util.find_spec("pyspark") is None or not shutil.which("java"):
        yield absent("recount", work, "Spark: needs pyspark (the extra `spark`) and Java 17")
        return
    votes = bench.folder / "votes.parquet"
    write_parquet(votes, bench.sizes.recount_votes, bench.sizes.recount_votes // 12)
    folders = {engine: bench.folder / f"recount-{engine}" for engine in ("local", "spark")}

    def recount(engine: str, *more: str) -> Measured:
        shutil.rmtree(folders[engine], ignore_errors=True)
        command = [HIVEGUARD, "recount", "--engine", engine, "--votes", votes, "--output", folders[engine]]
        return run([*command, *more], environment={"HIVEGUARD_HOME": str(bench.folder)})

    ours, spark = in_turn(
        min((bench.rounds + 1) // 2, 3),
        lambda: recount("local"),
        lambda: recount("spark", "--master", f"local[{CORES}]"),
    )
    same = all(_digest(folders["local"] / name) == _digest(folders["spark"] / name) for name in _TABLES)
    for folder in folders.values():
        shutil.rmtree(folder)
    yield Row(
        "recount",
        work,
        [entry.seconds for entry in ours],
        f"--engine spark --master local[{CORES}]",
        [entry.seconds for entry in spark],
        note="the same rows from both" if same else "NOT the same rows from both",
        ours_mb=[entry.peak_mb for entry in ours],
    )


def _digest(folder: Path) -> str:
    """SHA-256 of a table's rows in item order, without what names the run."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder)
    keys = [name for name in ("item_id", "sequence") if name in table.column_names]
    table = table.drop_columns([name for name in table.column_names if name in _OF_A_RUN])
    table = table.sort_by([(key, "ascending") for key in keys]).select(sorted(table.column_names))
    found = hashlib.sha256()
    for batch in table.combine_chunks().to_batches(max_chunksize=1 << 18):
        sink = pa.BufferOutputStream()
        plain = pa.RecordBatch.from_arrays(
            [pa.concat_arrays([column]) for column in batch.columns], names=batch.schema.names
        )
        with pa.ipc.new_stream(sink, plain.schema) as writer:
            writer.write_batch(plain)
        found.update(sink.getvalue())
    return found.hexdigest()
