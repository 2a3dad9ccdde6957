"""Small crowds whose labels can be told by hand, written as the challenge server writes them."""

import sqlalchemy as sa

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, now_text

GRADUATED = "a" * 15
IN_REVALIDATION = "aab" + "aaa" + "a"  # 0.666667, then 0.816667; one vote waits
FLAGGED = "aab" + "bbb"  # 0.666667, then 0.516667: under the floor
UNLABELED = "ab"
CONTESTED = "abca"  # two of four is no majority

CROWD = {
    "graduated": GRADUATED,
    "moving": IN_REVALIDATION,
    "flagged": FLAGGED,
    "fresh": UNLABELED,
    "contested": CONTESTED,
}
"""One item in each state that votes alone lead to, under the default policy."""


def put_item(connection: sa.Connection, dataset: Dataset, external_id: str, gold: str | None = None) -> str:
    """Insert an item unless it is there; returns its id."""
    item_id = t.item_uuid(dataset.name, external_id)
    there = connection.execute(sa.select(t.items.c.item_id).where(t.items.c.item_id == item_id)).first()
    if there is None:
        connection.execute(
            t.items.insert().values(
                item_id=item_id,
                dataset_id=dataset.dataset_id,
                external_id=external_id,
                data_ref=f"https://example.com/{external_id}.jpg",
                modality="image",
                gold_label=gold,
                created_at=now_text(),
            )
        )
    return item_id


def put_votes(database: Database, dataset: Dataset, answers: dict[str, str], gold: str | None = None) -> None:
    """Insert votes: external id -> its next answers, one letter and one new solver each."""
    with database.write() as connection:
        for external_id, letters in answers.items():
            item_id = put_item(connection, dataset, external_id, gold)
            had = connection.execute(
                sa.select(sa.func.count()).select_from(t.votes).where(t.votes.c.item_id == item_id)
            ).scalar_one()
            rows = [
                {"item_id": item_id, "solver_id": f"solver-{had + n}", "answer": letter}
                for n, letter in enumerate(letters)
            ]
            if rows:
                connection.execute(t.votes.insert(), rows)


def change(database: Database, statement: str, **values: object) -> None:
    """Tamper: one SQL statement, committed."""
    with database.write() as connection:
        connection.execute(sa.text(statement), values)


def states(database: Database, dataset: Dataset) -> dict[str, str]:
    """The state of each item by external id."""
    with database.read() as connection:
        rows = connection.execute(
            sa.text("SELECT external_id, state FROM item_status WHERE dataset_id = :dataset"),
            {"dataset": dataset.dataset_id},
        )
        return {str(external_id): str(state) for external_id, state in rows}
