"""Which items a random share takes: always the same ones, whoever asks and whenever."""

import hashlib
from typing import Any

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Mask
from hiveguard_pipeline.rules.policy import ONE

Words = np.ndarray[Any, np.dtype[np.uint64]]


def chosen(item_words: Words, stage: str, share: int) -> Mask:
    """Whether each item is in a stage's share; shape (items,).

    item_words: 64 bits of each item's id, which is a hash already. share: in millionths. The bits are mixed
    with the stage's name by the finalizer of splitmix64 (Steele, Lea & Flood 2014, OOPSLA): two stages take
    different items.
    """
    seed = np.frombuffer(hashlib.sha256(stage.encode()).digest()[:8], dtype="<u8")[0]
    mixed = item_words ^ seed
    with np.errstate(over="ignore"):
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return np.asarray(mixed % np.uint64(ONE) < np.uint64(share))


def words_of(item_ids: list[str]) -> Words:
    """The last 64 bits of item ids: all but two of them a hash's."""
    return np.array([int(item_id[-17:].replace("-", ""), 16) for item_id in item_ids], dtype=np.uint64)
