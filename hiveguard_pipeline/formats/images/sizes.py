"""Width and height of an image file as it is shown, from its head alone: no picture is ever decoded.

An image that a camera stored lying on its side says so in its EXIF orientation; annotation tools draw on
what is shown, so the sides are swapped then. imagesize knows that of JPEG, TIFF and HEIF; the EXIF blocks of
PNG (chunk eXIf, PNG 3rd edition, 11.3.4.3) and WebP (chunk EXIF, container specification) are read here.
"""

import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.names import is_inside

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".jp2",
    ".heic",
    ".heif",
    ".avif",
)
"""What counts as an image file, in lower case."""

_SIDEWAYS = frozenset({5, 6, 7, 8})
"""Orientations that swap width and height (EXIF 2.32, 4.6.4, tag 274)."""
_MOST_CHUNKS = 10_000
_LONGEST_EXIF = 1 << 16


def image_size(path: str) -> tuple[int, int] | None:
    """Width and height in pixels as shown, or None for what is no image of a known kind.

    Raises OSError where the file cannot be opened, BadInputError for sides of 2**31 pixels or more.
    """
    import imagesize

    # A pipe must not stop the conversion: opened without waiting, and only plain files are read.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        found = imagesize.get(file)
        width, height = int(found[0]), int(found[1])
        if width < 1 or height < 1:
            return None
        if max(width, height) >= 2**31:
            raise BadInputError(
                f"{path}: its head says {width} x {height} pixels, and 2**31 or more on a side are no image; "
                "replace the file."
            )
        file.seek(0)
        head = file.read(12)
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            sideways = _orientation(_png_exif(file)) in _SIDEWAYS
        elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            sideways = _orientation(_webp_exif(file)) in _SIDEWAYS
        else:
            sideways = False
        return (height, width) if sideways else (width, height)


class ImageFolder:
    """A folder of image files, looked up by the name of an item or by what of it a label file says."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self._suffixes = [case for suffix in SUFFIXES for case in (suffix, suffix.upper())]

    def named(self, relative: str) -> bool:
        """Whether there is such a file, not reached through a link that leads out of the folder."""
        path = f"{self.root}/{relative}"
        return os.path.isfile(path) and is_inside(self.root, path)

    def with_stem(self, stem: str) -> str | None:
        """The relative path of the image with this path before its suffix, or None."""
        for place, suffix in enumerate(self._suffixes):
            if self.named(stem + suffix):
                # Most folders hold images of one kind: it is asked for first the next time.
                self._suffixes.insert(0, self._suffixes.pop(place))
                return stem + suffix
        return None

    def size(self, relative: str) -> tuple[int, int] | None:
        """Width and height of a file, or None where there is none or it is no image."""
        try:
            return image_size(f"{self.root}/{relative}") if self.named(relative) else None
        except (OSError, ValueError):
            return None


def _png_exif(file: BinaryIO) -> bytes:
    file.seek(8)
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            break
        size = int.from_bytes(head[:4], "big")
        if head[4:] == b"eXIf":
            return file.read(min(size, _LONGEST_EXIF))
        file.seek(size + 4, os.SEEK_CUR)
    return b""


def _webp_exif(file: BinaryIO) -> bytes:
    file.seek(12)
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF":
            return file.read(min(size, _LONGEST_EXIF)).removeprefix(b"Exif\0\0")
        file.seek(size + size % 2, os.SEEK_CUR)
    return b""


def _orientation(exif: bytes) -> int:
    """Tag 274 of the first directory of a TIFF block (TIFF 6.0, section 2); 1 where it does not say."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}L", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, start)
        for place in range(entries):
            tag, kind, count, value = struct.unpack_from(f"{order}HHLH", exif, start + 2 + 12 * place)
            if (tag, kind, count) == (274, 3, 1):
                return int(value)
    except struct.error:
        pass
    return 1
