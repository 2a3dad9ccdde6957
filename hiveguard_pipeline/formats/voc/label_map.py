"""labelmap.txt: the classes of a data set in their order, as CVAT and datumaro write and want them.

A line is `name:color:parts:actions`; the last three stay empty here. The devkit itself has no such file.
"""

from pathlib import Path

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.text_lines import lines_of, open_file

LABEL_MAP = "labelmap.txt"
BACKGROUND = "background"
"""What CVAT and datumaro list as a class without it being one."""


def label_map(names: list[str]) -> bytes | None:
    """The file's content, or None where a name could not be read back from it."""
    if any(":" in name or name.startswith("#") or name != name.strip() or "\n" in name for name in names):
        return None
    return "".join(f"{name}:::\n" for name in names).encode()


def mapped_names(path: Path, used: set[str]) -> list[str]:
    """The classes a file lists and then, sorted, those of `used` that it does not; without a file the latter.

    background is a class only where something is of it.
    """
    names: dict[str, None] = {}
    if path.is_file():
        with open_file(path) as stream:
            for number, line in lines_of(path, stream):
                try:
                    text = line.decode().strip()
                except UnicodeDecodeError:
                    raise BadInputError(f"{path}, line {number}: not UTF-8 text") from None
                name = text.partition(":")[0]
                if name and not name.startswith("#") and (name != BACKGROUND or name in used):
                    names[name] = None
    return [*names, *sorted(used - names.keys())]
