"""Where a Pascal VOC data set is, when what was given is the folder of its XML files or one of them."""

import os
from pathlib import Path

ANNOTATIONS = "Annotations"


def data_set(path: Path) -> tuple[Path, str | None]:
    """The folder that lists and side-car lie in, and the XML file below it that was given alone, if one was.

    A file below an Annotations/ is one of the data set around that; any other is one of its own folder's.
    """
    whole = Path(os.path.abspath(path))
    if path.is_dir():
        if whole.name == ANNOTATIONS and not (path / ANNOTATIONS).is_dir():
            return path.parent if path.name else whole.parent, None
        return path, None
    for folder in whole.parents:
        if folder.name == ANNOTATIONS:
            # As it was given, where that can be told, for messages.
            above = len(whole.relative_to(folder.parent).parts) - 1
            given = path.parents[above] if ".." not in path.parts and above < len(path.parents) else None
            return given or folder.parent, whole.relative_to(folder.parent).as_posix()
    return path.parent, path.name
