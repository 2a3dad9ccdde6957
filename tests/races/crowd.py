"""Votes for the race tests: many items, every kind of outcome, inserted as a challenge server does."""

from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.intake.items import insert_items
from hiveguard_pipeline.store.bulk import append
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.tables import item_uuid

CLASSES = ("cat", "dog", "owl")


def add_items(database: Database, dataset: Dataset, count: int) -> list[str]:
    """Items named 0, 1, ...; returns their item_ids."""
    names = pa.array([str(number) for number in range(count)])
    with database.write() as connection:
        insert_items(
            connection, dataset, names, data_ref=names, modality=pa.repeat(pa.scalar("image"), count)
        )
    return [item_uuid(dataset.name, name) for name in names.to_pylist()]


def vote_columns(item_ids: list[str], votes: int, first_solver: int, seed: int) -> dict[str, Any]:
    """Columns of `votes` votes; each comes from a solver of its own, and leans to the item's own class."""
    random = np.random.default_rng(seed)
    item = random.integers(0, len(item_ids), votes)
    answer = np.where(random.random(votes) < 0.75, item % len(CLASSES), random.integers(0, 3, votes))
    return {
        "item_id": pa.array(item_ids).take(pa.array(item)),
        "solver_id": pa.array([f"s{first_solver + number}" for number in range(votes)]),
        "answer": pa.array(CLASSES).take(pa.array(answer)),
        "created_at": pa.repeat(pa.scalar("2026-01-01T00:00:00.000000Z"), votes),
    }


def add_votes(database: Database, item_ids: list[str], votes: int, first_solver: int, seed: int) -> None:
    """Insert votes in one transaction."""
    with database.write() as connection:
        append(connection, "votes", vote_columns(item_ids, votes, first_solver, seed))


def outcome(database: Database) -> tuple[list[Any], list[Any]]:
    """Labels and ledger, without what may differ between runs."""
    with database.read() as connection:
        labels = connection.execute(
            sa.text(
                "SELECT CAST(item_id AS text), label, confidence, state, vote_count,"
                " revalidation_vote_count, revalidation_epochs, policy_id, generation, applied_through"
                " FROM labels ORDER BY 1"
            )
        ).all()
        ledger = connection.execute(
            sa.text(
                "SELECT CAST(item_id AS text), first_vote_id, last_vote_id, kind, agree, disagree, label,"
                " confidence_before, confidence_after, state_after FROM batches ORDER BY 1, 2"
            )
        ).all()
    return [tuple(row) for row in labels], [tuple(row) for row in ledger]
