"""What a selection looks at: unlabeled items, their features, what the model says of them, their votes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.learning.features import Features, FeatureSource
from hiveguard_pipeline.learning.items import Report, add_faults, features_in_batches
from hiveguard_pipeline.learning.recorded import Ready
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.schema_versions import class_map_of

DIMENSIONS = 128
"""Of an embedding; wider features are projected."""


@dataclass(slots=True)
class Candidates:
    """Items that a selection can pick. Arrays have a row for each of them; None where not asked for.

    item_ids: Arrow strings, ascending, shape (n,). probabilities: (n, classes). embedding: (n, d), float32.
    without: items that are left out, by reason.
    """

    item_ids: Any
    probabilities: Any
    embedding: Any
    without: dict[str, int]

    def __len__(self) -> int:
        return len(self.item_ids)


def look_at(
    database: Database,
    item_ids: Any,
    *,
    model: Ready | None,
    embedded: FeatureSource | None,
    report: Report | None = None,
) -> Candidates:
    """Items with what a strategy needs of them; those that lack any of it are left out, counted.

    model: scores them. embedded: the source of the features that become their embedding. Features that both
    take are made once.
    """
    if model is None and embedded is None:
        return Candidates(item_ids, None, None, {})
    places: list[Any] = []
    said: list[Any] = []
    vectors: list[Any] = []
    without: dict[str, int] = {}
    sources: list[FeatureSource] = []
    if model is not None:
        sources.append(model.source)
    if embedded is not None and embedded.description not in [source.description for source in sources]:
        sources.append(embedded)
    batches = [features_in_batches(database, source, item_ids, report) for source in sources]
    for parts in zip(*batches, strict=True):
        start, found = parts[0][0], [features for _, features in parts]
        add_faults(without, found[0].faults)
        kept = found[0].positions
        if len(found) == 2:
            kept = np.intersect1d(kept, found[1].positions)
            missing = len(found[0].positions) - len(kept)
            add_faults(without, {"no_embedding": missing} if missing else {})
        if not len(kept):
            continue
        places.append(kept + start)
        if model is not None:
            said.append(model.model.predict_proba(_rows(found[0], kept)))
        if embedded is not None:
            vectors.append(embedding_of(_rows(found[-1], kept)))
    chosen = np.concatenate(places) if places else np.empty(0, dtype=np.int64)
    return Candidates(
        item_ids.take(pa.array(chosen)),
        np.concatenate(said) if said else None,
        np.concatenate(vectors) if vectors else None,
        without,
    )


def _rows(found: Features, kept: Any) -> Any:
    """The rows of some of a batch's items; kept: positions, all of which have a row."""
    if len(kept) == len(found.positions):
        return found.rows
    places = np.searchsorted(found.positions, kept)
    return [found.rows[place] for place in places] if isinstance(found.rows, list) else found.rows[places]


def embedding_of(rows: Any) -> Any:
    """Features as a dense float32 array of at most DIMENSIONS columns.

    Wider ones are projected at random, which keeps distances (Johnson and Lindenstrauss 1984): by columns of
    a fixed seed, so that items of the pool and labelled ones land in the same space.
    """
    rows = rows if hasattr(rows, "tocsr") else np.asarray(rows, dtype=np.float32).reshape(len(rows), -1)
    width = rows.shape[1]
    if width <= DIMENSIONS:
        return rows.toarray() if hasattr(rows, "toarray") else rows
    return np.asarray(rows @ _projection(width), dtype=np.float32)


_projections: dict[int, Any] = {}


def _projection(width: int) -> Any:
    if width not in _projections:
        _projections.clear()
        drawn = np.random.default_rng(0).standard_normal((width, DIMENSIONS), dtype=np.float32)
        _projections[width] = drawn / np.float32(np.sqrt(DIMENSIONS))
    return _projections[width]


def vote_counts(connection: sa.Connection, dataset: Dataset, item_ids: Any) -> Any:
    """How many people gave each answer to unlabeled items: shape (items, answers), int64."""
    found = read_columns(
        connection,
        "SELECT v.item_id, v.answer, count(*) AS votes FROM item_status s JOIN votes v"
        f" ON v.item_id = s.item_id{counted(connection, dataset)}"
        " WHERE s.dataset_id = :dataset AND s.state = 'unlabeled' GROUP BY v.item_id, v.answer",
        {"dataset": dataset.dataset_id},
        {"item_id": str, "answer": str, "votes": int},
    )
    answers = class_map_of(connection, dataset).of(found["answer"]).dictionary_encode()
    rows = pc.index_in(found["item_id"], value_set=item_ids)
    there = np.asarray(pc.is_valid(rows).to_numpy(zero_copy_only=False))
    counts = np.zeros((len(item_ids), max(len(answers.dictionary), 1)), dtype=np.int64)
    places = rows.fill_null(0).to_numpy(zero_copy_only=False)[there]
    columns = answers.indices.to_numpy(zero_copy_only=False)[there]
    np.add.at(counts, (places, columns), found["votes"][there])
    return counts


def drawn_pool(item_ids: Any, most: int, seed: int) -> tuple[Any, str | None]:
    """At most so many of the unlabeled items, ascending, and what to say where some are left out."""
    if len(item_ids) <= most:
        return item_ids, None
    chosen = np.sort(np.random.default_rng(seed).choice(len(item_ids), most, replace=False))
    note = f"{most:,} of {len(item_ids):,} unlabeled items were looked at, drawn at random (pool_size)"
    return item_ids.take(pa.array(chosen)), note


def labelled_embedding(database: Database, source: FeatureSource, item_ids: Any, most: int, seed: int) -> Any:
    """The embedding of labelled items, at most so many, drawn at random: shape (n, d)."""
    chosen, _ = drawn_pool(item_ids, most, seed)
    parts = [
        embedding_of(found.rows) for _, found in features_in_batches(database, source, chosen) if len(found)
    ]
    return np.concatenate(parts) if parts else None
