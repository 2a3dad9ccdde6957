"""What every row of the benchmark works with: sizes, rounds, places, and stores that are made once a run."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.places import Place, Store
from benchmarks.report import Row

Rows = Iterator[Row]
RowMaker = Callable[["Bench"], Rows]


@dataclass(frozen=True)
class Sizes:
    """How much data the rows work on."""

    votes: int
    """Votes in memory, to apply, and to import."""
    items: int
    """Items that these votes are on."""
    orm_votes: int
    histories: tuple[int, ...]
    """Votes of the histories, smallest first."""
    batch_items: int
    """Items of a batch, each with three votes."""
    labels: int
    """Labels of an export beside the databases' tools."""
    memory_labels: int
    """Labels of the largest export for the figure of memory; the other is a tenth of it."""
    arrival_seconds: int
    """How long votes arrive at ARRIVALS_A_SECOND."""
    recount_votes: int
    posted_votes: int
    """Votes that are posted to a server."""
    served_items: int
    """Items of which a server says what to ask next."""
    asked: int
    """Requests for the next items."""


FULL = Sizes(
    votes=1_000_000,
    items=83_000,
    orm_votes=5_000,
    histories=(200_000, 2_000_000, 20_000_000),
    batch_items=1_000,
    labels=2_000_000,
    memory_labels=10_000_000,
    arrival_seconds=120,
    recount_votes=20_000_000,
    posted_votes=100_000,
    served_items=10_000_000,
    asked=3_000,
)
QUICK = Sizes(
    votes=50_000,
    items=4_150,
    orm_votes=1_000,
    histories=(20_000, 200_000),
    batch_items=300,
    labels=50_000,
    memory_labels=200_000,
    arrival_seconds=0,
    recount_votes=100_000,
    posted_votes=5_000,
    served_items=100_000,
    asked=200,
)


@dataclass
class Bench:
    """One run of the benchmark."""

    sizes: Sizes
    rounds: int
    folder: Path
    places: list[Place]
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Cost against size, for the picture: name -> (size, cost)."""
    _stores: dict[tuple[str, str], Store] = field(default_factory=dict)

    @property
    def sqlite(self) -> Place:
        """The place of SQLite files."""
        return self.places[0]

    def store(self, place: Place, name: str, make: Callable[[], Store]) -> Store:
        """A store that rows share: made when it is asked for first."""
        key = (place.kind, name)
        if key not in self._stores:
            say(f"  filling a store: {place.kind}, {name}")
            self._stores[key] = make()
        return self._stores[key]

    def drop(self, place: Place, name: str) -> None:
        """Take away a shared store that no later row needs."""
        store = self._stores.pop((place.kind, name), None)
        if store is not None:
            place.drop(store)

    def point(self, series: str, size: float, cost: float) -> None:
        """A point for the picture."""
        self.series.setdefault(series, []).append((size, cost))


def say(text: str) -> None:
    """A line on stderr: the table alone goes to stdout."""
    print(text, file=sys.stderr, flush=True)
