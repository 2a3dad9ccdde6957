"""Where an ActiveLearner gets a dataset's own items from: protocols, which the store's side fulfils.

Nothing here reads a store. A learner that is always given X needs none of it.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Pool(Protocol):
    """The items of one dataset as they are now; positions count from 0 in item_ids."""

    @property
    def item_ids(self) -> NDArray[np.str_]:
        """The unlabeled items, shape (items,): what breaks ties, and what positions stand for."""
        ...

    def features(self) -> Any:
        """What the model takes, a row or text for each of item_ids."""
        ...

    def labelled(self) -> Any:
        """The same of the items that have a label; a length of 0 where none has."""
        ...

    def push_to_label_studio(self, item_ids: Sequence[str], project_id: int | None) -> int:
        """Send items to a Label Studio project (None: the dataset's own); how many tasks are new."""
        ...


class Pools(Protocol):
    """The datasets of a store."""

    def datasets(self) -> Sequence[str]:
        """Their names."""
        ...

    def pool(self, dataset: str) -> Pool:
        """The pool of one of them, read when it is asked for."""
        ...
