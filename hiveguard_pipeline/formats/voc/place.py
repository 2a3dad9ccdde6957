"""Where a Pascal VOC data set is, when what was given is the folder of its XML files."""

from pathlib import Path

ANNOTATIONS = "Annotations"


def data_set(path: Path) -> Path | None:
    """The folder around an Annotations/ that was given: lists and side-car lie there. None for others."""
    whole = path.absolute()
    if whole.name == ANNOTATIONS and path.is_dir() and not (path / ANNOTATIONS).is_dir():
        return path.parent if path.name else whole.parent
    return None
