"""Exact arithmetic of confidence, over whole columns: shares, steps and exits."""

from typing import Any

import numpy as np

from hiveguard_pipeline.rules.policy import ONE, Policy
from hiveguard_pipeline.rules.states import State

# Names for readers: numpy's own types of dtypes do not survive arithmetic and fancy indexing.
Integers = np.ndarray[Any, Any]
"""int64"""
Codes = np.ndarray[Any, Any]
"""int32, codes of answers; -1 for none"""
States = np.ndarray[Any, Any]
"""uint8, codes of State"""
Mask = np.ndarray[Any, Any]
"""bool"""


def share(part: Integers, whole: Integers) -> Integers:
    """part / whole in millionths, ties to even. Shapes (n,); whole > 0; part * 10**6 fits 64 bits."""
    quotient, rest = np.divmod(part * ONE, whole)
    twice = 2 * rest
    up = (twice > whole) | ((twice == whole) & (quotient % 2 == 1))
    return np.asarray(quotient + up, dtype=np.int64)


def step(confidence: Integers, agree: Integers, disagree: Integers, delta: Any) -> Integers:
    """Confidence after one batch: += (agreeing - disagreeing) x DELTA, clamped to [0, 1]. Millionths."""
    moved = confidence + (agree.astype(np.int64) - disagree) * delta
    return np.asarray(np.minimum(np.maximum(moved, 0), ONE))


def judge(confidence: Integers, total_votes: Integers, exit_: Any, floor: Any, min_total: Any) -> States:
    """The exit that a confidence leads to, floor first. The three limits are numbers or columns."""
    flagged = confidence < floor
    graduated = (confidence >= exit_) & (total_votes >= min_total) & ~flagged
    return np.asarray(
        np.uint8(State.IN_REVALIDATION)
        + flagged * np.uint8(State.NEEDS_REVIEW - State.IN_REVALIDATION)
        + graduated * np.uint8(State.GRADUATED - State.IN_REVALIDATION)
    )


def judge_under(policy: Policy, confidence: Integers, total_votes: Integers) -> States:
    """`judge` with the limits of one policy."""
    return judge(
        confidence,
        total_votes,
        policy.revalidation_exit_confidence,
        policy.revalidation_confidence_threshold,
        policy.revalidation_min_total_votes,
    )


def reviewed_confidence(agree: int, applied: int, policy: Policy) -> int:
    """Confidence after confirm or relabel: the share of all applied votes that agree, at least the floor.

    In millionths. An item that no vote was applied to stands at the floor.
    """
    floor = policy.revalidation_confidence_threshold
    if applied == 0:
        return floor
    return max(int(share(np.array([agree]), np.array([applied]))[0]), floor)
