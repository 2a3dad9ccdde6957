"""Shares of a set by a hash of each member's name, so that none ever moves as the set grows.

u = first 8 bytes, big-endian, of SHA-256(salt, NUL, name); a member is in the share where u / 2**64 < share.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Mask
from hiveguard_pipeline.rules.policy import ONE

ALL = 1 << 64
"""A limit that every hash lies below."""

Hashes = np.ndarray[Any, Any]
"""uint64"""


def hashes_of(salt: str, names: Iterable[bytes]) -> Hashes:
    """u of each name, shape (n,)."""
    begun = hashlib.sha256(salt.encode() + b"\0")

    def digest(name: bytes) -> bytes:
        one = begun.copy()
        one.update(name)
        return one.digest()[:8]

    return np.frombuffer(b"".join(map(digest, names)), dtype=">u8").astype(np.uint64)


def limit_of_share(share: int) -> int:
    """The least integer that no u of the share reaches; share in millionths."""
    return -(-share * ALL // ONE)


def below(hashes: Hashes, limit: int) -> Mask:
    """Which members are in the share; shape (n,)."""
    if limit >= ALL:
        return np.ones(len(hashes), dtype=bool)
    return np.asarray(hashes < np.uint64(limit))
