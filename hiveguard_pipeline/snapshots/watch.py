"""Whether the labels of a dataset's latest export still hold, and where ledger and votes stood then."""

from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.snapshots.drift import Drifted, Since, counts, drift_of
from hiveguard_pipeline.snapshots.export_folder import latest_export
from hiveguard_pipeline.snapshots.records import find
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, progress_of


@dataclass(frozen=True, slots=True)
class Watched:
    """The latest export of a dataset, and those of its labels that no longer hold."""

    export_id: str
    snapshot_id: str
    rows: int
    drifted: list[Drifted]

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind, every kind named."""
        return counts(self.drifted)


def look(
    database: Database, dataset_name: str, export_root: str, snapshot_root: str, since: Since | None = None
) -> Watched | None:
    """The latest export; None where there is none, or one from before there were snapshots.

    since: only what drifted by something that came behind that place.
    """
    latest = latest_export(export_root, dataset_name)
    if latest is None or "snapshot_id" not in latest:
        return None
    with database.read() as connection:
        snapshot = find(connection, str(latest["snapshot_id"]))
    if snapshot.dataset != dataset_name:
        raise BadInputError(f"latest.json of {dataset_name} names a snapshot of {snapshot.dataset}")
    drifted = drift_of(database, snapshot_root, snapshot, since)
    return Watched(str(latest["export_id"]), snapshot.snapshot_id, snapshot.rows, drifted)


def position(connection: sa.Connection, dataset: Dataset) -> Since:
    """Where a dataset's ledger and the votes of all stand: two looks at the end of an index."""
    newest = connection.execute(sa.text("SELECT coalesce(max(vote_id), 0) FROM votes")).scalar_one()
    return Since(progress_of(connection, dataset).ledger_position, int(newest))
