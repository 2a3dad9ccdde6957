"""Which rows are for training and which for validation: by a hash of the group they belong to.

u = first 8 bytes, big-endian, of SHA-256(salt, NUL, group key); a row is in train where u / 2**64 < share.
Under `hash` that hangs on the row alone, so that no row ever moves as a dataset grows. Under `exact` the
groups are ranked by u and the first ones are train, as many as fit into share x rows: right for small sets,
but a new row can move others.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.rules.arithmetic import Mask
from hiveguard_pipeline.rules.hash_split import ALL, Hashes, below, hashes_of, limit_of_share
from hiveguard_pipeline.rules.policy import ONE

__all__ = ["ALL", "SPLITS", "group_hashes", "in_train", "limit_of_rank", "limit_of_share", "split_names"]

TRAIN, VALIDATION = SPLITS = ("train", "validation")


def group_hashes(salt: str, keys: Any) -> Hashes:
    """u of each group key; keys: Arrow strings, shape (n,), no nulls."""
    groups = keys.dictionary_encode()
    each = hashes_of(salt, groups.dictionary.cast(pa.binary()).to_pylist())
    return np.asarray(each[groups.indices.to_numpy(zero_copy_only=False)])


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
    return below(hashes, limit)


def split_names(train: Mask) -> Any:
    """The column of the split: an Arrow string array."""
    codes = pa.array(np.where(train, 0, 1).astype(np.int8))
    return pa.DictionaryArray.from_arrays(codes, pa.array(list(SPLITS))).cast(pa.string())
