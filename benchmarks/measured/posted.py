"""Votes posted in bulk: `python -m benchmarks.measured.posted VOTES KEY|bare`; four clients at once."""

import http.client
import json
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import sqlalchemy as sa

from benchmarks.measured.server import serving
from benchmarks.stores import CLASSES, NAME
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.schema import open_database

ROWS = 500
CLIENTS = 4


def bodies(votes: int) -> list[bytes]:
    """Requests of ROWS votes each, of new solvers on random items."""
    database = open_database(Settings.from_environment().database_url)
    with database.read() as connection:
        items = connection.execute(
            sa.text("SELECT item_id FROM items ORDER BY item_id LIMIT 50000")
        ).scalars()
        ids = [str(item) for item in items]
    run = uuid.uuid4().hex[:8]
    step = 7919  # prime: over all items before one comes again
    rows = [
        {"item_id": ids[n * step % len(ids)], "solver_id": f"{run}-{n}", "answer": CLASSES[n % 4]}
        for n in range(votes)
    ]
    return [json.dumps(rows[start : start + ROWS]).encode() for start in range(0, votes, ROWS)]


def main() -> None:
    """Post all of it, and print votes a second and the requests' milliseconds."""
    waiting = bodies(int(sys.argv[1]))
    bare = sys.argv[2] == "bare"
    headers = {"Content-Type": "application/json"} | (
        {} if bare else {"Authorization": f"Bearer {sys.argv[2]}"}
    )
    with serving(bare) as server:

        def client(mine: list[bytes]) -> list[float]:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=120)
            took = []
            for body in mine:
                started = time.perf_counter()
                connection.request("POST", f"/datasets/{NAME}/votes/bulk", body, headers)
                answer = connection.getresponse()
                told = json.loads(answer.read())
                took.append(time.perf_counter() - started)
                assert told["accepted"] == ROWS, told
            return took

        client(waiting[:1])
        rest = waiting[1:]
        cpu, started = server.cpu_seconds, time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            took = sorted(chain.from_iterable(pool.map(client, [rest[n::CLIENTS] for n in range(CLIENTS)])))
        seconds, cpu = time.perf_counter() - started, server.cpu_seconds - cpu
    votes = len(rest) * ROWS
    print(
        json.dumps(
            {
                "seconds": seconds,
                "a_second": votes / seconds,
                "cpu_microseconds_a_vote": 1e6 * cpu / votes,
                "p95_ms": 1000 * took[int(0.95 * len(took))],
            }
        )
    )


if __name__ == "__main__":
    main()
