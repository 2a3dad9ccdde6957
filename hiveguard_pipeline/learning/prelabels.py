"""What the model proposes for items that people will see: kept beside the votes, and never one of them.

Proposals are for unlabeled items and for those that wait for a review. A stable share of items is blind: what
is proposed for them is kept and shown to nobody, so that one can tell what people do without a proposal. One
that a reviewer has decided on stays as it was, as evidence for `anchoring`.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.learning.items import (
    NEEDS_REVIEW,
    UNLABELED,
    Report,
    add_faults,
    features_in_batches,
    items_in,
)
from hiveguard_pipeline.learning.models.folder import ModelFolder
from hiveguard_pipeline.learning.recorded import Ready, RecordedModel, accepted_model, ready, why_stale
from hiveguard_pipeline.learning.served import refuse_structured_answers
from hiveguard_pipeline.learning.settings import active_settings
from hiveguard_pipeline.rules.arithmetic import Mask
from hiveguard_pipeline.rules.hash_split import below, hashes_of, limit_of_share
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.store.bulk import append, read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset, lock_dataset, now_text

DECIDED = (
    "EXISTS (SELECT 1 FROM reviews r WHERE r.item_id = prelabels.item_id"
    " AND r.created_at >= prelabels.created_at)"
)
"""SQL: a person has decided on the item of a row of prelabels since it was made."""


@dataclass(frozen=True, slots=True)
class Prelabelled:
    """What was proposed. without: items that have no proposal, by reason. why_not: why there are none."""

    model: RecordedModel | None
    proposals: int = 0
    blind: int = 0
    without: dict[str, int] = field(default_factory=dict)
    why_not: str | None = None


def prelabel(
    database: Database, dataset_name: str, root: str, *, report: Report | None = None
) -> Prelabelled:
    """Replace the proposals of a dataset by those of its accepted model, in one transaction.

    Without a model that may propose, those that are there are taken away. root: of model files. Raises
    HiveGuardError where the model cannot be loaded or run; the proposals stay as they were then.
    """
    with database.read() as connection:
        dataset = get_dataset(connection, dataset_name)
        refuse_structured_answers(dataset)
        settings = active_settings(connection, dataset)
        model = accepted_model(connection, dataset)
        stale = None if model is None else why_stale(model, dataset)
        item_ids = items_in(connection, dataset, UNLABELED, NEEDS_REVIEW)
    if model is None or stale is not None:
        _replace(database, dataset, None, None, settings.blind_share)
        return Prelabelled(model, why_not=stale or "there is no accepted model yet")
    proposer = ready(ModelFolder(root), model, settings)
    columns, without = _proposed(database, proposer, item_ids, report)
    written, blind = _replace(database, dataset, proposer, columns, settings.blind_share)
    return Prelabelled(model, written, blind, without)


def _proposed(
    database: Database, proposer: Ready, item_ids: Any, report: Report | None
) -> tuple[dict[str, Any], dict[str, int]]:
    """Item, answer (a code of the model's classes) and probability in millionths, of those with features."""
    places, answers, probabilities = [], [], []
    faults: dict[str, int] = {}
    for start, found in features_in_batches(database, proposer.source, item_ids, report):
        add_faults(faults, found.faults)
        if not len(found):
            continue
        said = proposer.model.predict_proba(found.rows)
        best = said.argmax(axis=1)
        places.append(found.positions + start)
        answers.append(best.astype(np.int32))
        probabilities.append(np.rint(said[np.arange(len(best)), best] * ONE).astype(np.int64))
    if not places:
        return {
            "item_id": item_ids.slice(0, 0),
            "answer": pa.array([], pa.string()),
            "probability": [],
        }, faults
    classes = pa.array(proposer.model.classes, type=pa.string())
    return {
        "item_id": item_ids.take(pa.array(np.concatenate(places))),
        "answer": classes.take(pa.array(np.concatenate(answers))),
        "probability": np.concatenate(probabilities),
    }, faults


def is_blind(dataset: Dataset, item_ids: Any, share: int) -> Mask:
    """Which items' proposals are shown to nobody: by their ids alone. share in millionths; Arrow strings."""
    hashes = hashes_of(f"{dataset.name}:blind", item_ids.cast(pa.binary()).to_pylist())
    return below(hashes, limit_of_share(share))


def _replace(
    database: Database,
    dataset: Dataset,
    proposer: Ready | None,
    columns: dict[str, Any] | None,
    blind_share: int,
) -> tuple[int, int]:
    """Take the old proposals away and write the new ones of items that still want one."""
    key = {"dataset": dataset.dataset_id}
    with database.write() as connection:
        now = lock_dataset(connection, dataset.name)
        _delete(connection, now)
        if proposer is None or columns is None or why_stale(proposer.row, now) is not None:
            return 0, 0
        kept = read_columns(
            connection, "SELECT item_id FROM prelabels WHERE dataset_id = :dataset", key, {"item_id": str}
        )["item_id"]
        wanted = items_in(connection, now, UNLABELED, NEEDS_REVIEW)
        table = pa.table({name: pa.array(column) for name, column in columns.items()})
        inside = pc.and_(
            pc.is_in(table["item_id"], value_set=wanted),
            pc.invert(pc.is_in(table["item_id"], value_set=kept)),
        )
        table = table.filter(inside)
        if not table.num_rows:
            return 0, 0
        blind = is_blind(now, table["item_id"], blind_share)
        append(
            connection,
            "prelabels",
            {
                **{name: table[name] for name in table.column_names},
                "dataset_id": pa.repeat(pa.scalar(now.dataset_id), table.num_rows),
                "model_id": np.full(table.num_rows, proposer.row.model_id, dtype=np.int64),
                "blind": blind,
                "created_at": pa.repeat(pa.scalar(now_text()), table.num_rows),
            },
        )
    return table.num_rows, int(blind.sum())


def _delete(connection: sa.Connection, dataset: Dataset) -> None:
    connection.execute(
        sa.text(f"DELETE FROM prelabels WHERE dataset_id = :dataset AND NOT {DECIDED}"),
        {"dataset": dataset.dataset_id},
    )
