"""A dashboard on each database, with a dataset in which an item stands in every state."""

from pathlib import Path

import pytest

from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.ledger import apply_votes
from tests.dagster_location.crowd import CROWD, put_votes
from tests.web.pages.visitor import Visitor, visitor_of


@pytest.fixture
def visitor(database: Database, tmp_path: Path) -> Visitor:
    """A browser with no session, at the store's dashboard."""
    return visitor_of(database, tmp_path / "home")


@pytest.fixture
def animals(database: Database, dataset: Dataset) -> Dataset:
    """The dataset `animals` with CROWD, after a run."""
    put_votes(database, dataset, CROWD)
    apply_votes(database, dataset.name, run_id="run-1")
    return dataset
