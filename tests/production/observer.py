"""Watches Dagster's runs from the outside: who is at work now, and who was when."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import psycopg2

from tests.production.services import Postgres

AT_WORK = """
    SELECT t.value, count(*) FROM runs r JOIN run_tags t ON t.run_id = r.run_id
    WHERE t.key = 'hiveguard/dataset' AND r.status IN ('STARTING', 'STARTED', 'CANCELING') GROUP BY 1
"""
INTERVALS = """
    SELECT t.value, r.run_id, r.status,
           min(extract(epoch FROM e.timestamp)) FILTER (WHERE e.dagster_event_type = 'PIPELINE_STARTING'),
           max(extract(epoch FROM e.timestamp)) FILTER (
               WHERE e.dagster_event_type IN ('PIPELINE_SUCCESS', 'PIPELINE_FAILURE', 'PIPELINE_CANCELED'))
    FROM runs r
    JOIN run_tags t ON t.run_id = r.run_id AND t.key = 'hiveguard/dataset'
    JOIN event_logs e ON e.run_id = r.run_id
    GROUP BY 1, 2, 3 ORDER BY 1, 4
"""


@dataclass
class Observer:
    """Looks five times a second at the runs that are at work, by dataset."""

    postgres: Postgres
    most: Counter[str] = field(default_factory=Counter)
    """The most runs of a dataset that were at work at once."""
    most_together: int = 0
    looks: int = 0

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="observer", daemon=True)

    def __enter__(self) -> "Observer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(30)

    def _watch(self) -> None:
        while not self._stopped.wait(0.2):
            try:
                found = dict(self.postgres.rows("dagster", AT_WORK))
            except psycopg2.Error:
                continue
            self.looks += 1
            self.most |= Counter(found)
            self.most_together = max(self.most_together, sum(found.values()))


def overlaps(postgres: Postgres) -> list[str]:
    """Runs of one dataset that were at work at the same time, by the events that tell of start and end."""
    found = []
    rows = [row for row in postgres.rows("dagster", INTERVALS) if row[3] is not None]
    for one, other in pairwise(rows):
        if one[0] == other[0] and (one[4] is None or one[4] > other[3]):
            found.append(f"{one[0]}: {one[1]} ended at {one[4]}, {other[1]} was launched at {other[3]}")
    return found


def runs(postgres: Postgres, *statuses: str) -> list[tuple[str, str]]:
    """(dataset, run_id) of the runs in a status, newest first."""
    listed = ", ".join(f"'{status}'" for status in statuses)
    return [
        (str(name), str(run_id))
        for name, run_id in postgres.rows(
            "dagster",
            "SELECT t.value, r.run_id FROM runs r JOIN run_tags t ON t.run_id = r.run_id"
            f" WHERE t.key = 'hiveguard/dataset' AND r.status IN ({listed}) ORDER BY r.id DESC",
        )
    ]


def succeeded_since(postgres: Postgres, moment: float) -> set[str]:
    """Datasets of which a run was launched after a moment, and succeeded."""
    rows = postgres.rows("dagster", INTERVALS)
    return {str(row[0]) for row in rows if row[2] == "SUCCESS" and row[3] is not None and row[3] > moment}


def now() -> float:
    """Seconds since 1970, as the event log counts them."""
    return time.time()


def standing(postgres: Postgres) -> str:
    """The newest runs of each status and job, and why sensors asked for none: for a test that fails."""
    rows = postgres.rows(
        "dagster",
        "SELECT status, pipeline_name, coalesce(partition, '-'), count(*), max(update_timestamp) FROM runs"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )
    ticks = postgres.rows(
        "dagster", "SELECT tick_body FROM job_ticks WHERE type = 'SENSOR' ORDER BY id DESC LIMIT 12"
    )
    return "\n".join([" ".join(map(str, row)) for row in rows] + [str(tick[0])[:600] for tick in ticks])
