"""Names of images and of the annotation files that stand for them in formats of one file an image."""

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.names import checked_name


def visible_name(name: str) -> str:
    """A checked name of an item that is to be written; one with a part that begins with a dot is refused.

    Readers, this one too, pass over hidden files: such an item would be lost on the way back.
    """
    checked_name(name, "an item to be written")
    if name.startswith(".") or "/." in name:
        raise BadInputError(
            f"the item '{name}' is hidden (a part of its name begins with a dot); readers of folders pass "
            "over hidden files. Rename it."
        )
    return name


def stem_of(name: str) -> str:
    """A path without the suffix of its last part: `a.b/c.d.jpg` -> `a.b/c.d`."""
    folder, slash, last = name.rpartition("/")
    stem, dot, _ = last.rpartition(".")
    return f"{folder}{slash}{stem}" if dot and stem else name
