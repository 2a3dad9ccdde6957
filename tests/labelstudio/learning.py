"""What active learning leaves in the store, put there directly: proposals and a labelling queue."""

from collections.abc import Iterable, Mapping

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset, now_text
from hiveguard_pipeline.store.tables import item_uuid


def propose(database: Database, name: str, answers: Mapping[str, str], blind: Iterable[str] = ()) -> int:
    """A new model and its proposals by external_id, in the place of those before."""
    hidden = set(blind)
    with database.write() as connection:
        dataset = get_dataset(connection, name)
        key = connection.execute(
            t.models.insert().values(
                dataset_id=dataset.dataset_id,
                kind="weak",
                name="weak",
                file="weak.skops",
                file_sha256="0" * 64,
                classes=list(dataset.classes or ()),
                features={},
                schema_version=1,
                ledger_position=0,
                labels_used=0,
                held_out=0,
                accuracy=None,
                accepted=True,
                reason="first",
                metrics={},
                run_id=None,
                created_at=now_text(),
            )
        ).inserted_primary_key
        assert key is not None
        connection.execute(t.prelabels.delete().where(t.prelabels.c.dataset_id == dataset.dataset_id))
        connection.execute(
            t.prelabels.insert(),
            [
                {
                    "item_id": item_uuid(name, external_id),
                    "dataset_id": dataset.dataset_id,
                    "model_id": int(key[0]),
                    "answer": answer,
                    "probability": 700_000,
                    "blind": external_id in hidden,
                    "created_at": now_text(),
                }
                for external_id, answer in answers.items()
            ],
        )
    return int(key[0])


def queue(database: Database, name: str, order: Iterable[str]) -> None:
    """A selection of items by external_id, the first one to be asked first."""
    with database.write() as connection:
        dataset = get_dataset(connection, name)
        names = list(order)
        key = connection.execute(
            t.selections.insert().values(
                dataset_id=dataset.dataset_id,
                strategy="random",
                wanted=len(names),
                pool_size=len(names),
                labelled=0,
                model_id=None,
                seed=0,
                uncertainty_mean=None,
                notes=[],
                run_id=None,
                created_at=now_text(),
            )
        ).inserted_primary_key
        assert key is not None
        connection.execute(
            t.labeling_queue.delete().where(t.labeling_queue.c.dataset_id == dataset.dataset_id)
        )
        connection.execute(
            t.labeling_queue.insert(),
            [
                {
                    "item_id": item_uuid(name, external_id),
                    "dataset_id": dataset.dataset_id,
                    "selection_id": int(key[0]),
                    "rank": rank,
                    "score": 1.0 / rank,
                }
                for rank, external_id in enumerate(names, start=1)
            ],
        )
