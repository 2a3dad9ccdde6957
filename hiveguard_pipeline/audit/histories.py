"""What the store says of some items of a dataset: their labels, votes and ledgers, in columns, in item order.

A window is the items after one id, up to another; rows name an item by n, its place in the window.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.audit.eras import ClassEras
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE
from hiveguard_pipeline.rules.replay import DECISIONS, History
from hiveguard_pipeline.rules.states import KINDS, STATES
from hiveguard_pipeline.store.bulk import Columns, read_columns
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.standing import APPLIED_THROUGH

Window = dict[str, object]
"""dataset; after and last: the ids that the window lies between, the last one in it."""

_LABELS: dict[str, type] = {
    "item_id": str,
    "external_id": str,
    "gold": int,
    "has_row": int,
    "label": str,
    "confidence": int,
    "state": str,
    "flagged": int,
    "vote_count": int,
    "revalidation_vote_count": int,
    "revalidation_epochs": int,
    "policy_id": int,
    "generation": int,
    "applied_through": int,
}
_BATCHES: dict[str, type] = {
    "n": int,
    "batch_id": int,
    "policy_id": int,
    "kind": str,
    "first_vote_id": int,
    "last_vote_id": int,
    "agree": int,
    "disagree": int,
    "label": str,
    "confidence_before": int,
    "confidence_after": int,
    "state_after": str,
    "review_id": int,
    "decision": str,
    "decided_label": str,
    "undoes": int,
    "restates_through": int,
    "probability": int,
    "calibration_id": int,
    "applied": int,
}

_HISTORIES = (
    "FROM items i LEFT JOIN labels l ON l.item_id = i.item_id WHERE i.dataset_id = :dataset AND"
    " (l.item_id IS NOT NULL OR EXISTS (SELECT 1 FROM batches b WHERE b.item_id = i.item_id))"
)
_LABEL_FIELDS = (
    "i.item_id AS item_id, i.external_id AS external_id,"
    " CASE WHEN i.gold_label IS NULL THEN 0 ELSE 1 END AS gold,"
    " CASE WHEN l.item_id IS NULL THEN 0 ELSE 1 END AS has_row, l.label AS label,"
    f" coalesce(l.confidence, {NO_CONFIDENCE}) AS confidence, coalesce(l.state, 'unlabeled') AS state,"
    " CASE WHEN l.needs_review THEN 1 ELSE 0 END AS flagged,"
    " coalesce(l.vote_count, 0) AS vote_count,"
    " coalesce(l.revalidation_vote_count, 0) AS revalidation_vote_count,"
    " coalesce(l.revalidation_epochs, 0) AS revalidation_epochs, coalesce(l.policy_id, 0) AS policy_id,"
    " coalesce(l.generation, 1) AS generation, coalesce(l.applied_through, 0) AS applied_through"
)
NUMBERED = (
    "(SELECT i.item_id, coalesce(l.generation, 1) AS generation,"
    f" row_number() OVER (ORDER BY i.item_id) - 1 AS n {_HISTORIES}"
    " AND i.item_id > :after AND i.item_id <= :last) w"
)


_RESTATES = (
    "b.generation > 1 AND EXISTS (SELECT 1 FROM batches x WHERE x.item_id = b.item_id"
    " AND x.review_id = b.review_id AND x.generation < b.generation)"
)
"""SQL: ledger row b restates a decision that was taken in an earlier generation."""

_APPLIED = (
    "coalesce((SELECT max(p.last_vote_id) FROM batches p WHERE p.item_id = b.item_id"
    " AND p.generation = b.generation AND p.batch_id <= b.batch_id), 0)"
)
"""SQL: the newest vote that counted as processed after ledger row b."""


def count_histories(connection: sa.Connection, dataset: Dataset) -> int:
    """How many items of a dataset have a label or a ledger."""
    query = sa.text(f"SELECT count(*) {_HISTORIES}")
    return int(connection.execute(query, {"dataset": dataset.dataset_id}).scalar_one())


def read_labels(connection: sa.Connection, dataset: Dataset, after: str, most: int) -> Columns:
    """The next items of a dataset that have a label or a ledger, as their labels stand."""
    return read_columns(
        connection,
        f"SELECT {_LABEL_FIELDS} {_HISTORIES} AND i.item_id > :after ORDER BY i.item_id LIMIT {most}",
        {"dataset": dataset.dataset_id, "after": after},
        _LABELS,
    )


def read_votes(connection: sa.Connection, dataset: Dataset, window: Window, *, with_solvers: bool) -> Columns:
    """The votes of a window that count, in arrival order of each item."""
    solver = "v.solver_id" if with_solvers else "''"
    return read_columns(
        connection,
        f"SELECT w.n, v.vote_id, v.answer, {solver} AS solver_id FROM {NUMBERED} JOIN votes v"
        f" ON v.item_id = w.item_id{counted(connection, dataset)} ORDER BY w.n, v.vote_id",
        window,
        {"n": int, "vote_id": int, "answer": str, "solver_id": str},
    )


def read_ledger(connection: sa.Connection, window: Window) -> Columns:
    """The ledger rows of the generations that hold in a window, with the decisions behind them."""
    return read_columns(
        connection,
        "SELECT w.n, b.batch_id, b.policy_id, b.kind, coalesce(b.first_vote_id, -1) AS first_vote_id,"
        " coalesce(b.last_vote_id, -1) AS last_vote_id, b.agree, b.disagree, b.label,"
        f" coalesce(b.confidence_before, {NO_CONFIDENCE}) AS confidence_before,"
        f" coalesce(b.confidence_after, {NO_CONFIDENCE}) AS confidence_after, b.state_after,"
        " coalesce(b.review_id, -1) AS review_id, coalesce(r.decision, 'none') AS decision,"
        " r.label AS decided_label,"
        " coalesce(r.undoes, -1) AS undoes,"
        f" CASE WHEN {_RESTATES} THEN {APPLIED_THROUGH} ELSE -1 END AS restates_through,"
        " coalesce(b.probability, -1) AS probability, coalesce(b.calibration_id, -1) AS calibration_id,"
        f" CASE WHEN b.calibration_id IS NULL THEN 0 ELSE {_APPLIED} END AS applied FROM {NUMBERED}"
        " JOIN batches b ON b.item_id = w.item_id AND b.generation = w.generation"
        " LEFT JOIN reviews r ON r.review_id = b.review_id ORDER BY w.n, b.batch_id",
        window,
        _BATCHES,
    )


def history_of(batches: Columns, label: Any, policy_ids: list[int], eras: ClassEras) -> History:
    """The ledger rows of a window for the replay. label: their labels as codes, shape (rows,)."""
    rows = len(batches["n"])
    row_of_review = {int(review): row for row, review in enumerate(batches["review_id"]) if review >= 0}
    undone = np.zeros(rows, dtype=bool)
    restores = np.full(rows, -1, dtype=np.int64)
    for row in np.flatnonzero(batches["undoes"] >= 0).tolist():
        replaced = row_of_review.get(int(batches["undoes"][row]))
        if replaced is None:
            continue
        undone[replaced] = True
        if replaced > 0 and batches["n"][replaced - 1] == batches["n"][replaced]:
            restores[row] = replaced - 1
    return History(
        item=batches["n"],
        policy=np.searchsorted(np.array(policy_ids), batches["policy_id"]).clip(0, len(policy_ids) - 1),
        kind=codes_of(KINDS, batches["kind"]),
        first_vote_id=batches["first_vote_id"],
        last_vote_id=batches["last_vote_id"],
        agree=batches["agree"],
        disagree=batches["disagree"],
        label=label,
        confidence_before=batches["confidence_before"],
        confidence_after=batches["confidence_after"],
        state_after=codes_of(STATES, batches["state_after"]),
        decision=codes_of(DECISIONS, batches["decision"]),
        undone=undone,
        restores=restores,
        restates_through=batches["restates_through"],
        era=eras.of_rows(batches["batch_id"]),
    )


def codes_of(words: tuple[str, ...], column: Any) -> Any:
    """Positions of words in a list; past its end for a word that is not in it."""
    found = pc.index_in(column, value_set=pa.array(words)).fill_null(len(words))
    return found.to_numpy(zero_copy_only=False).astype(np.uint8)
