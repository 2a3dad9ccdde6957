"""Cohen's kappa of pairs of solvers, its weighted mean, and how much each item moves it.

Cohen (1960), Educ. Psychol. Meas. 20, 37. With n common items, A of them agreed, and E the sum over labels
of the product of the two solvers' counts: kappa = (n A - E) / (n^2 - E); undefined where both gave one and
the same label throughout. The derivative of kappa by the weight of an item gives the standard errors: for
one pair that of Fleiss, Cohen & Everitt (1969), Psychol. Bull. 72, 323; for the mean of many pairs, which
share items, the infinitesimal jackknife over items (Efron 1982, chapter 6).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from hiveguard_pipeline.quality.agreement.counts import Numbers
from hiveguard_pipeline.quality.agreement.intervals import Estimate, estimate, undefined
from hiveguard_pipeline.quality.agreement.solver_pairs import Block, blocks, ranked
from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask
from hiveguard_pipeline.store.crowd import Crowd

NO_KAPPA = "no two solvers with items in common gave two labels between them"

NORMAL_QUANTILE = 1.959963984540054
"""0.975 of the standard normal: the sampling error of one pair's kappa is the asymptotic one."""

THIN = 10
MOSTLY_THIN = (
    f"more than half of its weight lies on pairs of solvers with fewer than {THIN} items in common, whose"
    " kappas tend to 0; read fleiss_kappa"
)

_SUMS_AT_ONCE = 8_000_000


@dataclass(slots=True)
class Kappas:
    """Cohen's kappa of pairs of solvers: columns of shape (pairs,); NaN where it is undefined."""

    first: Codes
    second: Codes
    items: Integers
    agreed: Integers
    kappa: Numbers
    error: Numbers

    @property
    def interval(self) -> tuple[Numbers, Numbers]:
        """The ends of the 95% intervals; NaN where there is none."""
        half = NORMAL_QUANTILE * self.error
        return np.maximum(self.kappa - half, -1), np.minimum(self.kappa + half, 1)


def pairwise(crowd: Crowd) -> Iterator[Kappas]:
    """Of every two solvers with an item in common, some pairs at a time, in the order of solvers."""
    for block in blocks(crowd):
        kappa, slope = _of_all_labels(block)
        error = np.sqrt(np.bincount(block.pair, slope * slope, minlength=len(kappa)))
        error[np.isnan(kappa)] = np.nan
        yield Kappas(block.first, block.second, block.items, block.agreed, kappa, error)


@dataclass(slots=True)
class _Mean:
    """What the weighted mean is made of, summed over pairs of solvers; the arrays: by item."""

    weight: int
    thin: int
    kappas: int
    total: float
    slope: Numbers
    pairs: Numbers

    @classmethod
    def of_nothing(cls, items: int) -> "_Mean":
        return cls(0, 0, 0, 0.0, np.zeros(items), np.zeros(items))

    def add(self, item: Integers, pair: Integers, items: Integers, kappa: Numbers, slope: Numbers) -> None:
        defined = ~np.isnan(kappa)
        self.weight += int(items[defined].sum())
        self.kappas += int(defined.sum())
        self.thin += int(items[defined & (items < THIN)].sum())
        self.total += float((items[defined] * kappa[defined]).sum())
        kept = defined[pair]
        moved = kappa[pair] + items[pair] * slope
        self.slope += np.bincount(item[kept], moved[kept], minlength=len(self.slope))
        self.pairs += np.bincount(item[kept], minlength=len(self.pairs))

    def estimate(self, counted: Mask) -> Estimate:
        if not self.weight:
            return undefined(NO_KAPPA)
        mean = self.total / self.weight
        moves = (self.slope[counted] - mean * self.pairs[counted]) / self.weight
        found = estimate(mean, moves * int(counted.sum()))
        thin = self.kappas > 1 and 2 * self.thin > self.weight
        return replace(found, why=MOSTLY_THIN) if thin and not found.why else found


def mean_kappas(crowd: Crowd, labels: list[int]) -> tuple[Estimate, list[Estimate]]:
    """The mean over pairs of solvers, each weighted by its items in common: of all labels, and of each.

    Undefined kappas are left out. The second part has each of `labels` against all others together, in that
    order. The degrees of freedom are the items with two votes or more, less one.
    """
    counted = np.diff(crowd.offsets) >= 2
    whole = _Mean.of_nothing(len(counted))
    found: list[Estimate] = []
    at_once = max(_SUMS_AT_ONCE // max(len(counted), 1), 1)
    for start in range(0, max(len(labels), 1), at_once):
        some = labels[start : start + at_once]
        means = [_Mean.of_nothing(len(counted)) for _ in some]
        for block in blocks(crowd):
            items = block.items
            if not start:
                whole.add(block.item, block.pair, items, *_of_all_labels(block))
            for label, mean in zip(some, means, strict=True):
                mean.add(block.item, block.pair, items, *_of_one_label(block, items, label))
        found += [mean.estimate(counted) for mean in means]
    return whole.estimate(counted), found


def _of_all_labels(block: Block) -> tuple[Numbers, Numbers]:
    """Kappa of each pair of solvers, and by how much each pair of votes moves it."""
    items, pair = block.items, block.pair
    labels = int(max(block.first_answer.max(), block.second_answer.max())) + 1
    keys = np.concatenate((pair * labels + block.first_answer, pair * labels + block.second_answer))
    cells, cell = ranked(keys)
    first, second = cell[: len(pair)], cell[len(pair) :]
    by_first = np.bincount(first, minlength=len(cells))
    by_second = np.bincount(second, minlength=len(cells))
    chance = np.bincount(cells // labels, by_first * by_second, minlength=len(items)).astype(np.int64)
    agrees = block.first_answer == block.second_answer
    kappa, slope = _kappa_and_slope(
        items, block.agreed, chance, pair, agrees, by_second[first] + by_first[second]
    )
    return kappa, slope


def _of_one_label(block: Block, items: Integers, label: int) -> tuple[Numbers, Numbers]:
    """The same for one label against the rest."""
    pair, count = block.pair, len(block.first)
    first, second = block.first_answer == label, block.second_answer == label
    by_first = np.bincount(pair[first], minlength=count)
    by_second = np.bincount(pair[second], minlength=count)
    both = np.bincount(pair[first & second], minlength=count)
    agreed = items - by_first - by_second + 2 * both
    chance = by_first * by_second + (items - by_first) * (items - by_second)
    moved = np.where(first, by_second[pair], (items - by_second)[pair])
    moved += np.where(second, by_first[pair], (items - by_first)[pair])
    return _kappa_and_slope(items, agreed, chance, pair, first == second, moved)


def _kappa_and_slope(
    items: Integers, agreed: Integers, chance: Integers, pair: Integers, agrees: Mask, chance_moved: Integers
) -> tuple[Numbers, Numbers]:
    """(n A - E) / (n^2 - E), and its derivative by the weight of each pair of votes.

    items, agreed, chance: n, A and E of each pair of solvers. agrees, chance_moved: dA and dE of each pair
    of votes.
    """
    over, under = items * agreed - chance, items * items - chance
    with np.errstate(invalid="ignore"):
        kappa = np.where(under > 0, over / under, np.nan)
    safe = np.where(under > 0, under, 1)[pair].astype(np.float64)
    d_over = agrees * items[pair] + agreed[pair] - chance_moved
    d_under = 2 * items[pair] - chance_moved
    slope = (d_over - np.nan_to_num(kappa)[pair] * d_under) / safe
    return kappa, slope
