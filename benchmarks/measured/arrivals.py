"""Votes that arrive steadily at a running `dg dev`. `python -m benchmarks.measured.arrivals SECONDS`.

Each vote is a transaction of its own. Votes go round ROUND items, so that an item gets its third, which
makes it due, some seconds after its first. A latency runs from the commit of that vote to the moment a
reader sees the label.
"""

import json
import statistics
import sys
import threading
import time

import sqlalchemy as sa

from benchmarks.measured.services import dg_dev, new_items, vote, vote_to_label
from hiveguard_pipeline.store.database import Database

VOTES_A_SECOND = 100
ROUND = 100
EACH = 3
LOOK_SECONDS = 0.1
LAST_SECONDS = 120


class Watcher(threading.Thread):
    """Notes when the ledger rows of items can first be seen."""

    def __init__(self, database: Database) -> None:
        super().__init__(daemon=True)
        self._database = database
        self.labelled: dict[str, float] = {}
        self.ending = threading.Event()

    def run(self) -> None:
        """Look every LOOK_SECONDS, until the end."""
        seen = 0
        query = sa.text("SELECT batch_id, item_id FROM batches WHERE batch_id > :seen ORDER BY batch_id")
        while not self.ending.wait(LOOK_SECONDS):
            with self._database.read() as connection:
                rows = connection.execute(query, {"seen": seen}).all()
            moment = time.monotonic()
            for batch_id, item_id in rows:
                self.labelled.setdefault(str(item_id), moment)
                seen = batch_id


def arrive(database: Database, items: list[str]) -> dict[str, float]:
    """EACH votes on each item at VOTES_A_SECOND; when each item's last was committed."""
    due: dict[str, float] = {}
    started = time.monotonic()
    for number in range(EACH * len(items)):
        time.sleep(max(0.0, started + number / VOTES_A_SECOND - time.monotonic()))
        block, place = divmod(number, EACH * ROUND)
        item = items[block * ROUND + place % ROUND]
        committed = vote(database, item, place // ROUND)
        if place // ROUND == EACH - 1:
            due[item] = committed
    return due


def backlog(due: dict[str, float], labelled: dict[str, float], begin: float, end: float) -> float:
    """Mean number of items that were due and had no label, looked at ten times a second."""
    moments = [begin + step / 10 for step in range(int(10 * (end - begin)))]
    return statistics.fmean(sum(due[item] <= moment < labelled[item] for item in due) for moment in moments)


def measure(seconds: int) -> dict[str, object]:
    """Latencies in seconds, and the backlog in the second and in the last third of the time."""
    count = seconds * VOTES_A_SECOND // (EACH * ROUND) * ROUND
    database, (first, *items) = new_items(count + 1)
    with dg_dev():
        vote_to_label(database, first)  # until the services are up
        watcher = Watcher(database)
        watcher.start()
        started = time.monotonic()
        due = arrive(database, items)
        ended = time.monotonic()
        while not due.keys() <= watcher.labelled.keys() and time.monotonic() < ended + LAST_SECONDS:
            time.sleep(LOOK_SECONDS)
        watcher.ending.set()
        watcher.join()
    if missing := due.keys() - watcher.labelled.keys():
        raise TimeoutError(f"{len(missing)} items have no label {LAST_SECONDS} seconds after the last vote")
    latencies = sorted(watcher.labelled[item] - moment for item, moment in due.items())
    third = (ended - started) / 3
    return {
        "median": statistics.median(latencies),
        "p95": latencies[int(0.95 * len(latencies))],
        "longest": latencies[-1],
        "votes_a_second": EACH * len(due) / (ended - started),
        "backlog": [
            backlog(due, watcher.labelled, started + third, started + 2 * third),
            backlog(due, watcher.labelled, started + 2 * third, ended),
        ],
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
