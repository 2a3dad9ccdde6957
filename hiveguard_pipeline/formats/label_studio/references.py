"""How tasks refer to images, and the names that their items get from it."""

from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.images.sizes import SUFFIXES
from hiveguard_pipeline.formats.names import LONGEST_NAME, checked_name, relative_to_root
from hiveguard_pipeline.formats.serialised import shown

_LOCAL_FILES = "/data/local-files/"
_MEDIA = (
    *(".mp4", ".webm", ".mov", ".avi", ".mkv", ".m4v", ".ogv", ".mpg", ".mpeg"),
    *(".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac", ".opus", ".aiff", ".wma"),
    *(".pdf", ".csv", ".tsv", ".json"),
)


def image_name(reference: Any, root: str | None, qualified: bool, where: str) -> str | None:
    """The path of an image below its host, bucket or storage; None for one that is in the task itself.

    root: taken off absolute paths, and off those of local files. qualified: the host is kept. Raises
    BadInputError, with `where`, for what is no path or leads out.
    """
    parts = _parts(checked_text(reference, where), where)
    if parts.scheme == "data":
        return None
    if parts.path == _LOCAL_FILES:
        found = parse_qs(parts.query).get("d", [""])[0].lstrip("/")
        prefix = "" if root is None else root.strip("/") + "/"
        return checked_name(found.removeprefix(prefix), where)
    if len(parts.scheme) > 1 and parts.netloc:
        path = unquote(parts.path).lstrip("/")
        return checked_name(f"{parts.netloc}/{path}" if qualified else path, where)
    if reference.startswith("/data/"):
        return checked_name(unquote(parts.path).removeprefix("/data/"), where)
    return relative_to_root(reference, root, where)[0]


def looks_like_image(value: str) -> bool:
    """Whether a text is the address of an image file."""
    try:
        return urlsplit(value).path.lower().endswith(SUFFIXES) and "\n" not in value
    except ValueError:
        return False


def looks_like_media(value: str) -> bool:
    """Whether a text is the address of a video, a sound, a PDF or a table, and not a text itself."""
    if value.startswith(("data:audio/", "data:video/")):
        return True
    is_address = value.startswith("/") or "://" in value
    if len(value) > LONGEST_NAME or "\n" in value or (" " in value and not is_address):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    named = parse_qs(parts.query).get("d", [""])[0] if parts.path == _LOCAL_FILES else parts.path
    return named.lower().endswith(_MEDIA)


def first_key(texts: dict[str, str], names: list[Any], *fits: Callable[[str], bool]) -> str | None:
    """The first of the names that is a key; else that of the first value that the first of `fits` takes."""
    for name in names:
        if isinstance(name, str) and name in texts:
            return name
    for fit in fits:
        for key, value in texts.items():
            if fit(value):
                return key
    return None


def checked_text(value: Any, where: str) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise BadInputError(f"{where}: a text that is not empty is wanted, not {shown(value)}.")
    return value


def _parts(reference: str, where: str) -> SplitResult:
    try:
        return urlsplit(reference)
    except ValueError as error:
        raise BadInputError(f"{where}: {shown(reference)} is no address: {error}.") from None
