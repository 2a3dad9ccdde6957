"""From the vote table to committed labels and ledger. `python -m benchmarks.apply_votes VOTES.npz [URL]`.

Fills a store (SQLite in a temporary folder without URL), applies all votes in one run, and counts the
statements that the run sent.
"""

import json
import resource
import sys
import tempfile
import time
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.intake.items import insert_items
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.bulk import append
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.tables import item_uuid


def fill(database: Database, path: str) -> int:
    """A dataset `bench` with the votes of a file; returns how many."""
    data = np.load(path)
    dataset = create_dataset(database, "bench", Policy())
    names = pa.array([str(number) for number in range(int(data["items"]))])
    ids = pa.array([item_uuid("bench", name) for name in names.to_pylist()])
    with database.write() as connection:
        insert_items(
            connection, dataset, names, data_ref=names, modality=pa.repeat(pa.scalar("image"), len(names))
        )
        votes = len(data["item"])
        append(
            connection,
            "votes",
            {
                "item_id": ids.take(pa.array(data["item"])),
                "solver_id": pa.array(np.arange(votes)).cast(pa.string()),
                "answer": pa.array(data["answer"]).cast(pa.string()),
                "created_at": pa.repeat(pa.scalar("2026-01-01T00:00:00.000000Z"), votes),
            },
        )
    with database.write() as connection:
        connection.execute(sa.text("ANALYZE"))
    return votes


def measure(url: str, path: str) -> dict[str, Any]:
    """Seconds from the vote table to the commit, and statements sent."""
    database = open_database(url)
    votes = fill(database, path)
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    sa.event.listen(database.engine, "before_cursor_execute", count)
    if database.is_sqlite:
        sa.event.listen(database.engine, "connect", lambda made, _: made.set_trace_callback(count))
    started = time.perf_counter()
    done = apply_votes(database, "bench", run_id="bench")
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "votes_a_second": votes / seconds,
        "applied": done.votes_applied,
        "statements": statements,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(measure(sys.argv[2], sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(f"sqlite:///{folder}/hiveguard.db", sys.argv[1])))
