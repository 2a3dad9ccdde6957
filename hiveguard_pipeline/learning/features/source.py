"""What a source of features is, and what it makes of items."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Integers

NO_TEXT = "no_text"
NO_VECTOR = "no_vector"


@dataclass(frozen=True, slots=True)
class Items:
    """Items to make features of: lists of equal length. content: the text, None where none is recorded."""

    item_ids: list[str]
    external_ids: list[str]
    data_refs: list[str]
    contents: list[str | None]

    def __len__(self) -> int:
        return len(self.item_ids)


@dataclass(slots=True)
class Features:
    """Features of those items that have some.

    rows: a matrix of shape (n, d), dense float32 or sparse CSR, or a list of n texts. positions: of these
    rows in the items that were asked for, ascending, shape (n,). faults: why the others have none, counted.
    """

    rows: Any
    positions: Integers
    faults: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.positions)


class FeatureSource(Protocol):
    """Makes features of items; missing and broken files are counted, never an error."""

    @property
    def description(self) -> dict[str, Any]:
        """What `source_of` needs to make the same features again."""

    def make(self, items: Items) -> Features:
        """The features of some items, at most some thousand at a time."""


def stacked(parts: list[Any]) -> Any:
    """Rows of several batches as one: texts, sparse or dense, as they are."""
    if not parts:
        return np.empty((0, 0), dtype=np.float32)
    if isinstance(parts[0], list):
        return [text for part in parts for text in part]
    if hasattr(parts[0], "tocsr"):
        from scipy.sparse import vstack

        return vstack(parts, format="csr")
    return np.concatenate(parts)
