"""Drawing at random: the strategy that no other may lose to, and the one that never harms."""

import numpy as np

from hiveguard_pipeline.learning.selection.inputs import wanted
from hiveguard_pipeline.learning.selection.selected import Selection


def at_random(size: int, n: int, *, seed: int = 0) -> Selection:
    """n of a pool of `size` items, drawn without putting back; every score is 1 (all are as good)."""
    n = wanted(n, size)
    positions = np.random.default_rng(seed).choice(size, n, replace=False)
    return Selection(positions.astype(np.int64), np.ones(n))
