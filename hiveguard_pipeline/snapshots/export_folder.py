"""The folder of a dataset's training exports: files, manifests, latest.json, and how many are kept."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.exports.files import replacing

LATEST = "latest.json"
MANIFEST = "manifest.json"


def latest_export(root: str, dataset_name: str) -> dict[str, Any] | None:
    """What latest.json says, None if there is no export yet."""
    return ExportFolder(root, dataset_name).read_json(LATEST)


class Hashed:
    """A stream that knows the hash and size of what went through it."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        """Pass bytes on."""
        view = memoryview(data).cast("B")
        self.hash.update(view)
        self.size += len(view)
        self._stream.write(view)
        return len(view)

    def writable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is not."""
        return False

    def seekable(self) -> bool:
        """It is not."""
        return False

    def tell(self) -> int:
        """How many bytes went through."""
        return self.size

    def flush(self) -> None:
        """Nothing is held back."""
        return


class ExportFolder:
    """The folder of a dataset's exports, on this machine or on any store that fsspec reaches."""

    def __init__(self, root: str, dataset_name: str) -> None:
        import fsspec

        try:
            self._fs, path = fsspec.core.url_to_fs(root)
        except (ImportError, ValueError) as error:
            raise BadInputError(f"HIVEGUARD_EXPORT_ROOT cannot be used: {error}") from None
        self._path = f"{path.rstrip('/')}/{dataset_name}"
        self._local = "file" in (
            self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        )

    def shown(self, name: str) -> str:
        """Where an entry lies, as a person finds it."""
        return (
            f"{self._path}/{name}" if self._local else str(self._fs.unstrip_protocol(f"{self._path}/{name}"))
        )

    def open(self, name: str) -> Any:
        """A file for writing; on this machine it appears when it is whole."""
        path = f"{self._path}/{name}"
        if self._local:
            return replacing(Path(path))
        try:
            self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            return self._fs.open(path, "wb")
        except OSError as error:
            raise BadInputError(f"{self.shown(name)} cannot be written: {error}") from None

    def put(self, made: Path, name: str) -> None:
        """A copy of a file of this machine under a name."""
        with made.open("rb") as source, self.open(name) as stream:
            shutil.copyfileobj(source, stream, 1 << 20)

    def write_json(self, name: str, content: dict[str, Any]) -> str:
        """Write an object; returns the hash of the file."""
        data = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
        with self.open(name) as stream:
            stream.write(data)
        return hashlib.sha256(data).hexdigest()

    def read_json(self, name: str) -> dict[str, Any] | None:
        """An object that was written, None where there is none."""
        try:
            with self._fs.open(f"{self._path}/{name}", "rb") as stream:
                content = json.load(stream)
        except FileNotFoundError:
            return None
        return dict(content)

    def remove(self, export_id: str) -> None:
        """Take an export away."""
        path = f"{self._path}/{export_id}"
        if self._fs.exists(path):
            self._fs.rm(path, recursive=True)

    def keep_newest(self, kept: int, always: str) -> None:
        """Remove all but the newest exports; never the one that latest.json names."""
        found = sorted(
            entry["name"].rstrip("/").rsplit("/", 1)[-1]
            for entry in self._fs.ls(self._path, detail=True)
            if entry["type"] == "directory"
        )
        for export_id in found[:-kept]:
            if export_id != always:
                self.remove(export_id)
