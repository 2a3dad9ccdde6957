"""How tasks refer to images, and the names that their items get from it.

Files of the server's own disk are /data/local-files/?d=PATH, PATH from LOCAL_FILES_DOCUMENT_ROOT on; what
was uploaded is below /data/upload/.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.images.sizes import SUFFIXES
from hiveguard_pipeline.formats.names import LONGEST_NAME, checked_name, relative_to_root, under_root
from hiveguard_pipeline.formats.serialised import shown

_LOCAL_FILES = "/data/local-files/"
_SERVED = (_LOCAL_FILES, "/data/upload/")
_MEDIA = (
    *(".mp4", ".webm", ".mov", ".avi", ".mkv", ".m4v", ".ogv", ".mpg", ".mpeg"),
    *(".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac", ".opus", ".aiff", ".wma"),
    *(".pdf", ".csv", ".tsv", ".json"),
)


def image_name(reference: Any, root: str | None, qualified: bool, where: str) -> str | None:
    """The path of an image below its host, bucket or storage; None for one that is in the task itself.

    root: taken off what lies below it, as `below_root` has it. qualified: the host is kept. Raises
    BadInputError, with `where`, for what is no path or leads out.
    """
    parts = _parts(checked_text(reference, where), where)
    if parts.scheme == "data":
        return None
    below = below_root(reference, root)
    if below is not None:
        return checked_name(below, where)
    if parts.path == _LOCAL_FILES:
        return checked_name(_local_path(parts), where)
    if len(parts.scheme) > 1 and parts.netloc:
        path = unquote(parts.path).lstrip("/")
        return checked_name(f"{parts.netloc}/{path}" if qualified else path, where)
    if reference.startswith("/data/"):
        return checked_name(unquote(parts.path).removeprefix("/data/"), where)
    return relative_to_root(reference, root, where)[0]


def below_root(reference: str, root: str | None) -> str | None:
    """The path of an image below a root; None where it does not lie there, and where there is no root.

    root: a folder, whose images are named by their absolute path or served as local files; or the address
    or path that a server has them under (s3://bucket/images, /data/local-files/?d=images).
    """
    if root is None:
        return None
    if _is_served(root):
        tops = [_decoded(root)]
    else:
        tops = [f"{_LOCAL_FILES}?d={root.strip('/')}", *([root] if root.startswith("/") else [])]
    found = _decoded(reference)
    for top in tops:
        prefix = top if top.endswith("=") else top.rstrip("/") + "/"
        if found.startswith(prefix):
            return found[len(prefix) :]
    return None


def reference_to(name: str, root: str | None) -> str:
    """Where a server finds an image that lies below a root; `below_root` gives the name back."""
    if root is None:
        return name
    if _is_served(root):
        return root + quote(name) if root.endswith("=") else under_root(quote(name), root)
    return f"{_LOCAL_FILES}?d=" + quote(under_root(name, root).lstrip("/"))


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
    named = _local_path(parts) if parts.path == _LOCAL_FILES else parts.path
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


def _is_served(root: str) -> bool:
    return "://" in root or root.startswith(_SERVED)


def _local_path(parts: SplitResult) -> str:
    return parse_qs(parts.query).get("d", [""])[0].lstrip("/")


def _decoded(reference: str) -> str:
    """A reference without what addresses have and paths do not: %20, a query behind it."""
    try:
        parts = urlsplit(reference)
    except ValueError:
        return reference
    if parts.path == _LOCAL_FILES:
        return f"{_LOCAL_FILES}?d={_local_path(parts)}"
    if len(parts.scheme) > 1 and parts.netloc:
        return f"{parts.scheme}://{parts.netloc}{unquote(parts.path)}"
    return unquote(parts.path) if reference.startswith(_SERVED) else reference
