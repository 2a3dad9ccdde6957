"""The work of a run under adaptive graduation: all votes of the items to look at, read under a calibration.

An item on which a person has decided follows the documented rule from there on: its label is theirs.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.adaptive import AdaptivelyFolded, Knowledge, adaptive_fold
from hiveguard_pipeline.rules.arithmetic import Mask
from hiveguard_pipeline.rules.calibrated import Reals
from hiveguard_pipeline.rules.columns import NO_LABEL, Items, Votes
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.bulk import Columns, read_columns
from hiveguard_pipeline.store.calibrations import Fit, fit_of, newest_calibration
from hiveguard_pipeline.store.class_map import ClassMap
from hiveguard_pipeline.store.datasets import Dataset, RecordedPolicy
from hiveguard_pipeline.store.standing import newest_standing

Fold = Callable[[Votes, Items, Reals, Knowledge, Policy], AdaptivelyFolded]


def current_fit(connection: sa.Connection, dataset: Dataset) -> tuple[int, Fit]:
    """The id and the fit of the dataset's calibration; raises BadInputError where it has none."""
    recorded = newest_calibration(connection, dataset)
    if recorded is None:
        raise BadInputError(
            f"{dataset.name} graduates by probability and has no calibration of its classes yet:"
            f" `hiveguard quality calibrate --dataset {dataset.name}` makes one"
        )
    return recorded.calibration_id, fit_of(connection, recorded.calibration_id)


def left_to_people(connection: sa.Connection, window: Mapping[str, Any], items: int) -> Mask:
    """Which items of a window of `work` have a standing decision of a person: shape (items,)."""
    found = read_columns(
        connection,
        "SELECT w.n FROM work w WHERE w.n >= :first AND w.n < :end"
        f" AND {newest_standing('w.item_id')} IS NOT NULL ORDER BY w.n",
        window,
        {"n": int},
    )
    decided = np.zeros(items, dtype=bool)
    decided[found["n"] - window["first"]] = True
    return decided


def fold_by_probability(
    connection: sa.Connection,
    window: Mapping[str, Any],
    work: Columns,
    chosen: Mask,
    only: str,
    class_map: ClassMap,
    fit: Fit,
    recorded: RecordedPolicy,
    fold: Fold = adaptive_fold,
) -> tuple[Columns, Any, AdaptivelyFolded]:
    """Fold the chosen items of a window. Returns their rows of `work`, the ids of their votes, the fold.

    only: SQL that leaves votes v of excluded solvers out, with parameter :dataset in the window. class_map:
    what answers mean now.
    """
    # CROSS JOIN keeps SQLite's loop order: from the few items to their votes by index.
    joined = "CROSS JOIN votes v ON" if connection.dialect.name == "sqlite" else "JOIN votes v ON"
    votes = read_columns(
        connection,
        f"SELECT w.n, v.vote_id, v.solver_id, v.answer FROM work w {joined} v.item_id = w.item_id"
        f" AND v.vote_id <= w.through WHERE w.n >= :first AND w.n < :end{only} ORDER BY w.n, v.vote_id",
        window,
        {"n": int, "vote_id": int, "solver_id": str, "answer": str},
    )
    place = np.cumsum(chosen) - 1
    number = votes["n"] - window["first"]
    own = np.flatnonzero(chosen[number])
    solver, answer = fit.codes(votes["solver_id"], class_map.of(votes["answer"]))
    solver, answer = solver[own], answer[own]
    items = int(chosen.sum())
    offsets = np.searchsorted(place[number[own]], np.arange(items + 1)).astype(np.int64)
    mine = only_rows(work, chosen)
    _, label = fit.codes(pa.array([], type=pa.string()), mine["label"])
    unknown = mine["label"].is_valid().to_numpy(zero_copy_only=False) & (label == NO_LABEL)
    before = Items(
        label=np.where(unknown, len(fit.classes), label).astype(np.int32),
        confidence=mine["confidence"],
        vote_count=mine["vote_count"],
        revalidation_vote_count=mine["revalidation_vote_count"],
        state=mine["state"].astype(np.uint8),
    )
    folded = fold(
        Votes(offsets, answer), before, fit.evidence(solver, answer), fit.knowledge, recorded.policy
    )
    return mine, votes["vote_id"][own], folded


def only_rows(columns: Columns, chosen: Mask) -> Columns:
    """Some rows of columns. chosen: shape (rows,)."""
    return {
        name: column[chosen] if isinstance(column, np.ndarray) else column.filter(pa.array(chosen))
        for name, column in columns.items()
    }
