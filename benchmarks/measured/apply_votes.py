"""Ours: unprocessed votes to committed labels and ledger. `python -m benchmarks.measured.apply_votes`.

The store is the one of HIVEGUARD_DATABASE_URL. Timed is the call alone, as a database's tool times its
statements: the process has started, has its modules, and has seen the database.
"""

import json
import time

import pandas  # noqa: F401, TID253 - pyarrow imports it with its first array, in 0.2 s
import sqlalchemy as sa

from benchmarks.stores import NAME
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database

if __name__ == "__main__":
    database = open_database(Settings.from_environment().database_url)
    with database.read() as connection:
        connection.execute(sa.text("SELECT 1"))
    started = time.perf_counter()
    done = apply_votes(database, NAME, run_id="bench")
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "read": done.votes_read, "applied": done.votes_applied}))
