"""When each item gets its votes, counted in votes of the whole dataset: by the pool's rule, or as given."""

import numpy as np

from hiveguard_pipeline.foresight.answers import Floats
from hiveguard_pipeline.foresight.exits import Exits
from hiveguard_pipeline.rules.arithmetic import Integers
from hiveguard_pipeline.rules.states import State

NEVER = np.inf


def served(exits: Exits, had: Integers, random: np.random.Generator) -> Floats:
    """After how many further votes of the pool each item leaves it, when its rule of selection serves them.

    had: votes that each item of tier 1 has; shape (items,), as the result; NEVER for items that stay.
    Tier 1 first, fewest votes first (the one draw in ten at random changes little and is left out). Then
    tier 2: a vote goes to an item with probability in proportion to its weight, which is a race of
    independent exponential clocks, each as fast as its item's weight is now; so every item is run
    alone and the votes of all are put in order by their times.
    """
    counts = exits.total - exits.first
    opens = np.cumsum(counts) - counts
    tier_2 = _summed(random.exponential(size=len(exits.weight)) / exits.weight, opens, counts)

    item = np.repeat(np.arange(len(had)), exits.first)
    number = np.arange(len(item)) - np.repeat(np.cumsum(exits.first) - exits.first, exits.first)
    highest = int((had + exits.first).max(initial=0)) + 1
    tier_1 = (had[item] + number).astype(float) - highest + random.random(len(item))  # all below 0

    last = np.full(len(had), NEVER)
    once = np.flatnonzero(exits.first)
    last[once] = tier_1[(np.cumsum(exits.first) - 1)[once]]
    again = np.flatnonzero(counts)
    last[again] = tier_2[(opens + counts - 1)[again]]
    times = np.sort(np.concatenate((tier_1, tier_2)))
    place = np.searchsorted(times, last, side="right").astype(float)
    return np.where(_left(exits), place, NEVER)


def as_given(exits: Exits, arrivals: Integers) -> Floats:
    """After how many of some votes each item leaves the pool. arrivals: the item of each vote, -1 for others.

    Shape (items,); NEVER for an item that these votes do not settle.
    """
    theirs = np.flatnonzero(arrivals >= 0)
    order = theirs[np.argsort(arrivals[theirs], kind="stable")]
    counts = np.bincount(arrivals[theirs], minlength=len(exits.total))
    place = np.full(len(exits.total), NEVER)
    enough = np.flatnonzero(_left(exits) & (counts >= exits.total) & (exits.total > 0))
    opens = np.cumsum(counts) - counts
    place[enough] = order[opens[enough] + exits.total[enough] - 1] + 1
    return place


def _left(exits: Exits) -> Integers:
    return np.asarray((exits.state == State.GRADUATED) | (exits.state == State.NEEDS_REVIEW))


def _summed(steps: Floats, opens: Integers, counts: Integers) -> Floats:
    """Running sums within each item."""
    running = np.cumsum(steps)
    return np.asarray(running - np.repeat(np.concatenate(([0.0], running))[opens], counts))
