"""Whether a new model replaces the last one: by the same held-out items, both scored now.

With LEAST_JUDGES held-out items or more, a model that is right on fewer of them is worse, and does not
replace the other: no margin decides, since one that does worse needs none. With fewer, one item more or less
says nothing, and a model that has seen more labels would often be turned away by chance: there it is worse if
a difference as large has less than SURPRISE probability between equal models (McNemar's exact test of 1947,
one-sided: of the items on which only one model is right, a fair coin each).
"""

from dataclasses import dataclass

from hiveguard_pipeline.rules.arithmetic import Mask

LEAST_JUDGES = 100
SURPRISE = 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the new model is taken, and why, in words. gained, lost: items that only one has right."""

    accepted: bool
    reason: str
    gained: int = 0
    lost: int = 0


def compare(new_right: Mask, old_right: Mask, old_name: str) -> Verdict:
    """Judge a new model by the last accepted one. new_right, old_right: shape (held-out items,)."""
    items = len(new_right)
    if not items:
        return Verdict(True, f"no held-out items to compare it with {old_name} by")
    gained = int((new_right & ~old_right).sum())
    lost = int((~new_right & old_right).sum())
    chance = mcnemar(gained, lost)
    said = (
        f"right on {int(new_right.sum()):,} of {items:,} held-out items, {old_name} on"
        f" {int(old_right.sum()):,} (gained {gained:,}, lost {lost:,}; by chance p = {chance:.2g})"
    )
    if lost <= gained:
        return Verdict(True, said, gained, lost)
    if items < LEAST_JUDGES and chance >= SURPRISE:
        return Verdict(True, f"not worse beyond chance: {said}", gained, lost)
    return Verdict(False, f"worse: {said}", gained, lost)


def mcnemar(gained: int, lost: int) -> float:
    """The probability that equal models differ by so many lost items or more; 1 without any difference."""
    from scipy.stats import binomtest

    if gained + lost == 0:
        return 1.0
    return float(binomtest(lost, gained + lost, alternative="greater").pvalue)


def interval_of_share(right: int, of: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share (Wilson 1927); (0, 1) of nothing."""
    from scipy.stats import binomtest

    if not of:
        return 0.0, 1.0
    found = binomtest(right, of).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)
