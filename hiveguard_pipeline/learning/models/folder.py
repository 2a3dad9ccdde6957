"""Where model files lie: <root>/<dataset>/<sha256><ending>, under any fsspec URL.

The name is the hash of the content, and what is read back is hashed again: a file that was changed, or put in
the place of another, is not loaded.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError


class ModelFolder:
    """The model files of all datasets. Raises BadInputError for a root that cannot be used."""

    def __init__(self, root: str) -> None:
        import fsspec

        try:
            self._fs, path = fsspec.core.url_to_fs(root)
        except (ImportError, ValueError) as error:
            raise BadInputError(f"HIVEGUARD_MODEL_ROOT cannot be used: {error}") from None
        self._root = path.rstrip("/")
        protocol = self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        self._local = "file" in protocol

    def shown(self, name: str) -> str:
        """Where a file lies, as a person finds it."""
        path = f"{self._root}/{name}"
        return path if self._local else str(self._fs.unstrip_protocol(path))

    def put(self, dataset: str, data: bytes, ending: str) -> tuple[str, str]:
        """Write a file, whole or not at all; returns its name below the root and its sha256."""
        sha256 = hashlib.sha256(data).hexdigest()
        name = f"{dataset}/{sha256}{ending}"
        try:
            if self._local:
                _write_whole(Path(f"{self._root}/{name}"), data)
            else:
                self._fs.makedirs(f"{self._root}/{dataset}", exist_ok=True)
                self._fs.pipe_file(f"{self._root}/{name}", data)
        except OSError as error:
            raise BadInputError(f"{self.shown(name)} cannot be written: {error.strerror or error}") from None
        return name, sha256

    def read(self, name: str, sha256: str) -> bytes:
        """The bytes of a file; raises BadInputError where it is gone or not what was written."""
        try:
            data: bytes = self._fs.cat_file(f"{self._root}/{name}")
        except FileNotFoundError:
            raise BadInputError(
                f"the model file {self.shown(name)} is gone: HIVEGUARD_MODEL_ROOT names another place, or it"
                " was removed"
            ) from None
        except OSError as error:
            raise BadInputError(f"{self.shown(name)} cannot be read: {error.strerror or error}") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise BadInputError(
                f"the model file {self.shown(name)} was changed since it was recorded; it is not loaded"
            )
        return data

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        with suppress(OSError):
            self._fs.rm_file(f"{self._root}/{name}")


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".unfinished-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        mask: Any = os.umask(0o022)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
