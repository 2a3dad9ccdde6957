"""Replay of ledger rows that a probability decided: all but the probability itself.

What solvers were known to be stands in calibrations, not in the votes; `audit` derives the probabilities.
"""

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Integers, Mask, States, share
from hiveguard_pipeline.rules.columns import Votes
from hiveguard_pipeline.rules.history import Differ, History, Limits
from hiveguard_pipeline.rules.states import Kind, State


def check_probable(
    votes: Votes,
    history: History,
    rows: Mask,
    state_before: States,
    taken_before: Integers,
    taken_after: Integers,
    limits: Limits,
    differ: Differ,
) -> None:
    """Check rows of kinds adaptive and settled: the votes they take, confidence, what follows on what."""
    adaptive = rows & (history.kind == Kind.ADAPTIVE)
    settled = rows & (history.kind == Kind.SETTLED)
    pool = (state_before == State.UNLABELED) | (state_before == State.IN_REVALIDATION)
    differ(adaptive & ~pool, "judges an item that is not in the pool")
    differ(settled & (state_before != State.NEEDS_REVIEW), "settles an item that is not in review")
    judged = (
        (history.state_after == State.IN_REVALIDATION)
        | (history.state_after == State.GRADUATED)
        | (history.state_after == State.NEEDS_REVIEW)
    )
    differ(adaptive & ~judged, "leads to another state than its policy gives")
    differ(settled & (history.state_after != State.GRADUATED), "settles nothing")
    due = np.maximum(taken_before + 1, limits.adaptive_min)
    differ(adaptive & (taken_after != due), "does not judge after the next vote")

    found = np.flatnonzero(rows)
    held = history.item[found]
    counts = np.clip(taken_after[found], 0, np.diff(votes.offsets)[held])
    row = np.repeat(np.arange(len(found)), counts)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts) + votes.offsets[held[row]]
    same = votes.agree(place, history.label[found[row]], history.era[found[row]])
    agree = np.bincount(row[same], minlength=len(found)).astype(np.int64)
    wrong = np.zeros(len(history), dtype=bool)
    wrong[found] = share(agree, np.maximum(counts, 1)) != history.confidence_after[found]
    differ(wrong, "reaches another confidence than its votes give")
