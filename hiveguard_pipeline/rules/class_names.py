"""What can be the name of a class: the same when a dataset is created and when its classes change."""

from unicodedata import category

from hiveguard_pipeline.errors import BadInputError

LONGEST_NAME = 500
"""PostgreSQL keeps names of classes in an index, whose entries have at most 2,700 bytes."""


def check_new_class(name: str) -> None:
    """Raise BadInputError for what cannot become the name of a class."""
    check_known_class(name)
    if name != name.strip():
        raise BadInputError(f"the name of a class must not begin or end with white space: {name!r}")
    if any(category(c) in ("Cc", "Zl", "Zp") for c in name):
        raise BadInputError(f"the name of a class must have no line ends or control characters: {name!r}")
    if "," in name:
        raise BadInputError(
            f"the name of a class must have no comma: {name!r}; lists of classes are written with commas"
        )


def check_known_class(name: str) -> None:
    """Raise BadInputError for what no class can be called; one that is there already may be all else.

    Datasets of earlier versions can have names that `check_new_class` refuses; so they can be renamed.
    """
    if not name.strip():
        raise BadInputError("the name of a class must not be empty")
    if len(name) > LONGEST_NAME or "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
        raise BadInputError(
            f"the name of a class is text of at most {LONGEST_NAME} characters, none of them NUL"
        )
