"""The classes of a data set in the order of their numbers."""

from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError

MOST_CLASSES = 1_000_000


def class_names(said: Any, count: Any, file: Path) -> list[str]:
    """The classes in the order of their numbers; from a list, a mapping by number, or a count alone."""
    number = None if count is None else whole_number(count)
    if count is not None and (number is None or number > MOST_CLASSES):
        raise BadInputError(f"{file}: nc: the number of classes is wanted, not {str(count)[:40]}.")
    if said is None:
        if number is None:
            raise BadInputError(f"{file}: names: the names of the classes are missing.")
        return [f"class_{place}" for place in range(number)]
    if isinstance(said, dict):
        keys = [whole_number(key) for key in said]
        if sorted(-1 if key is None else key for key in keys) != list(range(len(keys))):
            raise BadInputError(f"{file}: names: the numbers 0 to {len(keys) - 1} are wanted, each once.")
        by_number = dict(zip(keys, said.values(), strict=True))
        said = [by_number[place] for place in range(len(keys))]
    if not isinstance(said, list):
        raise BadInputError(f"{file}: names: a list, or a mapping from numbers, is wanted.")
    for place, name in enumerate(said):
        if not isinstance(name, str):
            raise BadInputError(f"{file}: names: class {place} has no name.")
    if number is not None and number != len(said):
        raise BadInputError(f"{file}: nc is {number}, and there are {len(said)} names.")
    return list(said)


def whole_number(text: Any) -> int | None:
    """The number of a text of up to nine digits, or None."""
    return (
        int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10 else None
    )
