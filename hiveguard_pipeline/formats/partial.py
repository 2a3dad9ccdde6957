"""The hidden place beside an output in which it is put together."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hiveguard_pipeline.errors import BadInputError

_ABANDONED_SECONDS = 24 * 3600
_NAME_BYTES = 100


@contextmanager
def in_place(target: Path, *, folder: bool) -> Iterator[Path]:
    """A hidden place beside a target, which is renamed to it if all goes well, and is gone if not.

    Those of runs that were killed, a day ago or longer, are taken away first.
    """
    # Of a long name the first bytes, so that the hidden one is no longer than a file system takes.
    prefix = "." + os.fsencode(target.name)[:_NAME_BYTES].decode(errors="ignore") + "."
    hidden = None
    try:
        try:
            _take_abandoned_away(target.parent, prefix)
            hidden = Path(tempfile.mkdtemp(dir=target.parent, prefix=prefix, suffix=".partial"))
        except OSError as error:
            raise BadInputError(f"{target.parent}: cannot be written to: {error.strerror}.") from None
        partial = hidden / "output"
        if folder:
            partial.mkdir()
        yield partial
        refuse_taken(target)
        os.replace(partial, target)
    except OSError as error:
        raise BadInputError(f"{target}: cannot be written: {error.strerror or error}.") from None
    finally:
        if hidden is not None:
            with suppress(OSError):
                shutil.rmtree(hidden)


def refuse_taken(target: Path) -> None:
    """A target may be an empty folder, or nothing."""
    try:
        taken = target.is_symlink() or (
            target.exists() and not (target.is_dir() and not any(target.iterdir()))
        )
    except OSError as error:
        # A name longer than the file system takes, or a folder that may not be looked into.
        raise BadInputError(
            f"{target}: the output cannot be made there: {error.strerror}; choose another name or folder."
        ) from None
    if taken:
        raise BadInputError(f"{target} is there already; name another output, or take it away first.")
    if not target.absolute().parent.is_dir():
        raise BadInputError(f"{target}: there is no folder {target.absolute().parent}.")


def _take_abandoned_away(folder: Path, prefix: str) -> None:
    ours = re.compile(re.escape(prefix) + r"[a-z0-9_]{8}\.partial")
    with os.scandir(folder) as found:
        hidden = [
            Path(one.path) for one in found if ours.fullmatch(one.name) and one.is_dir(follow_symlinks=False)
        ]
    for one in hidden:
        with suppress(OSError):
            if max(_times(one)) < time.time() - _ABANDONED_SECONDS:
                shutil.rmtree(one)


def _times(folder: Path) -> Iterator[float]:
    """When anything in a folder was last written: a conversion that still runs has written of late."""
    yield folder.stat().st_mtime
    for one in folder.rglob("*"):
        yield one.lstat().st_mtime
