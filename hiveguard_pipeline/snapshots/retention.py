"""How many snapshots keep their files: the newest ones, and those that an export still names.

Removal takes the file and says when in the row, which stays: what a snapshot was is known for good.
"""

import json

from hiveguard_pipeline.snapshots.files import SnapshotFolder
from hiveguard_pipeline.snapshots.records import list_snapshots
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import lock_dataset, now_text


def keep_newest(
    database: Database,
    dataset_name: str,
    folder: SnapshotFolder,
    kept: int,
    export_root: str | None,
    *,
    always: str,
) -> list[str]:
    """Remove the files of all but the newest `kept` snapshots of a dataset (0: none); returns their ids.

    `always` stays, and so do snapshots that the manifest of an export below export_root names.
    """
    if not kept:
        return []
    with database.read() as connection:
        standing = [found.snapshot_id for found in list_snapshots(connection, dataset_name, removed=False)]
    surplus = set(standing[kept:]) - {always}
    if not surplus:
        return []
    removed = sorted(surplus - (named_by_exports(export_root, dataset_name) if export_root else set()))
    with database.write() as connection:
        lock_dataset(connection, dataset_name)
        for found in list_snapshots(connection, dataset_name, removed=False):
            if found.snapshot_id in removed:
                folder.remove(found.file)
                connection.execute(
                    t.snapshots.update()
                    .where(t.snapshots.c.snapshot_id == found.snapshot_id)
                    .values(removed_at=now_text())
                )
    return removed


def named_by_exports(export_root: str, dataset_name: str) -> set[str]:
    """The ids of the snapshots that manifests of a dataset's exports name."""
    import fsspec

    fs, path = fsspec.core.url_to_fs(export_root)
    named = set()
    for manifest in fs.glob(f"{path.rstrip('/')}/{dataset_name}/*/manifest.json"):
        with fs.open(manifest, "rb") as stream:
            named.add(str(json.load(stream).get("snapshot_id")))
    return named
