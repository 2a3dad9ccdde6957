"""Names of items as paths below a folder: which are safe, and how files are made and found there.

Nothing outside the folder is written or read: names are checked, and links that lead out are not followed.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.model import Category

_DRIVE = re.compile(r"^[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LONGEST_NAME = 1024
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC


def checked_name(name: object, where: str) -> str:
    """A name that is a relative path with forward slashes, or BadInputError. where: file and place.

    Sub-directories, spaces and emoji are kept as they are; `.` and empty parts, `..`, absolute paths,
    drive letters, backslashes and control characters are refused.
    """
    if not isinstance(name, str) or not name:
        raise BadInputError(f"{where}: the file name is missing or is not text; give each item a name.")
    if name.startswith(("/", "~")) or _DRIVE.match(name):
        raise BadInputError(
            f"{where}: the file name {_shown(name)} is an absolute path; make it relative, or name its root "
            "with --rebase-paths."
        )
    if "\\" in name or _CONTROL.search(name):
        raise BadInputError(
            f"{where}: the file name {_shown(name)} holds a backslash or a control character; use / between "
            "folders, and plain characters."
        )
    if any(part in {"", ".", ".."} for part in name.split("/")):
        raise BadInputError(f"{where}: the file name {_shown(name)} holds an empty part, `.` or `..`.")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise BadInputError(
            f"{where}: the file name {_shown(name)} holds half a character (a lone surrogate)."
        ) from None
    if length > LONGEST_NAME:
        raise BadInputError(f"{where}: the file name {_shown(name)} is longer than {LONGEST_NAME} bytes.")
    return name


def relative_to_root(name: object, root: str | None, where: str) -> tuple[str, bool]:
    """A checked name, after its root was taken off where it is an absolute path, and whether it was."""
    if root is None or not isinstance(name, str) or not name.startswith("/"):
        return checked_name(name, where), False
    prefix = root.rstrip("/") + "/"
    if not name.startswith(prefix):
        raise BadInputError(f"{where}: the file name {_shown(name)} does not lie below {root}.")
    return checked_name(name[len(prefix) :], where), True


def under_root(name: str, root: str | None) -> str:
    """A relative name put below a root, where there is one."""
    return name if root is None else f"{root.rstrip('/')}/{name}"


def distinct_names(categories: list[Category]) -> list[str]:
    """A name for each class, no two alike: `cat`, `cat (2)`; for formats that know classes by name."""
    taken = {category.name for category in categories}
    seen: set[str] = set()
    names = []
    for category in categories:
        name, number = category.name, 1
        while name in seen or (number > 1 and name in taken):
            number += 1
            name = f"{category.name} ({number})"
        seen.add(name)
        names.append(name)
    return names


class OutputFolder:
    """A folder in which files are made by relative path, never one twice and never outside."""

    def __init__(self, root: Path) -> None:
        self.root = os.fspath(root)
        self._made: set[str] = {""}

    def create(self, relative: str, where: str) -> BinaryIO:
        """A new file, to be closed by the caller. where: the item it is for, as messages name it.

        Two names that the file system takes for one (case, look-alike letters) meet here: the second is
        refused.
        """
        return os.fdopen(self._open(relative, where), "wb")

    def write(self, relative: str, content: bytes, where: str) -> None:
        """A new file with this content; fewer system calls than `create` makes."""
        file = self._open(relative, where)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(file, rest) :]
        finally:
            os.close(file)

    def _open(self, relative: str, where: str) -> int:
        folder = relative.rpartition("/")[0]
        try:
            if folder not in self._made:
                os.makedirs(f"{self.root}/{folder}", exist_ok=True)
                self._made.add(folder)
            return os.open(f"{self.root}/{relative}", _NEW, 0o666)
        except FileExistsError:
            raise BadInputError(
                f"{where}: its file {_shown(relative)} is that of another item already; two items differ "
                "only in what this format or this disk leaves out (the suffix, capital letters, look-alike "
                "letters). Rename one."
            ) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise BadInputError(
                f"{where}: the file {_shown(relative)} cannot be made: {reason}. Rename the item."
            ) from None


def files_below(
    root: Path, suffixes: tuple[str, ...], sure: tuple[str, ...] = (), inside: Path | None = None
) -> Iterator[str]:
    """Relative paths of the files with one of these suffixes (lower case), in the order of their paths.

    Hidden files and folders are left out, and so are links that lead out of the folder, and folders
    that are links. sure: suffixes of files that may not be missed: what bears one and is no plain file,
    or a link out of the folder and out of `inside`, is refused with BadInputError.
    """
    real_root = os.path.realpath(root)
    real_inside = real_root if inside is None else os.path.realpath(inside)

    def walk(folder: str) -> Iterator[str]:
        with os.scandir(f"{real_root}/{folder}") as found:
            entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=_name)
        for entry in entries:
            relative = f"{folder}{entry.name}"
            suffix = PurePosixPath(entry.name).suffix.lower()
            # isfile: a link that leads in a circle is no error to it, but no file.
            if suffix in sure and not (os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()):
                raise not_plain(f"{root}/{relative}")
            if entry.is_dir(follow_symlinks=False):
                yield from walk(f"{relative}/")
            elif suffix in suffixes and entry.is_file():
                if entry.is_symlink():
                    path = f"{real_root}/{relative}"
                    if not is_inside(real_root, path) and (
                        suffix not in sure or not is_inside(real_inside, path)
                    ):
                        if suffix in sure:
                            raise leads_out(f"{root}/{relative}", inside or root)
                        continue
                yield relative

    yield from walk("")


def not_plain(path: str) -> BadInputError:
    """The error for what stands where a file is wanted."""
    return BadInputError(
        f"{path}: no plain file: a folder, a pipe, or a link that leads to none; take it away, or put the "
        "file in its place."
    )


def leads_out(path: str, root: str | Path) -> BadInputError:
    """The error for a link that is not followed."""
    return BadInputError(
        f"{path}: a link that leads out of {root}; it is not followed. Put the file itself in its place."
    )


def is_inside(root: str, path: str) -> bool:
    """Whether a path, with its links followed, lies below a root (both as the system names them)."""
    real = os.path.realpath(path)
    return real == root or real.startswith(root.rstrip("/") + "/")


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _shown(name: str) -> str:
    text = name if len(name) <= 120 else name[:117] + "..."
    return ascii(text) if _CONTROL.search(text) or not text.isprintable() else f"'{text}'"
