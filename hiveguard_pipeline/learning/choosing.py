"""Choosing what to ask next: what a strategy needs of a dataset is put together, its picks are the queue."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.candidates import (
    Candidates,
    drawn_pool,
    labelled_embedding,
    look_at,
    vote_counts,
)
from hiveguard_pipeline.learning.features import FeatureSource, source_of
from hiveguard_pipeline.learning.items import UNLABELED, Report, items_in, labelled_items
from hiveguard_pipeline.learning.models.folder import ModelFolder
from hiveguard_pipeline.learning.queue import Queue, write_queue
from hiveguard_pipeline.learning.recorded import Ready, RecordedModel, accepted_model, ready, why_stale
from hiveguard_pipeline.learning.scores import given_scores
from hiveguard_pipeline.learning.selection import STRATEGIES, Selection
from hiveguard_pipeline.learning.selection import select as choose
from hiveguard_pipeline.learning.served import NotServedError, own_features, refuse_structured_answers
from hiveguard_pipeline.learning.settings import ActiveSettings, active_settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset

BY_SCORES = "scores"
"""The strategy's name of a choice by a user's own scores."""

MOST_LABELLED = 20_000
"""Labelled items that k-centre keeps away from; of more, as many drawn at random."""


def select_items(
    database: Database,
    dataset_name: str,
    root: str,
    *,
    strategy: str | None = None,
    n: int | None = None,
    seed: int | None = None,
    scores: Path | None = None,
    run_id: str | None = None,
    report: Report | None = None,
) -> Queue:
    """Choose what to ask next and make it the queue of the dataset, in one transaction.

    strategy, n, seed: by default the dataset's settings; of a smaller pool all of it is chosen. root: of
    model files. scores: a file of a user's own scores, instead of a strategy. Raises BadInputError,
    NotServedError or MissingExtraError; the queue stays as it was then.
    """
    with database.read() as connection:
        dataset = get_dataset(connection, dataset_name)
        settings = active_settings(connection, dataset)
        pool = items_in(connection, dataset, UNLABELED)
        labelled = labelled_items(connection, dataset)
        model = accepted_model(connection, dataset)
    seed = settings.seed if seed is None else seed
    n = settings.query_batch_size if n is None else n
    notes: list[str] = []
    used: RecordedModel | None = None
    if scores is not None:
        if strategy is not None:
            raise BadInputError("--scores and --strategy: scores are the strategy, leave one of them out")
        strategy = BY_SCORES
        with database.read() as connection:
            names = _external_ids(connection, dataset)
        item_ids, given, said = given_scores(scores, names, pool)
        notes += said
        found = Candidates(item_ids, None, None, {})
        picks = _picked("uncertainty", n, found, seed, scores=given) if len(found) else None
    else:
        strategy = strategy or settings.strategy
        if strategy not in STRATEGIES:
            raise BadInputError(f"{strategy!r} is no strategy; there are {', '.join(STRATEGIES)}")
        if strategy != "random":
            refuse_structured_answers(dataset)
        pool, note = drawn_pool(pool, settings.pool_size, seed)
        notes += [note] if note else []
        proposer, embedded, warned = _needed(dataset, settings, strategy, model, root)
        notes += warned
        used = proposer.row if proposer is not None else None
        found = look_at(database, pool, model=proposer, embedded=embedded, report=report)
        notes += [f"left out, {why}: {count:,} items" for why, count in sorted(found.without.items())]
        picks = None
        if len(found):
            more: dict[str, Any] = {}
            if strategy == "committee":
                with database.read() as connection:
                    more["votes"] = vote_counts(connection, dataset, found.item_ids)
            if embedded is not None:
                more["labelled_embedding"] = labelled_embedding(
                    database, embedded, labelled.item_ids, MOST_LABELLED, seed
                )
            if strategy in ("uncertainty", "hybrid") and found.probabilities is not None:
                more["method"] = settings.uncertainty_method
            picks = _picked(strategy, n, found, seed, labelled=len(labelled), **more)
    if picks is None:
        raise BadInputError(
            f"{dataset_name} has no unlabeled item to choose from" + "".join(f"; {note}" for note in notes)
        )
    if len(picks.positions) < n:
        notes.append(f"all {len(picks.positions):,} items that there are were chosen; {n:,} were wanted")
    return write_queue(
        database,
        dataset,
        found,
        picks,
        strategy,
        n,
        len(labelled),
        used,
        seed,
        (*notes, *picks.notes),
        run_id,
    )


def _needed(
    dataset: Dataset, settings: ActiveSettings, strategy: str, model: RecordedModel | None, root: str
) -> tuple[Ready | None, FeatureSource | None, list[str]]:
    """The model that scores and the source of the embedding, as far as the strategy takes them; and notes."""
    wants_model = strategy in ("uncertainty", "hybrid")
    notes: list[str] = []
    proposer = None
    if wants_model and model is not None:
        stale = why_stale(model, dataset)
        if stale is None:
            proposer = ready(ModelFolder(root), model, settings)
        else:
            notes.append(f"{stale}; it was not asked")
    if strategy == "uncertainty" and proposer is None:
        why = notes[0] if notes else "there is no accepted model yet"
        raise NotServedError(
            f"{why}: train one (`hiveguard active train --dataset {dataset.name}`), or choose by diversity,"
            " hybrid or random"
        )
    embedded = None
    if strategy in ("diversity", "hybrid"):
        features = own_features(dataset, settings, len(dataset.classes or ()) or 2)
        embedded = source_of(features, image_dir=settings.image_dir, embeddings=settings.embeddings)
    return proposer, embedded, notes


def _picked(strategy: str, n: int, found: Candidates, seed: int, **more: Any) -> Selection:
    # Candidates lie by item_id, so that their positions break ties as their ids would.
    given = {"probabilities": found.probabilities, "embedding": found.embedding}
    given = {name: array for name, array in given.items() if array is not None}
    return choose(strategy, min(n, len(found)), seed=seed, pool=len(found), **given, **more)


def _external_ids(connection: sa.Connection, dataset: Dataset) -> dict[str, str]:
    """item_id by external_id of the unlabeled items."""
    rows = connection.execute(
        sa.text(
            "SELECT external_id, item_id FROM item_status WHERE dataset_id = :dataset AND state = 'unlabeled'"
        ),
        {"dataset": dataset.dataset_id},
    )
    return {row.external_id: str(row.item_id) for row in rows}
