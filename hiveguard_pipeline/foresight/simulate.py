"""What other settings would have made of the same votes: both policies replayed, and compared.

Votes that count are folded from the first one on, as they arrived, in memory. What a person decided hangs
on no policy: such items are replayed under neither and stand as they are recorded under both. The votes on
gold items are folded too, for accuracy alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.foresight.standing import Recorded, read_recorded, require_documented
from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask, States
from hiveguard_pipeline.rules.columns import NO_LABEL, Items
from hiveguard_pipeline.rules.fold import fold
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.crowd import Crowd, read_crowd
from hiveguard_pipeline.store.datasets import Dataset, current_policy


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Right labels among gold items that got one; accuracy and interval None where none did."""

    items: int
    right: int
    accuracy: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class OnGold:
    """What a policy makes of gold items' votes: all their labels, and those that graduate."""

    labelled: Accuracy
    graduated: Accuracy


@dataclass(frozen=True, slots=True)
class Export:
    """Items in an export under the current and the other settings; relabelled: in both, as another label."""

    now: int
    then: int
    gained: int
    lost: int
    relabelled: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """Two policies on the same votes.

    items: not gold; decided: those of them that a person decided. matrix: items by state under the
    current (rows) and the other settings, shape (states, states). labels_*: items whose label changes, or
    that have one under one policy alone. applied_*: votes that each policy applies. gold_items:
    those with votes. recorded_*: items that stand otherwise in the store than under the current settings.
    """

    current: Policy
    other: Policy
    items: int
    votes: int
    decided: int
    matrix: Integers
    states_changed: int
    labels_changed: int
    labels_gained: int
    labels_lost: int
    applied_now: int
    applied_then: int
    finalized: Export
    graduated: Export
    gold_items: int
    gold_now: OnGold | None
    gold_then: OnGold | None
    recorded_states_differ: int
    recorded_labels_differ: int


def simulate(connection: sa.Connection, dataset: Dataset, settings: Mapping[str, object]) -> Simulation:
    """Replay a dataset's votes under its policy, and under it with some settings changed. Writes nothing.

    Raises BadInputError for settings that `policy set` would refuse, and for another than the documented
    rule of graduation.
    """
    current = current_policy(connection, dataset).policy
    other = current.replaced(settings)
    for policy in (current, other):
        require_documented(dataset, policy, "a replay of other settings")
    crowd = read_crowd(connection, dataset)
    recorded = read_recorded(connection, dataset, crowd)
    return compared(crowd, recorded, _decided(connection, dataset, crowd), current, other)


def compared(crowd: Crowd, recorded: Recorded, decided: Mask, current: Policy, other: Policy) -> Simulation:
    """The two policies on a crowd's votes. decided: shape (items,), items that stand by a person's word."""
    gold = (crowd.gold != NO_LABEL) | (recorded.items.state == State.GOLD)
    kept = decided & ~gold
    now, applied_now = _replayed(crowd, recorded.items, kept, current)
    then, applied_then = _replayed(crowd, recorded.items, kept, other)

    labels = ~gold
    before, after = now.state[labels], then.state[labels]
    label_before, label_after = now.label[labels], then.label[labels]
    had, has = label_before != NO_LABEL, label_after != NO_LABEL
    was, is_ = recorded.items.state[labels], recorded.items.label[labels]
    known = np.flatnonzero(gold & (crowd.gold != NO_LABEL) & (np.diff(crowd.offsets) > 0))
    size = len(STATES)
    return Simulation(
        current=current,
        other=other,
        items=int(labels.sum()),
        votes=int(np.diff(crowd.offsets)[labels].sum()),
        decided=int(kept.sum()),
        matrix=np.bincount(before.astype(np.int64) * size + after, minlength=size**2).reshape(size, size),
        states_changed=int((before != after).sum()),
        labels_changed=int((had & has & (label_before != label_after)).sum()),
        labels_gained=int((~had & has).sum()),
        labels_lost=int((had & ~has).sum()),
        applied_now=int(applied_now[labels].sum()),
        applied_then=int(applied_then[labels].sum()),
        finalized=_export(_finalized(before), _finalized(after), label_before, label_after),
        graduated=_export(before == State.GRADUATED, after == State.GRADUATED, label_before, label_after),
        gold_items=len(known),
        gold_now=_on_gold(now, crowd.gold, known),
        gold_then=_on_gold(then, crowd.gold, known),
        recorded_states_differ=int((was != before).sum()),
        recorded_labels_differ=int((is_ != label_before).sum()),
    )


def _decided(connection: sa.Connection, dataset: Dataset, crowd: Crowd) -> Mask:
    """Items with a decision that stands, undone by none."""
    found = read_columns(
        connection,
        "SELECT DISTINCT r.item_id FROM reviews r JOIN items i ON i.item_id = r.item_id"
        " WHERE i.dataset_id = :dataset AND r.undoes IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM reviews u WHERE u.undoes = r.review_id)",
        {"dataset": dataset.dataset_id},
        {"item_id": str},
    )
    return np.asarray(pc.is_in(crowd.item_ids, value_set=found["item_id"]).to_numpy(zero_copy_only=False))


def _replayed(crowd: Crowd, recorded: Items, kept: Mask, policy: Policy) -> tuple[Items, Integers]:
    """All items after all their votes under a policy, and how many votes each had applied."""
    done = fold(crowd.votes, Items.unlabeled(len(kept)), policy)
    items, applied = done.items, done.applied
    for column, stands in (
        (items.label, recorded.label),
        (items.state, recorded.state),
        (items.vote_count, recorded.vote_count),
        (items.revalidation_vote_count, recorded.revalidation_vote_count),
    ):
        column[kept] = stands[kept]
    applied[kept] = (recorded.vote_count + recorded.revalidation_vote_count)[kept]
    return items, applied


def _finalized(state: States) -> Mask:
    return np.asarray((state == State.IN_REVALIDATION) | (state == State.GRADUATED))


def _export(before: Mask, after: Mask, label_before: Codes, label_after: Codes) -> Export:
    return Export(
        now=int(before.sum()),
        then=int(after.sum()),
        gained=int((~before & after).sum()),
        lost=int((before & ~after).sum()),
        relabelled=int((before & after & (label_before != label_after)).sum()),
    )


def _on_gold(items: Items, truth: Codes, known: Integers) -> OnGold | None:
    if not len(known):
        return None
    labelled = known[items.label[known] != NO_LABEL]
    return OnGold(
        _accuracy(items.label, truth, labelled),
        _accuracy(items.label, truth, labelled[items.state[labelled] == State.GRADUATED]),
    )


def _accuracy(label: Codes, truth: Codes, among: Integers) -> Accuracy:
    right, items = int((label[among] == truth[among]).sum()), len(among)
    if not items:
        return Accuracy(0, 0, None, None, None)
    low, high = wilson(right, items)
    return Accuracy(items, right, right / items, low, high)


def wilson(right: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927; Brown, Cai and DasGupta 2001, equation 4)."""
    from scipy.stats import binomtest

    found: Any = binomtest(right, of).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)
