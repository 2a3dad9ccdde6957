"""Make a snapshot: rows into a file while they are hashed, the file into its place, then the database's row.

A process that ends between the two leaves a file that nothing names; the next snapshot of the same content
puts its own in that place. The same content again gives the snapshot that is there.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.snapshots.content import REPEATED, ROWS, WITHOUT_SPLIT, RowsHash
from hiveguard_pipeline.snapshots.files import HEADER_KEY, SnapshotFolder, sha256_of
from hiveguard_pipeline.snapshots.header import Header, Selection, Split
from hiveguard_pipeline.snapshots.records import Snapshot, find, record
from hiveguard_pipeline.snapshots.retention import keep_newest
from hiveguard_pipeline.snapshots.rows import database_rows, group_keys
from hiveguard_pipeline.snapshots.split import (
    group_hashes,
    in_train,
    limit_of_rank,
    limit_of_share,
    split_names,
)
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, current_policy, get_dataset, lock_dataset, progress_of

Pages = Callable[[], Iterator[pa.RecordBatch]]
"""The rows of a snapshot, from the first one on each time they are asked for."""

GRADUATED = Selection()


@dataclass(frozen=True, slots=True)
class Made:
    """A snapshot, and whether it is new: the same content gives the one that was there."""

    snapshot: Snapshot
    is_new: bool


def create_snapshot(
    database: Database,
    dataset_name: str,
    root: str,
    *,
    selection: Selection = GRADUATED,
    split: str | None = None,
    note: str = "",
    actor: str = "hiveguard",
    run_id: str | None = None,
    kept: int = 0,
    export_root: str | None = None,
    recount: str | None = None,
) -> Made:
    """Make, or find, the snapshot of a dataset's labels as they stand now.

    root: where snapshots lie. split: hash or exact; None: as the dataset's export settings say. recount: a
    recount's output to take the labels from. kept: how many snapshots keep their files (0: all), besides
    those that exports below export_root name. Raises BadInputError, and nothing is changed, where a place
    cannot be written.
    """
    folder = SnapshotFolder(root)
    with folder.beginning(dataset_name) as path:
        with database.read() as connection:
            dataset = get_dataset(connection, dataset_name)
            chosen = split_of(connection, dataset, split)
            policy_id = current_policy(connection, dataset).policy_id
            position = progress_of(connection, dataset).ledger_position
            pages = _pages(connection, dataset, selection, recount)
            header = _write(path, dataset, selection, chosen, pages)
        with path.open("rb") as stream:
            file_sha256 = sha256_of(stream)
        with database.write() as connection:
            lock_dataset(connection, dataset_name)
            made = _put(connection, folder, path, header, file_sha256)
            if made is None:
                file = f"{dataset_name}/{header.snapshot_id}.parquet"
                folder.put(path, file)
                new = record(
                    connection,
                    dataset,
                    header,
                    policy_id=policy_id,
                    ledger_position=position,
                    file=file,
                    file_sha256=file_sha256,
                    run_id=run_id,
                    actor=actor,
                    note=note,
                )
                made = Made(new, is_new=True)
    keep_newest(database, dataset_name, folder, kept, export_root, always=made.snapshot.snapshot_id)
    return made


def split_of(connection: sa.Connection, dataset: Dataset, method: str | None) -> Split:
    """How a dataset's rows are split: as its export settings say, but for a method that is named."""
    from hiveguard_pipeline.snapshots.settings import export_settings

    settings = export_settings(connection, dataset)
    return Split(settings.salt, method or settings.split, settings.train_val_split)


def _pages(connection: sa.Connection, dataset: Dataset, selection: Selection, recount: str | None) -> Pages:
    if recount is None:
        return lambda: database_rows(connection, dataset, selection)
    from hiveguard_pipeline.snapshots.recounted import open_recount, recounted_rows

    result = open_recount(recount, dataset)
    return lambda: recounted_rows(connection, dataset, selection, result)


def _write(path: Path, dataset: Dataset, selection: Selection, split: Split, pages: Pages) -> Header:
    """Write the rows to a file that ends with their header; reading goes on beside the writing."""
    import pyarrow.parquet as pq

    limit = limit_of_share(split.share)
    if split.method == "exact":
        hashes = [group_hashes(split.salt, group_keys(page)) for page in pages()]
        limit = limit_of_rank(np.concatenate(hashes) if hashes else np.empty(0, np.uint64), split.share)
    hashed, licences = RowsHash(), set[str]()
    with (
        pq.ParquetWriter(
            path, ROWS, compression="zstd", use_dictionary=REPEATED, compression_level=1
        ) as writer,
        ThreadPoolExecutor(1) as beside,
    ):

        def take(page: pa.RecordBatch) -> None:
            train = in_train(group_hashes(split.salt, group_keys(page)), limit)
            whole = _with_split(page, split_names(train))
            hashed.add(whole)
            licences.update(found for found in pc.unique(page.column("licence")).to_pylist() if found)
            writer.write_batch(whole)

        waiting: Future[None] | None = None
        for page in pages():
            if waiting is not None:
                waiting.result()
            waiting = beside.submit(take, page)
        if waiting is not None:
            waiting.result()
        header = Header(
            dataset=dataset.name,
            task_type=dataset.task_type,
            classes=dataset.classes,
            schema_version=dataset.schema_version,
            selection=selection,
            split=split,
            licences=tuple(sorted(licences)),
            rows=hashed.rows,
            rows_sha256=hashed.hexdigest(),
        )
        writer.add_key_value_metadata({HEADER_KEY: header.text()})
    return header


def _with_split(page: pa.RecordBatch, split: Any) -> pa.RecordBatch:
    columns = dict(zip(WITHOUT_SPLIT.names, page.columns, strict=True)) | {"split": split}
    return pa.record_batch([columns[name] for name in ROWS.names], schema=ROWS)


def _put(
    connection: sa.Connection, folder: SnapshotFolder, path: Path, header: Header, file_sha256: str
) -> Made | None:
    """The snapshot of this content that is there; a file that was lost or changed is put in place again."""
    known = connection.execute(
        sa.select(t.snapshots.c.file, t.snapshots.c.file_sha256, t.snapshots.c.removed_at).where(
            t.snapshots.c.snapshot_id == header.snapshot_id
        )
    ).first()
    if known is None:
        return None
    if (
        known.removed_at is not None
        or not folder.exists(known.file)
        or folder.sha256(known.file) != known.file_sha256
    ):
        folder.put(path, known.file)
        connection.execute(
            t.snapshots.update()
            .where(t.snapshots.c.snapshot_id == header.snapshot_id)
            .values(file_sha256=file_sha256, removed_at=sa.null())
        )
    return Made(find(connection, header.snapshot_id), is_new=False)
