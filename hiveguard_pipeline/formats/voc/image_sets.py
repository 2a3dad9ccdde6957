"""ImageSets/Main: the lists that say which images belong to which split, by the stems of their files."""

import os
import re
from hashlib import blake2b
from pathlib import Path

import numpy as np

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.text_lines import lines_of, open_file

LISTS = {"train": "train", "val": "validation", "test": "test"}
"""<key>.txt holds the stems of this split; others (trainval.txt, aeroplane_train.txt) are passed over."""

_MARKED = re.compile(rb"(\S+)[ \t]+(?:-1|0|1)\Z")
"""A stem and whether the image shows a class (1), not (-1) or hardly (0), as in aeroplane_train.txt."""


class ImageSets:
    """The lists in a folder, as sorted hashes: eight bytes an image, however long the names are."""

    def __init__(self, folder: Path, annotations: Path) -> None:
        """Read the lists of a folder. annotations: where the XML files lie that they name."""
        self._lists = {
            split: _hashes(path, annotations)
            for key, split in LISTS.items()
            if (path := folder / f"{key}.txt").is_file()
        }

    def __bool__(self) -> bool:
        return bool(self._lists)

    def split_of(self, stem: str, shown: str) -> str | None:
        """The split that lists a stem, or None. shown: the file, for BadInputError where two lists do."""
        if not self._lists:
            return None
        wanted = _hash(os.fsencode(stem))
        found = []
        for split, hashes in self._lists.items():
            place = int(np.searchsorted(hashes, np.uint64(wanted)))
            if place < len(hashes) and int(hashes[place]) == wanted:
                found.append(split)
        if len(found) > 1:
            raise BadInputError(
                f"{shown}: listed under {' and '.join(found)} in ImageSets/Main; an image has one split."
            )
        return found[0] if found else None


def _hashes(path: Path, annotations: Path) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    with open_file(path) as stream:
        stems = (_stem(line.strip(), annotations) for _, line in lines_of(path, stream))
        return np.sort(np.fromiter((_hash(stem) for stem in stems if stem), dtype=np.uint64))


def _stem(line: bytes, annotations: Path) -> bytes:
    """The stem of a line: its first word, where a mark follows and there is no file of the whole name."""
    marked = _MARKED.match(line)
    if marked is None or (annotations / f"{os.fsdecode(line)}.xml").is_file():
        return line
    return marked[1]


def _hash(stem: bytes) -> int:
    return int.from_bytes(blake2b(stem, digest_size=8).digest(), "big")
