"""skops files: a zip of a description and arrays, from which only trusted types are built.

What a file would build is listed before anything is built (`skops.io.get_untrusted_types`); whatever is
neither trusted by skops itself nor named by the user refuses the file. Only `skops.io` is used: the card of
a model falls back to joblib (CVE-2025-54886). The zip is looked at first: names that leave it, two members
of one name, and what unfolds to more than is fit are refused before a member is read.
"""

import io
import zipfile
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.extras import needed

MOST_UNFOLDED = 4 << 30
MOST_TIMES = 200
"""Arrays of zeros fold well; what folds better still is no model."""
MOST_MEMBERS = 20_000
_SMALL = 64 << 20


def load_skops(data: bytes, name: str, trusted: tuple[str, ...]) -> Any:
    """What the file holds; raises BadInputError for a file of no use, and for types that are not trusted."""
    _check_zip(data, name)
    skops: Any = needed("skops.io")
    try:
        unknown = sorted(set(skops.get_untrusted_types(data=data)) - set(trusted))
    except Exception as error:  # noqa: BLE001 - a malformed file raises whatever its parts raise
        raise BadInputError(f"{name} is no skops file that can be read: {_said(error)}") from None
    if unknown:
        raise BadInputError(
            f"{name} holds {', '.join(unknown)}, which is not trusted; if you know these types, name each"
            " with --trust-type, else the file may not be what it seems"
        )
    try:
        return skops.loads(data, trusted=list(trusted))
    except Exception as error:  # noqa: BLE001 - as above
        raise BadInputError(
            f"{name} cannot be loaded: {_said(error)}; it must be read with the scikit-learn that wrote it,"
            f" or one near it (here: {needed('sklearn').__version__})"
        ) from None


def dump_skops(model: Any) -> bytes:
    """A fitted model as the bytes of a skops file."""
    data: bytes = needed("skops.io").dumps(model)
    return data


def _check_zip(data: bytes, name: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as folded:
            members = folded.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BadInputError(f"{name} is no skops file: {_said(error)}") from None
    names = [member.filename for member in members]
    if len(names) > MOST_MEMBERS or len(set(names)) < len(names):
        raise BadInputError(f"{name} is no skops file: {len(names):,} members, {len(set(names)):,} names")
    for member in names:
        if member.startswith(("/", "\\")) or ".." in member.replace("\\", "/").split("/") or ":" in member:
            raise BadInputError(f"{name} is refused: its member {member!r} would lie outside of it")
    unfolded = sum(member.file_size for member in members)
    if unfolded > MOST_UNFOLDED or unfolded > max(_SMALL, MOST_TIMES * len(data)):
        raise BadInputError(
            f"{name} is refused: its {len(data):,} bytes would unfold to {unfolded:,}, as no model does"
        )


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
