"""Which labels are given to one item by two people: the confusion of labels, and specific agreement."""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.quality.agreement.coefficients import NO_PAIR
from hiveguard_pipeline.quality.agreement.counts import Counts
from hiveguard_pipeline.quality.agreement.intervals import Estimate, estimate, undefined
from hiveguard_pipeline.rules.arithmetic import Codes, Integers


@dataclass(slots=True)
class Confusion:
    """Pairs of votes on one item by their two labels, each pair once; the cells above zero.

    first, second: codes, first <= second, shape (cells,), in that order. pairs: int64, shape (cells,).
    """

    first: Codes
    second: Codes
    pairs: Integers

    @property
    def total(self) -> int:
        """All pairs of votes on one item."""
        return int(self.pairs.sum())

    @property
    def disagreeing(self) -> "Confusion":
        """The cells of two different labels, most pairs first."""
        apart = np.flatnonzero(self.first != self.second)
        order = apart[np.argsort(-self.pairs[apart], kind="stable")]
        return Confusion(self.first[order], self.second[order], self.pairs[order])


def confusion(counts: Counts) -> Confusion:
    """How many pairs of votes on one item have each two labels."""
    from scipy import sparse

    labels = int(counts.label.max()) + 1 if len(counts.label) else 0
    table = sparse.csr_array((counts.count, (counts.item, counts.label)), shape=(len(counts.votes), labels))
    upper = sparse.triu((table.T @ table).tocsr(), format="coo")
    given = np.bincount(counts.label, counts.count, minlength=labels).astype(np.int64)
    same = upper.row == upper.col
    # The product pairs each vote with itself too, and has two votes for one label twice.
    pairs = np.where(same, (upper.data - given[upper.row]) // 2, upper.data)
    kept = pairs > 0
    first, second, pairs = upper.row[kept], upper.col[kept], pairs[kept]
    order = np.lexsort((second, first))
    return Confusion(first[order].astype(np.int32), second[order].astype(np.int32), pairs[order])


def specific_agreement(counts: Counts, label: int) -> Estimate:
    """Of the pairs that a vote for `label` is in, counted from each such vote, the share that agree.

    Cicchetti & Feinstein (1990), J. Clin. Epidemiol. 43, 551, for many raters as Fleiss (1981), section
    13.1: sum n (n - 1) / sum n (r - 1) over items, with n votes of r for the label. The interval is that of
    a ratio of two sums over items.
    """
    cells = (counts.label == label) & (counts.votes[counts.item] >= 2)
    item, given = counts.item[cells], counts.count[cells]
    agreeing, all_pairs = given * (given - 1), given * (counts.votes[item] - 1)
    if not all_pairs.sum():
        return undefined(NO_PAIR)
    value = agreeing.sum() / all_pairs.sum()
    items = int((counts.votes >= 2).sum())
    moves = np.zeros(items)
    moves[: len(item)] = (agreeing - value * all_pairs) / all_pairs.sum() * items
    return estimate(float(value), moves, least=0.0)
