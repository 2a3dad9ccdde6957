"""The votes that the benchmarks run on: random items, three classes, four in five answers right."""

from pathlib import Path

import numpy as np

CLASSES = 3


def write_votes(path: Path, votes: int, items: int, seed: int = 0) -> None:
    """Columns item and answer, in arrival order, as an npz file."""
    random = np.random.default_rng(seed)
    item = random.integers(0, items, votes)
    truth = random.integers(0, CLASSES, items)
    guessed = random.integers(0, CLASSES, votes)
    answer = np.where(random.random(votes) < 0.8, truth[item], guessed)
    np.savez(path, item=item.astype(np.int64), answer=answer.astype(np.int32), items=np.int64(items))
