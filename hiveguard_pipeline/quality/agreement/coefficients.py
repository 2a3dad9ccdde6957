"""Percent agreement, Fleiss' kappa, Krippendorff's alpha and Gwet's AC1 of a table items x labels.

Each is (observed - chance) / (1 - chance), for unequal numbers of votes as in Gwet, Handbook of Inter-Rater
Reliability, 4th ed. (2014), chapters 2, 3 and 5, and as irrCAC computes it; intervals are Gwet's linearised
ones. Labels that nobody gave do not count as categories.
"""

from collections.abc import Callable

import numpy as np

from hiveguard_pipeline.quality.agreement.counts import Counts, Numbers
from hiveguard_pipeline.quality.agreement.intervals import Estimate, estimate, undefined

NO_PAIR = "no item has two votes"
ONE_LABEL = "all votes are for one label, so chance alone would agree as much"


def percent_agreement(counts: Counts) -> Estimate:
    """The mean, over items with two votes or more, of the share of agreeing pairs of votes."""
    items, paired = len(counts.votes), counts.votes >= 2
    if not paired.any():
        return undefined(NO_PAIR)
    shares = agreeing_share(counts)
    return estimate(float(shares[paired].mean()), items / paired.sum() * shares, least=0.0)


def fleiss_kappa(counts: Counts) -> Estimate:
    """Fleiss (1971), Psychological Bulletin 76, 378; for unequal numbers of votes Gwet (2014), eq. 2.10.

    Chance is the sum of squares of each label's mean share.
    """

    def chance(shares: Numbers, _labels: int) -> Numbers:
        return shares

    return _chance_corrected(counts, chance)


def gwet_ac1(counts: Counts) -> Estimate:
    """Gwet (2008), Br. J. Math. Stat. Psychol. 61, 29: chance is sum p (1 - p) / (labels - 1)."""

    def chance(shares: Numbers, labels: int) -> Numbers:
        return (1 - shares) / (labels - 1)

    return _chance_corrected(counts, chance)


def krippendorff_alpha(counts: Counts) -> Estimate:
    """Nominal alpha: Krippendorff, Content Analysis (1980, 2004 ed. p. 221); Gwet (2014), section 2.5.

    Items with one vote do not count. The small-sample term 1 / votes is in it.
    """
    paired = counts.votes >= 2
    if not paired.any():
        return undefined(NO_PAIR)
    table = counts.of_items(paired)
    if table.labels < 2:
        return undefined(ONE_LABEL)
    items, votes = len(table.votes), table.votes
    mean = votes.mean()
    share = _by_item(table, table.count * (table.count - 1)) / (mean * (votes - 1))
    observed_plain = share.mean()
    small = 1 / votes.sum()
    observed = (1 - small) * observed_plain + small
    shares = np.bincount(table.label, table.count / mean) / items
    chance = float(shares @ shares)
    surplus = (votes - mean) / mean
    value, plain = (observed - chance) / (1 - chance), (observed_plain - chance) / (1 - chance)
    of_items = (share - observed * surplus - chance) / (1 - chance)
    chance_of_items = _by_item(table, table.count * shares[table.label]) / mean - chance * surplus
    return estimate(float(value), of_items - 2 * (1 - plain) * (chance_of_items - chance) / (1 - chance))


COEFFICIENTS: dict[str, Callable[[Counts], Estimate]] = {
    "percent_agreement": percent_agreement,
    "fleiss_kappa": fleiss_kappa,
    "krippendorff_alpha": krippendorff_alpha,
    "gwet_ac1": gwet_ac1,
}
"""Name -> the coefficient of a table."""


def agreeing_share(counts: Counts) -> Numbers:
    """Of each item, the share of its pairs of votes that agree; 0 where it has one vote. Shape (items,)."""
    pairs = np.maximum(counts.votes * (counts.votes - 1), 1)
    return np.asarray(_by_item(counts, counts.count * (counts.count - 1)) / pairs)


def _chance_corrected(counts: Counts, chance_weight: Callable[[Numbers, int], Numbers]) -> Estimate:
    """(observed - chance) / (1 - chance), where chance = sum over labels of share x weight(share)."""
    items, paired = len(counts.votes), counts.votes >= 2
    if not paired.any():
        return undefined(NO_PAIR)
    labels = counts.labels
    if labels < 2:
        return undefined(ONE_LABEL)
    agreeing = agreeing_share(counts)
    observed = agreeing[paired].mean()
    shares = np.bincount(counts.label, counts.count / counts.votes[counts.item]) / items
    weight = chance_weight(shares, labels)
    chance = float(shares @ weight)
    value = (observed - chance) / (1 - chance)
    of_items = items / paired.sum() * (agreeing - chance * paired) / (1 - chance)
    chance_of_items = _by_item(counts, counts.count * weight[counts.label]) / counts.votes
    return estimate(float(value), of_items - 2 * (1 - value) * (chance_of_items - chance) / (1 - chance))


def _by_item(counts: Counts, of_cells: Numbers) -> Numbers:
    return np.bincount(counts.item, of_cells, minlength=len(counts.votes))
