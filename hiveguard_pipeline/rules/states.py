"""The states of an item and the kinds of ledger row, as codes for arrays and as words for tables."""

from enum import IntEnum


class State(IntEnum):
    """Where an item stands; unlabeled and in_revalidation are in the pool."""

    UNLABELED = 0
    IN_REVALIDATION = 1
    NEEDS_REVIEW = 2
    GRADUATED = 3
    DISCARDED = 4
    GOLD = 5


class Kind(IntEnum):
    """What wrote a row of the ledger.

    ADAPTIVE: votes judged by the calibrated probability. SETTLED: an item that was to go to a person, decided
    from all its votes under a newer calibration.
    """

    FIRST_PASS = 0
    REVALIDATION = 1
    REVIEW = 2
    ADAPTIVE = 3
    SETTLED = 4


STATES = tuple(state.name.lower() for state in State)
KINDS = tuple(kind.name.lower() for kind in Kind)
POOL_STATES = (State.UNLABELED.name.lower(), State.IN_REVALIDATION.name.lower())
