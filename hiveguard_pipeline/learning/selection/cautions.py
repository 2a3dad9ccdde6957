"""When a query harms: what is said to who asks for too much at once, or of a model that is out of date.

Measured on digits (docs/active-learning.md, "Where a strategy loses"); the shares are where harm began there.
"""

from hiveguard_pipeline.errors import HiveGuardError

LARGE_SHARE_OF_POOL = 0.05
LARGE_SHARE_OF_LABELLED = 0.25

_ALIKE = "the picks are alike, and nothing learnt from one changes the next: in batches of 100 on a small set"

REASONS = {
    "uncertainty": f"{_ALIKE}, uncertainty was no better than drawing at random",
    "committee": f"{_ALIKE}, a committee was no better than drawing at random",
    "hybrid": "nothing learnt from one pick changes the next: large batches save fewer labels",
}
"""Of the strategies that rank by a model's answers. The others do not look at what a batch would teach."""


class SelectionWarning(UserWarning):
    """A query that was answered, and that is likely to save less than it seems."""


def large_query(strategy: str, n: int, pool: int, labelled: int | None) -> tuple[str, ...]:
    """What to say of n picks from a pool of this size.

    labelled: how many items have a label; None where that is not known, 0 for a model from elsewhere.
    """
    if strategy not in REASONS:
        return ()
    found = []
    if n > LARGE_SHARE_OF_POOL * pool:
        found.append(f"more than {LARGE_SHARE_OF_POOL:.0%} of the pool of {pool}")
    if labelled and n > LARGE_SHARE_OF_LABELLED * labelled:
        found.append(f"more than {LARGE_SHARE_OF_LABELLED:.0%} of the {labelled} labelled items")
    if not found:
        return ()
    return (
        f"a query of {n} is {' and '.join(found)}: {REASONS[strategy]}. Ask fewer at once, and train between",
    )


def stale_model(made_with: str, now: str, labels_since: int) -> str:
    """What to say of a ranking whose model is no longer the newest, or has not seen the newest labels."""
    changed = []
    if now != made_with:
        changed.append(f"the model is {now} now")
    if labels_since > 0:
        changed.append(f"{labels_since} labels came since")
    return (
        f"this ranking was made with model {made_with}; {' and '.join(changed)}: train and rank again."
        " A stale ranking by uncertainty was worse than drawing at random"
    )


class UsedUpError(HiveGuardError):
    """A ranking has no items left."""
