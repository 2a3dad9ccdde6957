"""The engine of one machine: streams votes from Parquet or the database, in memory that does not grow.

Votes of a file come in any order: they are spread over buckets of item_ids on disk, and a bucket is
sorted at a time. Out of the database they come in windows of whole items.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.recount.fold import VOTES, Recounted, Stamp, recount, recount_whole_items
from hiveguard_pipeline.recount.output import (
    MANIFEST,
    FsspecFolder,
    Manifest,
    Source,
    refuse_if_taken,
    write_parts,
)
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.tables import full_time

ITEMS_AT_ONCE = 50_000
VOTES_A_BUCKET = 1_000_000

Report = Callable[[int, int], None]
"""Called with what is done and what there is to do."""


def recount_here(parts: Iterator[Recounted], source: Source, stamp: Stamp, output: str) -> Manifest:
    """Write a result to a new folder (a path or fsspec URL). What an error left there is removed."""
    folder = FsspecFolder(output)
    refuse_if_taken(folder)
    try:
        manifest = Manifest.of("local", source, stamp, write_parts(folder, parts))
        folder.write_text(MANIFEST, manifest.text())
    except BaseException as error:
        folder.remove()
        if isinstance(error, OSError):
            raise BadInputError(f"{output} cannot be written: {error.strerror or error}") from None
        raise
    return manifest


def parts_of_database(
    database: Database, dataset: Dataset, horizon: int, stamp: Stamp, report: Report | None = None
) -> Iterator[Recounted]:
    """The recount of a dataset's votes up to a horizon, gold items left out, some items at a time."""
    for votes in votes_of_database(database, dataset, horizon, report):
        yield recount_whole_items(votes, stamp)


def store_votes(
    database: Database, dataset: Dataset, horizon: int, path: Path, report: Report | None = None
) -> None:
    """The votes of `parts_of_database` as one Parquet file, for an engine that cannot read this database."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(str(path), VOTES) as writer:
        for votes in votes_of_database(database, dataset, horizon, report):
            columns = [pc.cast(votes.column(field.name), field.type) for field in VOTES]
            writer.write_batch(pa.record_batch(columns, schema=VOTES))


def votes_of_database(
    database: Database, dataset: Dataset, horizon: int, report: Report | None = None
) -> Iterator[pa.RecordBatch]:
    """A dataset's votes up to a horizon in batches of whole items; item_id is dictionary-encoded.

    Votes of excluded solvers are left out.
    """
    names: dict[str, object] = {"dataset": dataset.dataset_id, "horizon": horizon}
    with database.read() as connection:
        only = counted(connection, dataset)
        count = int(
            connection.execute(
                sa.text("SELECT count(*) FROM items WHERE dataset_id = :dataset AND gold_label IS NULL"),
                {"dataset": dataset.dataset_id},
            ).scalar_one()
        )
        done, after = 0, "00000000-0000-0000-0000-000000000000"
        while done < count:
            window = names | {"after": after, "items": ITEMS_AT_ONCE}
            items = read_columns(connection, f"SELECT item_id {_WINDOW}", window, {"item_id": str})["item_id"]
            if not len(items):
                return
            votes = _votes_of(connection, items, window, only)
            if votes.num_rows:
                yield votes
            after = items[-1].as_py()
            done += len(items)
            if report:
                report(done, count)


_WINDOW = (
    "FROM items WHERE dataset_id = :dataset AND gold_label IS NULL AND item_id > :after"
    " ORDER BY item_id LIMIT :items"
)


def _votes_of(connection: sa.Connection, items: Any, window: dict[str, object], only: str) -> pa.RecordBatch:
    sqlite = connection.dialect.name == "sqlite"
    # PostgreSQL's times come as whole microseconds, which are exact; SQLite's are text already.
    time = full_time(connection, "v.created_at") if sqlite else _MICROSECONDS
    numbered = f"(SELECT item_id, row_number() OVER (ORDER BY item_id) - 1 AS n {_WINDOW})"
    joined = "CROSS JOIN votes v ON" if sqlite else "JOIN votes v ON"
    votes = read_columns(
        connection,
        f"SELECT w.n, v.vote_id, v.answer, {time} AS created_at FROM {numbered} w {joined}"
        f" v.item_id = w.item_id WHERE v.vote_id <= :horizon{only} ORDER BY w.n, v.vote_id",
        window,
        {"n": int, "vote_id": int, "answer": str, "created_at": str if sqlite else int},
    )
    coded = pa.DictionaryArray.from_arrays(pa.array(votes["n"], type=pa.int32()), items)
    created = pc.cast(pa.array(votes["created_at"]), VOTES.field("created_at").type)
    return pa.record_batch(
        [coded, pa.array(votes["vote_id"]), votes["answer"], created], names=list(VOTES.names)
    )


_MICROSECONDS = "CAST(extract(epoch FROM v.created_at) * 1000000 AS bigint)"


def parts_of_files(votes: str, stamp: Stamp, report: Report | None = None) -> Iterator[Recounted]:
    """The recount of the votes in a Parquet file or folder (a path or fsspec URL), in any order."""
    found = _Files(votes)
    buckets = -(-found.rows // VOTES_A_BUCKET)
    if buckets <= 1:
        yield from recount(_sorted(list(found.batches())), stamp)
        return
    with tempfile.TemporaryDirectory(prefix="hiveguard-recount-") as scratch:
        paths = _spread(found, buckets, Path(scratch))
        for number, path in enumerate(paths, start=1):
            with pa.OSFile(str(path)) as stored:
                yield from recount(_sorted(list(pa.ipc.open_stream(stored))), stamp)
            path.unlink()
            if report:
                report(number, len(paths))


class _Files:
    """Votes in Parquet, as columns of VOTES; rows with a gold_label or of excluded solvers are left out."""

    def __init__(self, url: str) -> None:
        import pyarrow.dataset as pads

        self.url = url
        folder = FsspecFolder(url)
        try:
            self._dataset = pads.dataset(folder.path, filesystem=folder.filesystem, format="parquet")
        except (OSError, pa.ArrowInvalid) as error:
            raise BadInputError(f"{url} cannot be read as Parquet: {_first_line(error)}") from None
        names = self._dataset.schema.names
        if missing := [name for name in VOTES.names if name not in names]:
            raise BadInputError(
                f"{url} has no column {missing[0]}; votes have {', '.join(VOTES.names)}"
                " (`hiveguard votes export --fmt parquet` writes them)"
            )
        # Else Arrow keeps what it has read of a file until the end of it.
        self._reading = pads.ParquetFragmentScanOptions(pre_buffer=False, use_buffered_stream=True)
        self._counted = pc.is_null(pc.field("gold_label")) if "gold_label" in names else pc.scalar(True)
        if "excluded" in names:
            self._counted &= ~pc.coalesce(pc.field("excluded").cast(pa.bool_()), pc.scalar(False))
        self.rows = self._dataset.count_rows()

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        wanted = columns or VOTES.names
        for batch in self._dataset.to_batches(
            columns=wanted,
            filter=self._counted,
            batch_readahead=2,
            fragment_readahead=1,
            fragment_scan_options=self._reading,
        ):
            arrays = [self._cast(name, batch.column(name)) for name in wanted]
            yield pa.record_batch(arrays, names=list(wanted))

    def _cast(self, name: str, column: Any) -> Any:
        kind = VOTES.field(name).type
        if pa.types.is_timestamp(column.type) and column.type.tz is None:
            column = pc.assume_timezone(column, "UTC")
        try:
            return pc.cast(column, kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise BadInputError(f"{self.url}: {name} is no {kind}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _sorted(batches: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Votes by item_id, then vote_id."""
    if not batches:
        return
    votes = pa.Table.from_batches(batches).combine_chunks()
    if not votes.num_rows:
        return
    for name in ("item_id", "vote_id"):
        if votes[name].null_count:
            raise BadInputError(f"the votes hold rows without {name}")
    # Sorting the few different items and ranking by them takes a tenth of the time of sorting all texts.
    items = votes["item_id"].combine_chunks().dictionary_encode()
    order = pc.sort_indices(items.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    by_item = np.lexsort((votes["vote_id"].to_numpy(), rank[items.indices.to_numpy()]))
    yield from votes.take(pa.array(by_item)).combine_chunks().to_batches()


def _spread(found: _Files, buckets: int, folder: Path) -> list[Path]:
    """Spread votes over files by ranges of item_id, so that each file holds whole items and about as many."""
    sample = np.sort(np.concatenate([_prefix(batch.column(0))[::64] for batch in found.batches(["item_id"])]))
    splits = sample[np.arange(1, buckets) * len(sample) // buckets]
    paths = [folder / f"{number}.arrow" for number in range(buckets)]
    writers = [pa.ipc.new_stream(str(path), VOTES) for path in paths]
    try:
        for batch in found.batches():
            bucket = np.searchsorted(splits, _prefix(batch.column("item_id")), side="right")
            order = np.argsort(bucket, kind="stable")
            ends = np.searchsorted(bucket[order], np.arange(buckets + 1))
            ordered = batch.take(pa.array(order))
            for number in np.flatnonzero(np.diff(ends)).tolist():
                start = int(ends[number])
                writers[number].write_batch(ordered.slice(start, int(ends[number + 1]) - start))
    finally:
        for writer in writers:
            writer.close()
    return paths


def _prefix(texts: Any) -> Any:
    """The first eight bytes of each text as a number that orders as they do; uint64."""
    if texts.null_count:
        raise BadInputError("the votes hold rows without item_id")
    _, offsets, data = texts.buffers()
    begins = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    raw = np.frombuffer(data, dtype=np.uint8) if data else np.empty(0, dtype=np.uint8)
    place = begins[:-1, None] + np.arange(8)
    inside = place < begins[1:, None]
    head = np.where(inside, raw[np.where(inside, place, 0)] if len(raw) else 0, 0).astype(np.uint8)
    return np.ascontiguousarray(head).view(">u8").ravel().astype(np.uint64)
