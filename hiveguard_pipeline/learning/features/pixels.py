"""Pixels of images: each one upright, scaled to one small size, values from 0 to 1.

An image is a file from a stranger: it is opened only in formats that are listed here, and its size in
pixels is looked at before it is decoded, so that a small file cannot unfold into gigabytes.
"""

import io
import warnings
from typing import Any

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.extras import needed
from hiveguard_pipeline.learning.features.files import ItemFiles
from hiveguard_pipeline.learning.features.source import Features, Items

LAYOUTS = ("flat", "nchw", "nhwc")
"""How an image lies in its row: one line (height, width, channel), or an array as frameworks take it."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
MOST_PIXELS = 50_000_000
MOST_BYTES = 64 << 20

NOT_AN_IMAGE = "not_an_image"
TOO_MANY_PIXELS = "too_many_pixels"


class Pixels:
    """Images below a root, as arrays of float32 between 0 and 1."""

    def __init__(self, root: str, *, size: int = 16, channels: int = 3, layout: str = "flat") -> None:
        if layout not in LAYOUTS or channels not in (1, 3) or not 1 <= size <= 1024:
            raise BadInputError(
                f"pixels are of size 1 to 1024, 1 or 3 channels, layout {', '.join(LAYOUTS)}; not"
                f" {size}, {channels}, {layout}"
            )
        self._image: Any = needed("PIL.Image")
        self._upright: Any = needed("PIL.ImageOps").exif_transpose
        self._files = ItemFiles(root)
        self._size, self._channels, self._layout = size, channels, layout

    @property
    def description(self) -> dict[str, Any]:
        """The kind, and what the arrays look like."""
        return {"kind": "pixels", "size": self._size, "channels": self._channels, "layout": self._layout}

    def make(self, items: Items) -> Features:
        """Float32: (n, size x size x channels), or an axis each by layout."""
        rows: list[Any] = []
        positions: list[int] = []
        faults: dict[str, int] = {}
        for position, data_ref in enumerate(items.data_refs):
            found = self._files.read(data_ref, MOST_BYTES)
            array = found if isinstance(found, str) else self._array(found)
            if isinstance(array, str):
                faults[array] = faults.get(array, 0) + 1
            else:
                rows.append(array)
                positions.append(position)
        shape = (self._size, self._size, self._channels)
        stack = np.stack(rows) if rows else np.empty((0, *shape), dtype=np.float32)
        if self._layout == "flat":
            stack = stack.reshape(len(stack), -1)
        elif self._layout == "nchw":
            stack = np.ascontiguousarray(stack.transpose(0, 3, 1, 2))
        return Features(stack, np.array(positions, dtype=np.int64), faults)

    def _array(self, data: bytes) -> Any:
        """Height, width, channel; or why the bytes give none."""
        try:
            with warnings.catch_warnings(), self._image.open(io.BytesIO(data), formats=FORMATS) as image:
                warnings.simplefilter("ignore")
                width, height = image.size
                if width * height > MOST_PIXELS:
                    return TOO_MANY_PIXELS
                # A JPEG is decoded at a fraction of its size where that is enough.
                image.draft("RGB", (2 * self._size, 2 * self._size))
                upright = self._upright(image).convert("RGB" if self._channels == 3 else "L")
                small = upright.resize((self._size, self._size), self._image.Resampling.BOX)
                array = np.asarray(small, dtype=np.float32) / np.float32(255)
        except self._image.DecompressionBombError:
            return TOO_MANY_PIXELS
        except Exception:  # noqa: BLE001 - decoders raise what they like, and one image stops nothing
            return NOT_AN_IMAGE
        return array.reshape(self._size, self._size, self._channels)
