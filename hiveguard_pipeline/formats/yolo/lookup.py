"""Finding what a description names: below its own folder, whatever machine it was written on."""

import os
import posixpath
from collections.abc import Callable
from pathlib import Path

from hiveguard_pipeline.formats.names import is_inside
from hiveguard_pipeline.formats.yolo.paths import label_folder


def found_below(root: Path, bases: list[str], said: str) -> str | None:
    """What a description names, below its folder: as said, or with leading folders left out, or None."""
    for base in bases:
        path = first_below(posixpath.join(base, said), lambda one: _is_there(root, one))
        if path is not None:
            return path
    return None


def first_below(said: str, is_there: Callable[[str], bool]) -> str | None:
    """The longest end of a path that is there: /a/b/c, then b/c, then c; never out of the root by `..`."""
    path = posixpath.normpath(said).lstrip("/")
    while path.startswith("../"):
        path = path[3:]
    if path in {"..", ".", ""} or "\0" in path:
        return "" if path == "." and is_there("") else None
    parts = path.split("/")
    for place in range(min(len(parts), 64)):
        rest = "/".join(parts[place:])
        if is_there(rest):
            return rest
    return None


def _is_there(root: Path, relative: str) -> bool:
    """Whether a path is there, itself or as the folder of labels it stands for; links do not lead out."""
    real = os.path.realpath(root)
    return (os.path.exists(root / relative) and is_inside(real, os.fspath(root / relative))) or (
        os.path.isdir(root / label_folder(relative))
        and is_inside(real, os.fspath(root / label_folder(relative)))
    )
