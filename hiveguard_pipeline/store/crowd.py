"""A dataset's votes as columns, for all that looks at the crowd whole: who answered what on which item.

Codes of items, solvers and classes follow their order as text, so that they hang on no order of rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.rules.columns import NO_LABEL, Votes
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.schema_versions import class_map_of

ITEMS_AT_ONCE = 100_000
NO_DURATION = -1

NOT_EXCLUDED = "v.solver_id NOT IN (SELECT solver_id FROM active_exclusions WHERE dataset_id = :dataset)"
"""SQL: the solver of vote v is not excluded from :dataset."""

NOT_WITHDRAWN = "v.vote_id NOT IN (SELECT vote_id FROM withdrawals WHERE dataset_id = :dataset)"
"""SQL: vote v of :dataset was not taken back."""


@dataclass(slots=True)
class Crowd:
    """The votes of a dataset, by item, then in arrival order, and what their codes mean.

    offsets: shape (items + 1,), int64; the votes of item i are rows offsets[i]:offsets[i + 1]. solver and
    answer: codes, int32; vote_id: int64; duration_ms: int64, NO_DURATION where unknown: shape (votes,).
    item_ids, external_ids: Arrow strings, shape (items,). gold: code of the true label, NO_LABEL where it
    is unknown, int32, shape (items,). solvers, classes: their names by code.
    """

    offsets: Integers
    solver: Codes
    answer: Codes
    vote_id: Integers
    duration_ms: Integers
    item_ids: Any
    external_ids: Any
    gold: Codes
    solvers: list[str]
    classes: list[str]

    @property
    def item(self) -> Codes:
        """The item of each vote; int32, shape (votes,)."""
        return np.repeat(np.arange(len(self.item_ids), dtype=np.int32), np.diff(self.offsets))

    @property
    def votes(self) -> Votes:
        """The answers as the rules take them."""
        return Votes(self.offsets, self.answer)

    def only(self, kept: Mask) -> "Crowd":
        """The same items, solvers and classes with some of the votes. kept: shape (votes,)."""
        counts = np.concatenate(([0], np.cumsum(kept)))
        return Crowd(
            counts[self.offsets].astype(np.int64),
            self.solver[kept],
            self.answer[kept],
            self.vote_id[kept],
            self.duration_ms[kept],
            self.item_ids,
            self.external_ids,
            self.gold,
            self.solvers,
            self.classes,
        )


def read_crowd(
    connection: sa.Connection, dataset: Dataset, horizon: int | None = None, *, excluded: bool = False
) -> Crowd:
    """All items of a dataset with their votes up to a horizon (None: all there are), gold items too.

    An answer that names a class of earlier is read as the class that it means now.
    excluded: with the votes of solvers who are excluded.
    """
    windows = list(_windows(connection, dataset, horizon, excluded=excluded))
    answers, classes = _coded(
        [window["answer"] for window in windows] + [window["gold_label"] for window in windows],
        list(dataset.classes or ()),
    )
    solvers, names = _coded([window["solver_id"] for window in windows])
    counts = _joined([window["count"] for window in windows])
    votes = int(counts.sum())
    return Crowd(
        offsets=np.concatenate(([0], np.cumsum(counts))),
        solver=solvers,
        answer=answers[:votes],
        vote_id=_joined([window["vote_id"] for window in windows]),
        duration_ms=_joined([window["duration_ms"] for window in windows]),
        item_ids=_texts([window["item_id"] for window in windows]),
        external_ids=_texts([window["external_id"] for window in windows]),
        gold=answers[votes:],
        solvers=names,
        classes=classes,
    )


def _windows(
    connection: sa.Connection, dataset: Dataset, horizon: int | None, *, excluded: bool
) -> Iterator[dict[str, Any]]:
    """Some items at a time with their votes, by item_id: texts dictionary-encoded."""
    sqlite = connection.dialect.name == "sqlite"
    chosen = "FROM items WHERE dataset_id = :dataset AND item_id > :after ORDER BY item_id LIMIT :items"
    # CROSS JOIN keeps SQLite's loop order: from the items to their votes by index.
    joined = "CROSS JOIN votes v ON" if sqlite else "JOIN votes v ON"
    votes = (
        "SELECT i.n, v.vote_id, v.solver_id, v.answer,"
        f" coalesce(v.duration_ms, {NO_DURATION}) AS duration_ms FROM"
        f" (SELECT item_id, row_number() OVER (ORDER BY item_id) - 1 AS n {chosen}) i"
        f" {joined} v.item_id = i.item_id"
        + (" AND v.vote_id <= :horizon" if horizon is not None else "")
        + f" WHERE {NOT_WITHDRAWN}"
        + ("" if excluded else f" AND {NOT_EXCLUDED}")
        + " ORDER BY i.n, v.vote_id"
    )
    class_map = class_map_of(connection, dataset)
    after = "00000000-0000-0000-0000-000000000000"
    while True:
        window: dict[str, object] = {"dataset": dataset.dataset_id, "after": after, "items": ITEMS_AT_ONCE}
        items = read_columns(
            connection,
            f"SELECT item_id, external_id, gold_label {chosen}",
            window,
            {"item_id": str, "external_id": str, "gold_label": str},
        )
        count = len(items["item_id"])
        if not count:
            return
        found = read_columns(
            connection,
            votes,
            window if horizon is None else window | {"horizon": horizon},
            {"n": int, "vote_id": int, "solver_id": str, "answer": str, "duration_ms": int},
        )
        yield {
            "item_id": items["item_id"],
            "external_id": items["external_id"],
            "gold_label": items["gold_label"].dictionary_encode(),
            "count": np.bincount(found["n"], minlength=count),
            "vote_id": found["vote_id"],
            "duration_ms": found["duration_ms"],
            "solver_id": found["solver_id"].dictionary_encode(),
            "answer": class_map.of(found["answer"]).dictionary_encode(),
        }
        after = items["item_id"][-1].as_py()


def _coded(chunks: list[Any], first: list[str] | None = None) -> tuple[Codes, list[str]]:
    """Dictionary-encoded texts as codes (NO_LABEL for null), and the words: `first`, then by text."""
    known = list(first or ())
    if not chunks:
        return np.empty(0, dtype=np.int32), known
    words = pc.unique(pa.chunked_array([chunk.dictionary for chunk in chunks]))
    others = sorted(set(words.to_pylist()) - set(known))
    names = pa.array(known + others, type=pa.string())
    parts = []
    for chunk in chunks:
        place = np.append(pc.index_in(chunk.dictionary, value_set=names).to_numpy(), NO_LABEL)
        codes = chunk.indices.fill_null(len(place) - 1).to_numpy(zero_copy_only=False)
        parts.append(place[codes].astype(np.int32))
    return np.concatenate(parts), names.to_pylist()


def _texts(chunks: list[Any]) -> Any:
    return pa.chunked_array(chunks, type=pa.string()).combine_chunks()


def _joined(chunks: list[Any]) -> Any:
    return np.concatenate(chunks) if chunks else np.empty(0, dtype=np.int64)
