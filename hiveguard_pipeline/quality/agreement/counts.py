"""How often each label was given to each item: what all coefficients but Cohen's are made of."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers
from hiveguard_pipeline.store.crowd import Crowd

Numbers = np.ndarray[Any, Any]
"""float64"""


@dataclass(slots=True)
class Counts:
    """The cells above zero of the table items x labels; items without votes are left out.

    item, label: positions and codes, shape (cells,); count: int64, > 0, shape (cells,). votes: of each
    item, int64, > 0, shape (items,). labels: how many different labels were given.
    """

    item: Integers
    label: Codes
    count: Integers
    votes: Integers

    @property
    def labels(self) -> int:
        """How many different labels were given."""
        return len(np.unique(self.label))

    def one_against_rest(self, label: int) -> "Counts":
        """The table of two columns, `label` (1) and all others together (0)."""
        mine = self.label == label
        given = np.zeros(len(self.votes), dtype=np.int64)
        given[self.item[mine]] = self.count[mine]
        table = np.column_stack((self.votes - given, given))
        item, column = np.nonzero(table)
        return Counts(item, column.astype(np.int32), table[item, column], self.votes)

    def of_items(self, kept: Any) -> "Counts":
        """The table of some of the items. kept: mask, shape (items,)."""
        place = np.cumsum(kept) - 1
        cells = kept[self.item]
        return Counts(place[self.item[cells]], self.label[cells], self.count[cells], self.votes[kept])


def count_labels(crowd: Crowd) -> tuple[Counts, Integers]:
    """The table of a crowd, and the cell of each vote (shape (votes,))."""
    votes = np.diff(crowd.offsets)
    answered = votes > 0
    place = (np.cumsum(answered) - 1)[crowd.item]
    labels = max(len(crowd.classes), 1)
    cells, cell_of_vote, count = np.unique(
        place * labels + crowd.answer, return_inverse=True, return_counts=True
    )
    table = Counts(
        cells // labels, (cells % labels).astype(np.int32), count.astype(np.int64), votes[answered]
    )
    return table, cell_of_vote
