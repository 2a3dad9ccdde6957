"""What the answers that people gave in a stage come to: as items are moved, and as moves are verified."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hiveguard_pipeline.rules.arithmetic import Integers
from hiveguard_pipeline.rules.stage_answers import Majority, majorities, pairs
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.structured import agreeing


def majority_of(dataset: Dataset, answers: Any, offsets: Integers) -> Majority:
    """The answer to each item that most others agree with; two that say discard (null) agree.

    answers: Arrow strings, under the classes that hold; those to item n are offsets[n] to offsets[n + 1].
    """
    first, second = pairs(offsets)
    one, other = answers.take(pa.array(first)), answers.take(pa.array(second))
    agree = agreeing(dataset, other, one)
    discards = pc.and_(one.is_null(), other.is_null()).to_numpy(zero_copy_only=False)
    same = agree | discards | (first == second)
    return majorities(offsets, np.bincount(first[same], minlength=len(answers)).astype(np.int64))
