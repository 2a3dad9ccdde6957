"""The files of snapshots: <root>/<dataset>/<snapshot id>.parquet, under any fsspec URL.

A file is written beside its place (for other stores: on this machine) and put there when it is whole.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from hiveguard_pipeline.errors import BadInputError

HEADER_KEY = "hiveguard_snapshot"
"""The key of a file's own metadata under which it carries its header."""

_CHUNK = 1 << 20
_UNFINISHED = ".unfinished-"
_ABANDONED_SECONDS = 86_400
"""A file that was begun so long ago is of a process that was killed."""


class SnapshotFolder:
    """Where the snapshots of all datasets lie. Raises BadInputError for a root that cannot be used."""

    def __init__(self, root: str) -> None:
        import fsspec

        try:
            self._fs, path = fsspec.core.url_to_fs(root)
        except (ImportError, ValueError) as error:
            raise BadInputError(f"HIVEGUARD_SNAPSHOT_ROOT cannot be used: {error}") from None
        self._root = path.rstrip("/")
        protocol = self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        self._local = "file" in protocol

    def shown(self, name: str) -> str:
        """Where a file lies, as a person finds it."""
        path = f"{self._root}/{name}"
        return path if self._local else str(self._fs.unstrip_protocol(path))

    @contextmanager
    def beginning(self, dataset: str) -> Iterator[Path]:
        """A path on this machine for a file that is being made; gone afterwards, unless put in its place."""
        try:
            folder = None
            if self._local:
                folder = Path(self._root) / dataset
                folder.mkdir(parents=True, exist_ok=True)
                _clear_abandoned(folder)
            handle, name = tempfile.mkstemp(prefix=_UNFINISHED, suffix=".parquet", dir=folder)
            os.close(handle)
        except OSError as error:
            raise BadInputError(f"{self.shown(dataset)} cannot be written: {error.strerror}") from None
        try:
            yield Path(name)
        except OSError as error:
            raise BadInputError(
                f"{self.shown(dataset)} cannot be written: {error.strerror or error}"
            ) from None
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)

    def put(self, made: Path, name: str) -> None:
        """Put a finished file in its place, whole, over what may be there."""
        if not self._local:
            self._fs.makedirs(f"{self._root}/{name}".rsplit("/", 1)[0], exist_ok=True)
            self._fs.put_file(str(made), f"{self._root}/{name}")
            return
        with made.open("rb") as stream:
            os.fsync(stream.fileno())
        mask = os.umask(0o022)
        os.umask(mask)
        os.chmod(made, 0o666 & ~mask)
        os.replace(made, f"{self._root}/{name}")

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        return bool(self._fs.exists(f"{self._root}/{name}"))

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{name}")

    def sha256(self, name: str) -> str:
        """The hash of a file's bytes."""
        with self._opened(name) as stream:
            return sha256_of(stream)

    def refuse_changed(self, name: str, sha256: str) -> None:
        """Raise BadInputError unless the file's bytes are those that were recorded."""
        if self.sha256(name) != sha256:
            raise BadInputError(
                f"the file {self.shown(name)} was changed since its snapshot was made: `hiveguard snapshots"
                " verify` says how; take it away, and `hiveguard snapshots create` writes it again while the"
                " labels are the same"
            )

    @contextmanager
    def reading(self, name: str) -> Iterator[Any]:
        """A file as pyarrow.parquet reads it; raises BadInputError where it is gone or no Parquet."""
        import pyarrow.parquet as pq

        with self._opened(name) as stream:
            try:
                file = pq.ParquetFile(stream, pre_buffer=False)
            except (pa.ArrowInvalid, OSError) as error:
                raise BadInputError(
                    f"{self.shown(name)} is no Parquet file: {_one_line(error)}; `hiveguard snapshots verify`"
                    " tells whether it was changed"
                ) from None
            yield file

    def columns(self, name: str, columns: Sequence[str]) -> pa.Table:
        """Some columns of a file, whole."""
        with self.reading(name) as file:
            return read(file, name, columns)

    def same_columns(self, one: str, other: str) -> set[str]:
        """The columns that two files of equally many rows hold as the same bytes: none of their rows differs.

        A column that is not among them may be the same all the same, in other pages.
        """
        with self._opened(one) as first, self._opened(other) as second:
            places = [_places(stream) for stream in (first, second)]
            return {
                name
                for name, chunks in places[0].items()
                if len(chunks) == len(places[1].get(name, []))
                and all(
                    own[1:] == theirs[1:] and _piece(first, own) == _piece(second, theirs)
                    for own, theirs in zip(chunks, places[1][name], strict=True)
                )
            }

    @contextmanager
    def _opened(self, name: str) -> Iterator[Any]:
        try:
            stream = self._fs.open(f"{self._root}/{name}", "rb")
        except FileNotFoundError:
            raise BadInputError(
                f"the file {self.shown(name)} is gone: HIVEGUARD_SNAPSHOT_ROOT names another place, or it was"
                " removed; `hiveguard snapshots create` writes it again while the labels are the same"
            ) from None
        except OSError as error:
            raise BadInputError(f"{self.shown(name)} cannot be read: {error.strerror or error}") from None
        with stream:
            yield stream


def read(file: Any, name: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of an opened file, whole; raises BadInputError where its bytes are damaged."""
    try:
        return file.read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise BadInputError(f"{name} is damaged: {_one_line(error)}") from None


def batches(file: Any, name: str, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Some columns of an opened file, some rows at a time."""
    try:
        yield from file.iter_batches(batch_size=rows, columns=list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise BadInputError(f"{name} is damaged: {_one_line(error)}") from None


def _places(stream: Any) -> dict[str, list[tuple[int, int, int, str]]]:
    """Of each column, by row group: offset and length of its bytes, its rows, how they are written."""
    import pyarrow.parquet as pq

    found: dict[str, list[tuple[int, int, int, str]]] = {}
    metadata = pq.ParquetFile(stream, pre_buffer=False).metadata
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(number)
            offset = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
            written = f"{chunk.physical_type} {chunk.compression} {chunk.encodings}"
            place = (offset, chunk.total_compressed_size, chunk.num_values, written)
            found.setdefault(chunk.path_in_schema, []).append(place)
    return found


def _piece(stream: Any, place: tuple[int, int, int, str]) -> bytes:
    stream.seek(place[0])
    return bytes(stream.read(place[1]))


def sha256_of(stream: Any) -> str:
    """The hash of what is left in a stream."""
    found = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        found.update(chunk)
    return found.hexdigest()


def _clear_abandoned(folder: Path) -> None:
    for path in folder.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
