"""Which items of the pool to serve next (DESIGN section 2, Selection). All chance comes from the caller."""

from typing import Any

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Integers
from hiveguard_pipeline.rules.policy import ONE, Policy

Floats = np.ndarray[Any, Any]

RANDOM_SHARE = 0.1
"""Share of tier 1 draws made at random, so that contested items do not starve."""

LEAST_WEIGHT = 0.01


def weights(confidence: Integers, total_votes: Integers, policy: Policy) -> Floats:
    """Weight of each tier 2 item: max(exit - confidence, missing share of MIN_TOTAL_VOTES, 0.01).

    confidence in millionths, shapes (n,); the result has no unit and is at least 0.01.
    """
    doubt = (policy.revalidation_exit_confidence - confidence) / ONE
    minimum = policy.revalidation_min_total_votes
    missing = (minimum - total_votes) / minimum
    return np.asarray(np.maximum(np.maximum(doubt, missing), LEAST_WEIGHT))


def draw_weighted(weight: Floats, n: int, random: np.random.Generator) -> Integers:
    """Positions of up to n items drawn without replacement, each draw in proportion to weight.

    Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006): the n largest
    u ** (1 / w) are such a sample, in draw order.
    """
    keys = np.log1p(-random.random(len(weight))) / weight
    return np.asarray(np.argsort(-keys, kind="stable")[:n], dtype=np.int64)


def draw_fewest_first(
    votes: Integers, n: int, random: np.random.Generator, rank: Integers | None = None
) -> Integers:
    """Positions of up to n unlabeled items: the queue, then fewest votes first; one draw in ten at random.

    rank: of each item in the labelling queue, 1 first, 0 for an item that is not in it. Items with as many
    votes come in random order, so that two challenge servers that ask at once are not given the same list;
    those of the queue come in its order.
    """
    n = min(n, len(votes))
    at_random = random.random(n) < RANDOM_SHARE
    shuffled = random.permutation(len(votes))
    chosen = shuffled[: int(at_random.sum())]
    rest = shuffled[len(chosen) :]
    rest = rest[np.argsort(votes[rest], kind="stable")]
    if rank is not None and rank.any():
        last = np.iinfo(np.int64).max
        rest = rest[np.argsort(np.where(rank[rest] > 0, rank[rest], last), kind="stable")]
    drawn = np.empty(n, dtype=np.int64)
    drawn[at_random] = chosen
    drawn[~at_random] = rest[: n - len(chosen)]
    return drawn
