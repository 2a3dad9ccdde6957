"""A ledger as columns, and what a replay of it amounts to."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask, States
from hiveguard_pipeline.rules.policy import Policy

Differ = Callable[[Mask, str], None]
"""Called with the rows that do not follow, and why."""

DECISIONS = ("none", "confirm", "relabel", "discard", "undo", "hold", "release", "accept")
"""What a row of kind review may have decided.

People confirm, relabel, discard and undo. The stages of a workflow hold (label and confidence stay, people
look at it), release (nobody agreed on anything: back to the crowd with the label that it has, at least at the
floor) and accept (a label that a stage agreed on: as confirm or relabel, but graduated).
"""

NO_DECISION, CONFIRM, RELABEL, DISCARD, UNDO, HOLD, RELEASE, ACCEPT = range(len(DECISIONS))


@dataclass(slots=True)
class History:
    """Ledger rows by item, then in the order they were written; all columns of shape (rows,).

    item: position of the item in `Votes`. policy: position in the list of policies. first_vote_id and
    last_vote_id are -1 where the row took no votes. decision: a code of DECISIONS, 0 for batches.
    undone: the row is a decision that a later row undoes. restores: for an undo, the position of the row
    whose outcome it brings back, -1 for the outcome of an item without rows. restates_through: for a row
    that opens a generation with a decision taken in an earlier one, the newest vote that was processed
    then; -1 for all others. era: which version of the classes a row is under, 0 for the first.
    """

    item: Integers
    policy: Integers
    kind: States
    first_vote_id: Integers
    last_vote_id: Integers
    agree: Integers
    disagree: Integers
    label: Codes
    confidence_before: Integers
    confidence_after: Integers
    state_after: States
    decision: States
    undone: Mask
    restores: Integers
    restates_through: Integers
    era: Integers

    def __len__(self) -> int:
        return len(self.item)


@dataclass(slots=True)
class Outcome:
    """What a replay says the labels are; columns of shape (items,). last_row is -1 without rows.

    applied_through is 0 where no vote was applied.
    """

    label: Codes
    confidence: Integers
    state: States
    vote_count: Integers
    revalidation_vote_count: Integers
    revalidation_epochs: Integers
    applied_through: Integers
    last_row: Integers


@dataclass(slots=True)
class Difference:
    """Rows of the ledger (positions) that do not follow, and why."""

    rows: Integers
    reason: str


@dataclass(slots=True)
class Limits:
    """The policy of each row, as columns."""

    threshold: Integers
    min_total: Integers
    exit: Integers
    floor: Integers
    delta: Integers
    batch: Integers
    adaptive_min: Integers

    @classmethod
    def of(cls, policies: list[Policy], row_policy: Integers) -> "Limits":
        """The limits of rows that name policies by their position in a list; shape (rows,) each."""

        def column(name: str) -> Integers:
            return np.array([getattr(policy, name) for policy in policies] or [0], dtype=np.int64)[row_policy]

        return cls(
            threshold=column("consensus_threshold"),
            min_total=column("revalidation_min_total_votes"),
            exit=column("revalidation_exit_confidence"),
            floor=column("revalidation_confidence_threshold"),
            delta=column("revalidation_delta"),
            batch=column("revalidation_min_votes"),
            adaptive_min=column("adaptive_min_votes"),
        )
