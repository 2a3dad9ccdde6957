"""Which rows are for training and which for validation: by a hash of the group they belong to.

u = first 8 bytes, big-endian, of SHA-256(salt, NUL, group key); a row is in train where u / 2**64 < share.
Under `hash` that hangs on the row alone, so that no row ever moves as a dataset grows. Under `exact` the
groups are ranked by u and the first ones are train, as many as fit into share x rows: right for small sets,
but a new row can move others.
"""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.rules.arithmetic import Mask
from hiveguard_pipeline.rules.policy import ONE

TRAIN, VALIDATION = SPLITS = ("train", "validation")
ALL = 1 << 64
"""A limit that every hash lies below."""

Hashes = np.ndarray[Any, Any]
"""uint64"""


def group_hashes(salt: str, keys: Any) -> Hashes:
    """u of each group key; keys: Arrow strings, shape (n,), no nulls."""
    begun = hashlib.sha256(salt.encode() + b"\0")

    def digest(key: bytes) -> bytes:
        one = begun.copy()
        one.update(key)
        return one.digest()[:8]

    groups = keys.dictionary_encode()
    found = b"".join(map(digest, groups.dictionary.cast(pa.binary()).to_pylist()))
    each = np.frombuffer(found, dtype=">u8").astype(np.uint64)
    return np.asarray(each[groups.indices.to_numpy(zero_copy_only=False)])


def limit_of_share(train_share: int) -> int:
    """The least integer that no u of train reaches; train_share in millionths."""
    return -(-train_share * ALL // ONE)


def limit_of_rank(hashes: Hashes, train_share: int) -> int:
    """The limit under which the most whole groups lie that fit into the share of all rows.

    hashes: u of each row, shape (n,), in any order.
    """
    if not len(hashes):
        return ALL
    ranked, counts = np.unique(hashes, return_counts=True)
    # Half a row is train's, so that of few rows none is left out for rounding.
    wanted = (2 * len(hashes) * train_share + ONE) // (2 * ONE)
    fitting = int(np.searchsorted(np.cumsum(counts), wanted, side="right"))
    return ALL if fitting == len(ranked) else int(ranked[fitting])


def in_train(hashes: Hashes, limit: int) -> Mask:
    """Which rows are for training; shape (n,)."""
    if limit >= ALL:
        return np.ones(len(hashes), dtype=bool)
    return np.asarray(hashes < np.uint64(limit))


def split_names(train: Mask) -> Any:
    """The column of the split: an Arrow string array."""
    codes = pa.array(np.where(train, 0, 1).astype(np.int8))
    return pa.DictionaryArray.from_arrays(codes, pa.array(list(SPLITS))).cast(pa.string())
