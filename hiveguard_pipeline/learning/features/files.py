"""Files of items: read only below one root, whole, and only up to a size.

A data_ref is either relative to the root or begins with it. What would lie elsewhere is not read: whoever
imports items names files, and must not by that name any file of the machine, or any address.
"""

import os
import posixpath
from pathlib import Path

from hiveguard_pipeline.errors import BadInputError

OUTSIDE = "outside_image_dir"
MISSING = "missing_file"
UNREADABLE = "unreadable_file"
TOO_LARGE = "file_too_large"


class ItemFiles:
    """The files below a root: a folder, or any fsspec URL. Raises BadInputError for a root of no use."""

    def __init__(self, root: str) -> None:
        import fsspec

        try:
            self._fs, path = fsspec.core.url_to_fs(root)
        except (ImportError, ValueError) as error:
            raise BadInputError(f"image_dir cannot be used: {error}") from None
        protocol = self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        self._local = "file" in protocol
        self._root = path.rstrip("/") or "/"
        self._written = root.rstrip("/")

    def read(self, data_ref: str, most: int) -> bytes | str:
        """The bytes of an item's file, or the reason why there are none. most: bytes that are read."""
        path = self._path(data_ref)
        if path is None:
            return OUTSIDE
        if self._local and Path(path).exists() and not Path(path).is_file():
            return UNREADABLE  # a pipe would never end
        try:
            # One byte more than allowed tells a file that is too large from one that just fits.
            with self._fs.open(path, "rb") as stream:
                data: bytes = stream.read(most + 1)
        except FileNotFoundError:
            return MISSING
        except Exception:  # noqa: BLE001 - every store has errors of its own, and one file stops nothing
            return UNREADABLE
        return TOO_LARGE if len(data) > most else data

    def _path(self, data_ref: str) -> str | None:
        """Where the file lies, as the file system names it; None for one that is not below the root."""
        ref = data_ref
        for start in (self._written, self._root):
            if ref.startswith(start + "/"):
                ref = ref[len(start) + 1 :]
                break
        else:
            if "://" in ref or ref.startswith(("/", "\\")) or "::" in ref:
                return None
        if "\0" in ref or not ref or ".." in ref.replace("\\", "/").split("/"):
            return None
        path = posixpath.join(self._root, ref)
        return path if not self._local or _is_below(self._root, path) else None


def _is_below(root: str, path: str) -> bool:
    """Whether a local path stays below its root when all links are followed."""
    real = os.path.realpath(root)
    return os.path.realpath(path).startswith(real.rstrip("/") + "/")
