"""The rows of a snapshot out of the database, a page of items at a time, in item_id order.

A page is one statement that begins behind the last item of the page before, so that memory does not grow
with a dataset. All pages are read in one transaction: they see one moment.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.snapshots.content import DETAILS, WITHOUT_SPLIT
from hiveguard_pipeline.snapshots.header import Selection
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.datasets import Dataset, policy_history
from hiveguard_pipeline.store.tables import written_time

FIRST_PAGE = 4_096
LARGEST_PAGE = 32_768
_SMALLEST_PAGE = 64
_PAGE_BYTES = 32 << 20

_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"
_UNKNOWN = -1
"""A number that is not there: the columns of a bulk read hold no nulls."""

_COLUMNS = {
    "item_id": str,
    "external_id": str,
    "data_ref": str,
    "modality": str,
    "label": str,
    "confidence": int,
    "solver_count": int,
    "created_at": str,
    "width": int,
    "height": int,
    "content": str,
    "group_key": str,
    "licence": str,
    "policy_id": int,
    "generation": int,
}
_DETAILS = (
    f"coalesce(d.width, {_UNKNOWN}) AS width, coalesce(d.height, {_UNKNOWN}) AS height,"
    " d.content, d.group_key, d.licence,"
)
_MAYBE_UNKNOWN = {"width", "height", "batch_id"}
_DECIDED = {"item_id": str, "revision": int, "batch_id": int, "source": str, "actor": str, "reason": str}


def database_rows(
    connection: sa.Connection, dataset: Dataset, selection: Selection
) -> Iterator[pa.RecordBatch]:
    """The chosen labels with what is known of their items, in batches of WITHOUT_SPLIT."""
    source = _Labels(connection, dataset, selection)
    last, size = _BEFORE_ALL, FIRST_PAGE
    while True:
        page = source.page(last, size)
        rows = page.num_rows
        if rows:
            yield page
        if rows < size:
            return
        last = page.column("item_id")[-1].as_py()
        size = min(max(_PAGE_BYTES * rows // page.nbytes, _SMALLEST_PAGE), LARGEST_PAGE, 4 * size)


class _Labels:
    """What a page is read with. `deep`: every label's revisions are looked up, not only the decided ones'."""

    def __init__(self, connection: sa.Connection, dataset: Dataset, selection: Selection) -> None:
        self._connection = connection
        self._parameters: dict[str, Any] = {"dataset": dataset.dataset_id}
        self._deep = dataset.schema_version > 1 or any(
            recorded.policy.is_adaptive for recorded in policy_history(connection, dataset)
        )
        self._key = ":{}" if connection.dialect.name == "sqlite" else "CAST(:{} AS uuid)"
        states = [State.GRADUATED] if selection.graduated else [State.IN_REVALIDATION, State.GRADUATED]
        self._states = ", ".join(f"'{STATES[state]}'" for state in states)
        self._least = selection.min_confidence
        # A label's time is in its full form on SQLite as it stands.
        sqlite = connection.dialect.name == "sqlite"
        self._created_at = "l.created_at" if sqlite else written_time(connection, "l.created_at")
        self._details = connection.execute(sa.text("SELECT 1 FROM item_details LIMIT 1")).first() is not None

    def page(self, last: str, size: int) -> pa.RecordBatch:
        """The labels of the next `size` chosen items behind `last`."""
        behind = self._key.format("last")
        columns = read_columns(
            self._connection,
            "SELECT CAST(l.item_id AS text) AS item_id, i.external_id, i.data_ref, i.modality, l.label,"
            " l.confidence, l.vote_count + l.revalidation_vote_count AS solver_count,"
            f" {self._created_at} AS created_at, {_DETAILS if self._details else ''}"
            " l.policy_id, l.generation FROM labels l JOIN items i ON i.item_id = l.item_id"
            f"{' LEFT JOIN item_details d ON d.item_id = l.item_id' if self._details else ''}"
            f" WHERE l.dataset_id = :dataset AND l.state IN ({self._states})"
            f" AND l.confidence >= {self._least:d} AND l.item_id > {behind} AND i.item_id > {behind}"
            f" ORDER BY l.item_id LIMIT {size:d}",
            self._parameters | {"last": last},
            {name: kind for name, kind in _COLUMNS.items() if self._details or name not in DETAILS.names},
        )
        rows = len(columns["item_id"])
        beside: dict[str, Any] = {
            "revision": np.ones(rows, dtype=np.int64),
            "source": pa.repeat(pa.scalar("votes"), rows),
            "actor": pa.nulls(rows, pa.string()),
            "reason": pa.nulls(rows, pa.string()),
            "batch_id": np.full(rows, _UNKNOWN),
        }
        if rows:
            beside |= self._decided(columns, last)
        for name in _MAYBE_UNKNOWN & {*columns, *beside}:
            number = beside.pop(name) if name in beside else columns[name]
            columns[name] = pa.array(number, mask=number == _UNKNOWN, type=pa.int64())
        if not self._details:
            columns |= {field.name: pa.nulls(rows, field.type) for field in DETAILS}
        return pa.record_batch(
            [
                pa.array(found) if isinstance(found, np.ndarray) else found
                for found in ((columns | beside)[name] for name in WITHOUT_SPLIT.names)
            ],
            schema=WITHOUT_SPLIT,
        )

    def _decided(self, columns: dict[str, Any], last: str) -> dict[str, Any]:
        """The columns of the newest revisions, where a label may have had more than its first one."""
        above, through = self._key.format("last"), self._key.format("through")
        within = f"item_id > {above} AND item_id <= {through}"
        several = "" if self._deep else " AND generation > 1"
        chosen = [f"SELECT item_id FROM reviews WHERE {within}"]
        if self._deep or (columns["generation"] > 1).any():
            chosen.append(f"SELECT item_id FROM labels WHERE dataset_id = :dataset AND {within}{several}")
        found = read_columns(
            self._connection,
            "SELECT CAST(c.item_id AS text) AS item_id, c.revision, c.batch_id,"
            " coalesce(r.decision, 'votes') AS source, r.reviewer AS actor, r.reason"
            " FROM (SELECT b.item_id, count(*) AS revision, max(b.batch_id) AS batch_id FROM batches b"
            f" WHERE b.kind <> 'revalidation' AND b.item_id IN ({' UNION '.join(chosen)})"
            " GROUP BY b.item_id) c JOIN batches n ON n.batch_id = c.batch_id"
            " LEFT JOIN reviews r ON r.review_id = n.review_id ORDER BY c.item_id",
            self._parameters | {"last": last, "through": columns["item_id"][-1].as_py()},
            _DECIDED,
        )
        if not len(found["item_id"]):
            return {}
        place = pc.index_in(columns["item_id"], value_set=found["item_id"])
        at = pc.fill_null(place, 0).to_numpy(zero_copy_only=False)
        known = pc.is_valid(place)
        mask = known.to_numpy(zero_copy_only=False)
        texts = {name: pc.take(found[name], place) for name in ("source", "actor", "reason")}
        return {
            "revision": np.where(mask, found["revision"][at], 1),
            "batch_id": np.where(mask, found["batch_id"][at], _UNKNOWN),
            "source": pc.coalesce(texts["source"], pa.scalar("votes")),
            "actor": texts["actor"],
            "reason": texts["reason"],
        }


def group_keys(page: pa.RecordBatch) -> Any:
    """What rows are split by: their group, or where they have none their own name."""
    return pc.coalesce(page.column("group_key"), page.column("external_id"))
