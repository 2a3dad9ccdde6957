"""The result of a recount as a folder: labels/, ledger/ and states/ in Parquet, and manifest.json.

The manifest is written last: a folder without one is no result. A folder that holds anything already is
refused, so that no result is ever half one recount and half another.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from hiveguard_pipeline import __version__
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.recount.fold import TABLES, Recounted, Stamp
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.datasets import now_text

MANIFEST = "manifest.json"


@dataclass(slots=True)
class Counts:
    """What a recount came to: rows of each table, items by state, votes, and the newest of them."""

    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    states: Counter[str] = field(default_factory=Counter)
    votes: int = 0
    newest_vote_id: int = 0

    def add(self, part: Recounted) -> None:
        """Count the rows of some items."""
        for name in TABLES:
            self.rows[name] += getattr(part, name).num_rows
        counted = part.states.column("state").value_counts()
        for entry in counted.to_pylist():
            self.states[entry["values"]] += entry["counts"]
        self.votes += pc.sum(part.states.column("votes")).as_py() or 0
        self.newest_vote_id = max(
            self.newest_vote_id, pc.max(part.states.column("newest_vote_id")).as_py() or 0
        )


@dataclass(frozen=True, slots=True)
class Source:
    """Which votes a recount read. dataset, horizon and ledger_position are None where none was named.

    horizon: every vote of the dataset up to this one was there to be read; of a file, its newest vote.
    ledger_position: where the dataset's ledger stood just before the votes were read. votes: how many
    there are, where that is known beforehand. retractions: how far the dataset's exclusions and
    withdrawals had come then; None where the votes are those of a file. schema_version: under which classes
    answers were read; None without a dataset.
    """

    shown: str
    dataset: str | None = None
    horizon: int | None = None
    ledger_position: int | None = None
    votes: int | None = None
    retractions: int | None = None
    schema_version: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a result is: manifest.json, key by key."""

    engine: str
    dataset: str | None
    source: str
    horizon: int
    ledger_position: int | None
    policy_id: int | None
    policy: dict[str, str]
    votes: int
    rows: dict[str, int]
    states: dict[str, int]
    run_id: str
    created_at: str
    hiveguard_version: str
    retractions: int | None = None
    schema_version: int | None = None

    @classmethod
    def of(cls, engine: str, source: Source, stamp: Stamp, counts: Counts) -> "Manifest":
        """The manifest of a recount that is done."""
        return cls(
            engine=engine,
            dataset=source.dataset,
            source=source.shown,
            horizon=counts.newest_vote_id if source.horizon is None else source.horizon,
            ledger_position=source.ledger_position,
            policy_id=stamp.policy_id,
            policy=stamp.policy.settings(),
            votes=counts.votes,
            rows=counts.rows,
            states=dict(sorted(counts.states.items())),
            run_id=stamp.run_id,
            created_at=now_text(),
            hiveguard_version=__version__,
            retractions=source.retractions,
            schema_version=source.schema_version,
        )

    def text(self) -> str:
        """As it is written."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @property
    def policy_used(self) -> Policy:
        """The policy that the recount was made under."""
        return Policy().replaced(self.policy)


class Folder(Protocol):
    """A folder that a result goes to."""

    shown: str

    def holds_anything(self) -> bool:
        """Whether there is something in it, or a file in its place."""

    def write_text(self, name: str, text: str) -> None:
        """Write a small file."""

    def remove(self) -> None:
        """Remove it and all that it holds."""


class FsspecFolder:
    """A folder by path or fsspec URL. Raises BadInputError for a URL that names no file system here."""

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self.filesystem, path = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise BadInputError(f"{url} cannot be opened: {error}") from None
        self.path = path.rstrip("/")
        self.shown = url

    def holds_anything(self) -> bool:
        """Whether there is something in it, or a file in its place."""
        if not self.filesystem.exists(self.path):
            return False
        return bool(self.filesystem.isfile(self.path) or self.filesystem.ls(self.path, detail=False))

    def write_text(self, name: str, text: str) -> None:
        """Write a small file."""
        self.filesystem.makedirs(self.path, exist_ok=True)
        with self.filesystem.open(f"{self.path}/{name}", "wb") as stream:
            stream.write(text.encode())

    def remove(self) -> None:
        """Remove it and all that it holds."""
        if self.filesystem.exists(self.path):
            self.filesystem.rm(self.path, recursive=True)


def refuse_if_taken(folder: Folder) -> None:
    """Raise BadInputError if a folder holds anything already."""
    if folder.holds_anything():
        raise BadInputError(
            f"{folder.shown} holds something already: name a folder that is new or empty"
            f" (one without {MANIFEST} is what an unfinished recount left; it can be removed)"
        )


def write_parts(folder: FsspecFolder, parts: Iterable[Recounted]) -> Counts:
    """Write the three tables, one Parquet file each, in the order the rows come; leaves out the manifest."""
    import pyarrow.parquet as pq

    counts = Counts()
    with ExitStack() as stack:
        writers = {}
        for name, schema in TABLES.items():
            folder.filesystem.makedirs(f"{folder.path}/{name}", exist_ok=True)
            stream = stack.enter_context(
                folder.filesystem.open(f"{folder.path}/{name}/part-00000.parquet", "wb")
            )
            writers[name] = stack.enter_context(pq.ParquetWriter(stream, schema, compression="zstd"))
        for part in parts:
            for name, writer in writers.items():
                writer.write_batch(getattr(part, name))
            counts.add(part)
    return counts


class Result:
    """A finished result. Raises BadInputError for a folder that is none."""

    def __init__(self, url: str) -> None:
        # Hadoop writes s3a:// for what everybody else calls s3://.
        self._folder = FsspecFolder(url.replace("s3a://", "s3://", 1))
        self.shown = url
        try:
            with self._folder.filesystem.open(f"{self._folder.path}/{MANIFEST}", "rb") as stream:
                self.manifest = Manifest(**json.loads(stream.read()))
        except FileNotFoundError:
            raise BadInputError(f"{url} holds no {MANIFEST}: it is no finished recount") from None
        except (OSError, ValueError, TypeError) as error:
            raise BadInputError(f"{url}/{MANIFEST} cannot be read: {error}") from None

    def batches(self, table: str, columns: Iterable[str]) -> Iterator[pa.RecordBatch]:
        """Some columns of one of TABLES, streamed; raises BadInputError if rows are missing."""
        import pyarrow.dataset as pads

        found = pads.dataset(
            f"{self._folder.path}/{table}", filesystem=self._folder.filesystem, format="parquet"
        )
        rows = 0
        # Else Arrow keeps what it has read of a file until the end of it.
        reading = pads.ParquetFragmentScanOptions(pre_buffer=False, use_buffered_stream=True)
        for batch in found.to_batches(
            columns=list(columns), batch_readahead=2, fragment_readahead=1, fragment_scan_options=reading
        ):
            rows += batch.num_rows
            yield batch
        if rows != self.manifest.rows[table]:
            raise BadInputError(
                f"{self.shown}/{table} holds {rows:,} rows, its manifest says {self.manifest.rows[table]:,}"
            )

    def table(self, name: str) -> Any:
        """One of TABLES as a whole, in one order whatever wrote it."""
        keys = [(key, "ascending") for key in ("item_id", "sequence") if key in TABLES[name].names]
        whole = pa.Table.from_batches(self.batches(name, TABLES[name].names))
        return whole.cast(TABLES[name]).sort_by(keys)
