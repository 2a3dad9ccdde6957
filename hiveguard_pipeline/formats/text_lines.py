"""Lines of a text file with their numbers, and names that must not come twice, in bounded memory."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hiveguard_pipeline.errors import BadInputError

LONGEST_LINE = 64 << 20
"""Bytes that a line may have."""


def open_file(path: Path) -> BinaryIO:
    """A file opened for reading. Raises BadInputError where there is none."""
    try:
        if path.exists() and not path.is_file():
            raise BadInputError(f"{path}: a file is wanted, and this is a folder or a device.")
        return path.open("rb")
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}.") from None


def lines_of(path: Path, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Each line from where the stream stands, numbered from 1, its line end kept.

    A byte order mark at the start of the file is left out.

    Raises BadInputError for a line of more than LONGEST_LINE bytes.
    """
    number = 0
    at_start = stream.tell() == 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise BadInputError(f"{path}, line {number}: a line of more than {LONGEST_LINE >> 20} MB.")
        yield number, line.removeprefix(b"\xef\xbb\xbf") if at_start else line
        at_start = False


class Names:
    """Names that were seen, 16 bytes each, to find one that came twice."""

    def __init__(self) -> None:
        self._digests = bytearray()

    def add(self, name: str) -> None:
        """See one more."""
        self._digests += hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def repeated(self) -> tuple[int, int] | None:
        """The places, from 0, of the first two names that are the same; None if no two are."""
        import numpy as np

        seen = np.frombuffer(bytes(self._digests), dtype="V16")
        _, first, inverse = np.unique(seen, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[inverse] != np.arange(len(seen)))
        return (int(first[inverse[again[0]]]), int(again[0])) if len(again) else None

    def refuse_repeated(self, where: str) -> None:
        """Raise BadInputError if a name came twice."""
        if pair := self.repeated():
            raise BadInputError(
                f"{where}: items {pair[0] + 1} and {pair[1] + 1} have the same name; give each its own."
            )
