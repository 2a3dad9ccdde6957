"""Votes put in as the challenge server puts them, and what runs leave of them, in comparable form."""

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, now_text, policy_history
from hiveguard_pipeline.store.tables import item_uuid, time_text

_solvers = itertools.count()

FIRST_VOTE = datetime(2026, 11, 1, tzinfo=UTC)

Casts = Iterable[tuple[str, str]]
"""(external_id, answer) in arrival order."""


def add_items(
    database: Database, dataset: Dataset, names: Iterable[str], gold: str | None = None
) -> dict[str, str]:
    """Items of these external ids; returns their item ids."""
    ids = {name: item_uuid(dataset.name, name) for name in names}
    rows = [
        {
            "item_id": item_id,
            "dataset_id": dataset.dataset_id,
            "external_id": name,
            "data_ref": f"https://example.org/{name}.png",
            "modality": "image",
            "gold_label": gold,
            "created_at": now_text(),
        }
        for name, item_id in ids.items()
    ]
    with database.write() as connection:
        connection.execute(t.items.insert(), rows)
    return ids


def cast(database: Database, dataset: Dataset, casts: Casts, first: int = 0) -> None:
    """Votes of ever new solvers, a second apart; `first` is the position of the first in the stream."""
    rows = [
        {
            "item_id": item_uuid(dataset.name, name),
            "solver_id": f"solver-{next(_solvers)}",
            "answer": answer,
            "created_at": time_text(FIRST_VOTE + timedelta(seconds=position)),
        }
        for position, (name, answer) in enumerate(casts, start=first)
    ]
    if rows:
        with database.write() as connection:
            connection.execute(t.votes.insert(), rows)


def letters(name: str, answers: str) -> list[tuple[str, str]]:
    """One vote a letter: letters("a", "xxy") are three votes on item a."""
    return [(name, answer) for answer in answers]


def vote_ids(database: Database, dataset: Dataset) -> list[int]:
    """The ids of a dataset's votes, in arrival order."""
    return [row.vote_id for row in _rows(database, _VOTE_IDS, dataset)]


def labels_of(database: Database, dataset: Dataset) -> dict[str, tuple[object, ...]]:
    """Labels by external id; votes and policies as their positions, so that two datasets can be compared."""
    place, policy = _places(database, dataset)
    rows = _rows(
        database,
        sa.select(t.items.c.external_id, t.labels)
        .join(t.items, t.items.c.item_id == t.labels.c.item_id)
        .where(t.labels.c.dataset_id == dataset.dataset_id),
    )
    return {
        row.external_id: (
            row.label,
            row.confidence,
            row.state,
            bool(row.needs_review),
            row.vote_count,
            row.revalidation_vote_count,
            row.revalidation_epochs,
            policy[row.policy_id],
            row.generation,
            place[row.applied_through],
            row.created_at,
        )
        for row in rows
    }


def ledger_of(database: Database, dataset: Dataset) -> dict[str, list[tuple[object, ...]]]:
    """The ledger by external id, each item's rows in order; without batch_id, run_id and applied_at."""
    place, policy = _places(database, dataset)
    rows = _rows(
        database,
        sa.select(t.items.c.external_id, t.batches)
        .join(t.items, t.items.c.item_id == t.batches.c.item_id)
        .where(t.items.c.dataset_id == dataset.dataset_id)
        .order_by(t.batches.c.batch_id),
    )
    ledger: dict[str, list[tuple[object, ...]]] = {}
    for row in rows:
        ledger.setdefault(row.external_id, []).append(
            (
                policy[row.policy_id],
                row.generation,
                row.kind,
                row.first_vote_id and place[row.first_vote_id],
                row.last_vote_id and place[row.last_vote_id],
                row.agree,
                row.disagree,
                row.label,
                row.confidence_before,
                row.confidence_after,
                row.state_after,
            )
        )
    return ledger


def standing(database: Database, dataset: Dataset) -> tuple[object, object]:
    """Labels and ledger."""
    return labels_of(database, dataset), ledger_of(database, dataset)


def states(database: Database, dataset: Dataset) -> dict[str, str]:
    """Each item's state."""
    query = "SELECT external_id, state FROM item_status WHERE dataset_id = :dataset"
    return {row.external_id: row.state for row in _rows(database, query, dataset)}


def unprocessed(database: Database, dataset: Dataset) -> dict[str, int]:
    """Votes not processed, by external id, where there are any."""
    query = (
        "SELECT i.external_id, count(*) AS votes FROM vote_status s JOIN items i ON i.item_id = s.item_id"
        " WHERE i.dataset_id = :dataset AND NOT s.processed GROUP BY i.external_id"
    )
    return {row.external_id: row.votes for row in _rows(database, query, dataset)}


_VOTE_IDS = (
    "SELECT vote_id FROM votes v JOIN items i ON i.item_id = v.item_id WHERE i.dataset_id = :dataset"
    " ORDER BY vote_id"
)


def _places(database: Database, dataset: Dataset) -> tuple[dict[int, int], dict[int, int]]:
    with database.read() as connection:
        policies = [recorded.policy_id for recorded in policy_history(connection, dataset)]
    ids = vote_ids(database, dataset)
    return {0: 0} | _numbered(ids), _numbered(policies)


def _numbered(keys: Sequence[int]) -> dict[int, int]:
    return {key: position for position, key in enumerate(keys, start=1)}


def _rows(database: Database, query: Any, dataset: Dataset | None = None) -> Sequence[Any]:
    statement = sa.text(query) if isinstance(query, str) else query
    with database.read() as connection:
        return connection.execute(statement, {"dataset": dataset.dataset_id} if dataset else {}).all()
