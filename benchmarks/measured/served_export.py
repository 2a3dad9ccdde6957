"""All labels over HTTP, to a client that reads, then one that leaves: run with the text of a key."""

import http.client
import json
import os
import sys
import time

import sqlalchemy as sa

from benchmarks.measured.server import Served, serving
from benchmarks.stores import NAME
from hiveguard_pipeline.store.database import Database

PART = 1 << 20

_BUSY = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND xact_start IS NOT NULL"
)


def ask(server: Served, key: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """An export whose first bytes are there."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=600)
    connection.request("GET", f"/datasets/{NAME}/export?fmt=csv", headers={"Authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    return connection, answer


def seconds_until_idle(database: Database) -> float | None:
    """How long a transaction of the server stays open; None on SQLite, which tells nobody."""
    if database.is_sqlite:
        return None
    started = time.perf_counter()
    while True:
        with database.read() as connection:
            if not connection.execute(sa.text(_BUSY)).scalar_one():
                return time.perf_counter() - started
        time.sleep(0.02)


def main() -> None:
    """Read all of it; then leave after the first megabyte. Prints seconds, bytes and the server's memory."""
    key = sys.argv[1]
    with serving() as server:
        started = time.perf_counter()
        connection, answer = ask(server, key)
        read = 0
        while part := answer.read(PART):
            read += len(part)
        connection.close()
        took = time.perf_counter() - started
        connection, answer = ask(server, key)
        answer.read(PART)
        connection.close()
        left = seconds_until_idle(Database(os.environ["HIVEGUARD_DATABASE_URL"]))
        print(json.dumps({"seconds": took, "bytes": read, "peak_mb": server.peak_mb, "left_seconds": left}))


if __name__ == "__main__":
    main()
