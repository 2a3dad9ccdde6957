"""A challenge server: writes votes while databases come and go, and knows what was acknowledged."""

import random
import threading
import time
from dataclasses import dataclass, field

import psycopg2
from psycopg2 import errors

from tests.production.services import Postgres
from tests.races.crowd import CLASSES

PAUSE_SECONDS = 0.02
AGREE = 0.8


@dataclass
class Writer:
    """One vote at a time, each in a transaction of its own; a vote is repeated until it is acknowledged."""

    postgres: Postgres
    items: list[str]
    acknowledged: dict[tuple[str, str], str] = field(default_factory=dict)
    """(item_id, solver_id) -> answer, of every vote that the database said is there."""
    failures: int = 0
    found_already: int = 0
    """Votes whose commit was not acknowledged at first, and that the next attempt met."""

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write, name="challenge-server", daemon=True)

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Finish the vote at hand, and end."""
        self._stopped.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the writer hangs"

    def _write(self) -> None:
        chance = random.Random(5)
        connection = None
        vote = 0
        while not self._stopped.is_set():
            number = chance.randrange(len(self.items))
            answer = CLASSES[number % len(CLASSES)] if chance.random() < AGREE else chance.choice(CLASSES)
            item, solver = self.items[number], f"solver-{vote}"
            vote += 1
            while True:
                try:
                    connection = connection or self.postgres.connect("hiveguard", "challenge_server")
                    with connection.cursor() as cursor:
                        cursor.execute(
                            "INSERT INTO votes (item_id, solver_id, answer) VALUES (%s, %s, %s)",
                            (item, solver, answer),
                        )
                    break
                except errors.UniqueViolation:
                    self.found_already += 1
                    break
                except psycopg2.Error:
                    self.failures += 1
                    connection = None
                    time.sleep(0.2)
            self.acknowledged[item, solver] = answer
            time.sleep(PAUSE_SECONDS)
        if connection is not None:
            connection.close()
