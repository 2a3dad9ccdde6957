"""What tests of snapshots share: a dataset with graduated labels, and snapshots of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hiveguard_pipeline.snapshots import Selection, Snapshot, create_snapshot
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.ledger import apply_votes
from tests.store.voting import add_items, cast, letters

NAMES = [f"n{number:02}" for number in range(12)]

Snap = Callable[..., Snapshot]


def graduate(database: Database, dataset: Dataset, answers: dict[str, str]) -> None:
    """Items whose votes, one letter each, are applied."""
    add_items(database, dataset, answers)
    cast(database, dataset, [vote for name, text in answers.items() for vote in letters(name, text)])
    apply_votes(database, dataset.name, run_id="run-1")


@pytest.fixture
def labelled(database: Database, dataset: Dataset) -> Dataset:
    """Twelve graduated items, and two that are not."""
    answers = {name: "xy"[place % 2] * 15 for place, name in enumerate(NAMES)}
    graduate(database, dataset, answers | {"moving": "xxx", "flagged": "xxyyyy"})
    return dataset


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "snapshots")


@pytest.fixture
def snap(database: Database, labelled: Dataset, root: str) -> Snap:
    """Makes a snapshot of the dataset as it stands."""

    def make(graduated: bool = True, min_confidence: int = 0, **options: object) -> Snapshot:
        selection = Selection(graduated, min_confidence)
        return create_snapshot(database, "animals", root, selection=selection, **options).snapshot  # type: ignore[arg-type]

    return make


def details(database: Database, item_id: str, **columns: object) -> None:
    """What is known of an item."""
    with database.write() as connection:
        connection.execute(t.item_details.insert().values(item_id=item_id, **columns))
