"""The rows of the table of snapshots: found by id or the beginning of one, listed, written."""

import re
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline import __version__
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.snapshots.header import Header
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, RecordedPolicy, get_dataset, now_text, policy_history

SHORTEST_ID = 6
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as the database knows it.

    parent: the dataset's snapshot before it. policy_id, ledger_position: what held, and how far the ledger
    had come, when it was first made. file: below the snapshots' root. removed_at: None while the file is
    kept.
    """

    snapshot_id: str
    dataset: str
    parent: str | None
    policy_id: int
    ledger_position: int
    header: Header
    file: str
    file_sha256: str
    code_version: str
    run_id: str | None
    actor: str
    note: str
    created_at: str
    removed_at: str | None

    @property
    def rows(self) -> int:
        """How many labels it holds."""
        return self.header.rows


_SELECTED = sa.select(t.snapshots, t.datasets.c.name.label("dataset")).join(
    t.datasets, t.datasets.c.dataset_id == t.snapshots.c.dataset_id
)


def find_snapshot(database: Database, snapshot: str) -> Snapshot:
    """The snapshot of an id, or of the beginning of one. Raises BadInputError for none and for several."""
    with database.read() as connection:
        return find(connection, snapshot)


def find(connection: sa.Connection, snapshot: str) -> Snapshot:
    """`find_snapshot` in a transaction that is open."""
    wanted = snapshot.strip().lower()
    if len(wanted) < SHORTEST_ID or not _HEX.fullmatch(wanted):
        raise BadInputError(
            f"{snapshot!r} is no id of a snapshot: that is at least the first {SHORTEST_ID} of its"
            " hexadecimal digits (`hiveguard snapshots list` shows them)"
        )
    rows = connection.execute(
        _SELECTED.where(t.snapshots.c.snapshot_id.startswith(wanted))
        .order_by(t.snapshots.c.snapshot_id)
        .limit(3)
    ).all()
    if not rows:
        raise BadInputError(f"there is no snapshot {snapshot!r}; `hiveguard snapshots list` shows them all")
    if len(rows) > 1:
        raise BadInputError(
            f"several snapshots begin with {snapshot!r}: {', '.join(row.snapshot_id for row in rows[:2])};"
            " give more digits"
        )
    return _snapshot(rows[0])


def list_snapshots(
    connection: sa.Connection, dataset_name: str | None = None, *, removed: bool = True
) -> list[Snapshot]:
    """The snapshots of a dataset, or of all, newest first; removed: those too whose file is gone."""
    query = _SELECTED.order_by(t.snapshots.c.created_at.desc(), t.snapshots.c.snapshot_id)
    if dataset_name is not None:
        dataset_id = get_dataset(connection, dataset_name).dataset_id
        query = query.where(t.snapshots.c.dataset_id == dataset_id)
    if not removed:
        query = query.where(t.snapshots.c.removed_at.is_(None))
    return [_snapshot(row) for row in connection.execute(query)]


def record(
    connection: sa.Connection,
    dataset: Dataset,
    header: Header,
    *,
    policy_id: int,
    ledger_position: int,
    file: str,
    file_sha256: str,
    run_id: str | None,
    actor: str,
    note: str,
) -> Snapshot:
    """Write the row of a new snapshot; its parent is the dataset's newest one."""
    parent = connection.execute(
        sa.select(t.snapshots.c.snapshot_id)
        .where(t.snapshots.c.dataset_id == dataset.dataset_id)
        .order_by(t.snapshots.c.created_at.desc(), t.snapshots.c.snapshot_id)
        .limit(1)
    ).scalar()
    connection.execute(
        t.snapshots.insert().values(
            snapshot_id=header.snapshot_id,
            dataset_id=dataset.dataset_id,
            parent=parent,
            schema_version=header.schema_version,
            policy_id=policy_id,
            ledger_position=ledger_position,
            rows=header.rows,
            header=header.values(),
            file=file,
            file_sha256=file_sha256,
            code_version=__version__,
            run_id=run_id,
            actor=actor,
            note=note,
            created_at=now_text(),
        )
    )
    return find(connection, header.snapshot_id)


def policy_of(connection: sa.Connection, snapshot: Snapshot) -> RecordedPolicy:
    """The policy that held when a snapshot was made."""
    dataset = get_dataset(connection, snapshot.dataset)
    return next(p for p in policy_history(connection, dataset) if p.policy_id == snapshot.policy_id)


def _snapshot(row: Any) -> Snapshot:
    return Snapshot(
        snapshot_id=row.snapshot_id,
        dataset=row.dataset,
        parent=row.parent,
        policy_id=row.policy_id,
        ledger_position=row.ledger_position,
        header=Header.from_values(row.header),
        file=row.file,
        file_sha256=row.file_sha256,
        code_version=row.code_version,
        run_id=row.run_id,
        actor=row.actor,
        note=row.note,
        created_at=row.created_at,
        removed_at=row.removed_at,
    )
