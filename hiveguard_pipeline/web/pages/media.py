"""What of a data_ref a browser may be given: an address of http(s), or a file of the configured folder.

A data_ref is whatever somebody imported. It is never fetched from here; `javascript:`, `data:` and all other
schemes are shown as text only. A file is served if it lies inside HIVEGUARD_DATA_DIR once every link and `..`
is followed, and is of a kind that cannot run anything.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fastapi import HTTPException, Response
from fastapi.responses import FileResponse

from hiveguard_pipeline.settings import Settings

MOST_TEXT = 100_000
"""Bytes of a text file that a page shows."""

_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".txt": "text/plain; charset=utf-8",
}
"""No SVG, no HTML: those could run scripts under our name."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a browser finds an item's data. address: None where it can be given none; why_not says why."""

    address: str | None
    is_file: bool = False
    why_not: str = ""


def place_of(settings: Settings, data_ref: str, own_address: str) -> Place:
    """Where the data of an item lies for a browser. own_address: under which we serve its file."""
    if any(character.isspace() or not character.isprintable() for character in data_ref):
        return Place(None, why_not="its address has blanks or control characters")
    try:
        parts = urlsplit(data_ref)
        host = parts.hostname
    except ValueError:
        return Place(None, why_not="its address cannot be read")
    if parts.scheme in ("http", "https"):
        if not host or "\\" in data_ref:
            return Place(None, why_not="its address names no host")
        return Place(data_ref)
    if parts.scheme not in ("", "file"):
        return Place(None, why_not=f"a browser cannot load it from {parts.scheme[:20]}:")
    if settings.data_dir is None:
        return Place(None, why_not="it is a file, and HIVEGUARD_DATA_DIR names no folder of files")
    if file_of(settings, data_ref) is None:
        return Place(None, why_not="there is no such file in the folder of HIVEGUARD_DATA_DIR")
    return Place(own_address, is_file=True)


def file_of(settings: Settings, data_ref: str) -> Path | None:
    """The file that a data_ref names inside the configured folder; None if it is outside, or none at all."""
    if settings.data_dir is None or "\0" in data_ref or "\\" in data_ref:
        return None
    try:
        parts = urlsplit(data_ref)
        if parts.scheme == "file":
            if parts.netloc not in ("", "localhost"):
                return None
            name = unquote(parts.path)
        elif parts.scheme or parts.netloc:
            return None
        else:
            name = data_ref
        root = settings.data_dir.resolve(strict=True)
        path = (root / name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return None
    if not path.is_relative_to(root) or not path.is_file() or path.suffix.lower() not in _TYPES:
        return None
    return path


def text_of(settings: Settings, data_ref: str) -> str | None:
    """The beginning of a text file of the configured folder."""
    path = file_of(settings, data_ref)
    if path is None or path.suffix.lower() != ".txt":
        return None
    try:
        with path.open("rb") as stream:
            return stream.read(MOST_TEXT).decode("utf-8", "replace")
    except OSError:
        return None


def file_response(settings: Settings, data_ref: str) -> Response:
    """A file of the configured folder as it is, for a tag of an item's page; raises 404."""
    path = file_of(settings, data_ref)
    if path is None:
        raise HTTPException(404, "there is no such file")
    headers = {
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
        "Cache-Control": "private, max-age=300",
    }
    return FileResponse(path, media_type=_TYPES[path.suffix.lower()], headers=headers)
