"""What to ask next, while votes come in: `python -m benchmarks.measured.next_items REQUESTS KEY`."""

import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from benchmarks.measured.server import Served, serving
from benchmarks.stores import CLASSES, NAME

CLIENTS = 2
ITEMS = 5
VOTES_A_SECOND = 200


class Client:
    """A connection that is kept."""

    def __init__(self, server: Served, key: str) -> None:
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=120)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, solver: str) -> list[str]:
        """Ids of the next items of a solver."""
        told = self._send("GET", f"challenge?n={ITEMS}&solver={solver}", None)
        return [item["item_id"] for item in told["items"]]

    def post(self, votes: list[dict[str, str]]) -> None:
        """Post votes."""
        self._send("POST", "votes/bulk", json.dumps(votes).encode())

    def _send(self, method: str, path: str, body: bytes | None) -> dict:
        self._connection.request(method, f"/datasets/{NAME}/{path}", body, self._headers)
        answer = self._connection.getresponse()
        assert answer.status == 200, answer.read()
        return dict(json.loads(answer.read()))


def posting(client: Client, ended: threading.Event) -> Iterator[int]:
    """Solvers answer what they are asked, VOTES_A_SECOND in all, a post each second."""
    solver = 0
    while not ended.wait(1):
        rows = []
        while len(rows) < VOTES_A_SECOND:
            solver += 1
            rows += [
                {"item_id": item, "solver_id": f"poster-{time.time_ns()}", "answer": CLASSES[0]}
                for item in client.ask(f"poster-{solver}")
            ]
        client.post(rows)
        yield len(rows)


def main() -> None:
    """Ask, and print the milliseconds of a request, the seconds until all items are in memory, the memory."""
    requests, key = int(sys.argv[1]), sys.argv[2]
    with serving() as server:
        started = time.perf_counter()
        Client(server, key).ask("first")
        first = time.perf_counter() - started
        if "--small" not in sys.argv:
            server.wait_for("are in the pool")
        whole = time.perf_counter() - started
        ended = threading.Event()
        poster = threading.Thread(target=lambda: list(posting(Client(server, key), ended)))
        poster.start()

        def asking(number: int) -> list[float]:
            client, took = Client(server, key), []
            for n in range(requests // CLIENTS):
                at = time.perf_counter()
                assert len(client.ask(f"solver-{number}-{n % 50}")) > 0
                took.append(time.perf_counter() - at)
            return took

        with ThreadPoolExecutor(CLIENTS) as pool:
            took = sorted(chain.from_iterable(pool.map(asking, range(CLIENTS))))
        ended.set()
        poster.join()
        print(
            json.dumps(
                {
                    "p50_ms": 1000 * took[len(took) // 2],
                    "p95_ms": 1000 * took[int(0.95 * len(took))],
                    "longest_ms": 1000 * took[-1],
                    "first_seconds": first,
                    "whole_seconds": whole,
                    "server_mb": server.peak_mb,
                }
            )
        )


if __name__ == "__main__":
    main()
