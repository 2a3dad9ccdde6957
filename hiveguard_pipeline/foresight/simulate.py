"""What other settings would have made of the same votes: both policies replayed, and compared.

Votes that count are folded from the first one on, as they arrived (`replay`). What a person decided hangs
on no policy: such items are replayed under neither and stand as they are recorded under both. The votes on
gold items are folded too, for accuracy alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.foresight.accuracy import OnGold, on_gold
from hiveguard_pipeline.foresight.replay import Learnt, Replayed, newest_learnt, replay
from hiveguard_pipeline.foresight.standing import Recorded, read_recorded
from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask, States
from hiveguard_pipeline.rules.columns import NO_LABEL, Items
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.calibrations import RecordedCalibration
from hiveguard_pipeline.store.crowd import Crowd, read_crowd
from hiveguard_pipeline.store.datasets import Dataset, current_policy
from hiveguard_pipeline.store.structured import refuse_structured


@dataclass(frozen=True, slots=True)
class Export:
    """Items in an export under the current and the other settings; relabelled: in both, as another label."""

    now: int
    then: int
    gained: int
    lost: int
    relabelled: int


@dataclass(frozen=True, slots=True)
class VotesNeeded:
    """Votes that a policy took of items that have votes, are not gold and that no person decided.

    items: how many there are; an_item: votes applied to one of them, the mean. graduated: how many of them
    graduated; a_graduated: votes applied to one of these, the mean. Means are None where there is no item.
    settled: items in review that all their votes would settle, None under the documented rule.
    """

    items: int
    votes: int
    an_item: float | None
    graduated: int
    a_graduated: float | None
    settled: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """The calibration under which votes were replayed.

    replayed: how many of the replayed votes it was made of, votes on gold items too.
    """

    calibration: RecordedCalibration
    replayed: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """Two policies on the same votes.

    items: not gold; decided: those of them that a person decided. matrix: items by state under the
    current (rows) and the other settings, shape (states, states). labels_*: items whose label changes, or
    that have one under one policy alone. applied_*: votes that each policy applies, those on items that a
    person decided too; needed_*: without those. gold_items: those with votes. recorded_*: items that stand
    otherwise in the store than under the current settings. known: None where no policy is adaptive.
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
    needed_now: VotesNeeded
    needed_then: VotesNeeded
    finalized: Export
    graduated: Export
    gold_items: int
    gold_now: OnGold | None
    gold_then: OnGold | None
    recorded_states_differ: int
    recorded_labels_differ: int
    known: Known | None


def simulate(connection: sa.Connection, dataset: Dataset, settings: Mapping[str, object]) -> Simulation:
    """Replay a dataset's votes under its policy, and under it with some settings changed. Writes nothing.

    An adaptive policy, either of the two, is replayed with the dataset's newest calibration. Raises
    BadInputError where it has none, and for settings that `policy set` would refuse.
    """
    refuse_structured(dataset, "a simulation")
    current = current_policy(connection, dataset).policy
    other = current.replaced(settings)
    adaptive = current.is_adaptive or other.is_adaptive
    learnt = newest_learnt(connection, dataset) if adaptive else None
    crowd = read_crowd(connection, dataset)
    if learnt is not None:
        crowd = learnt.named(crowd)
    recorded = read_recorded(connection, dataset, crowd)
    return compared(crowd, recorded, _decided(connection, dataset, crowd), current, other, learnt)


def compared(
    crowd: Crowd,
    recorded: Recorded,
    decided: Mask,
    current: Policy,
    other: Policy,
    learnt: Learnt | None = None,
) -> Simulation:
    """The two policies on a crowd's votes. decided: shape (items,), items that stand by a person's word.

    learnt: must be there where one of the two is adaptive, and have named the crowd.
    """
    gold = (crowd.gold != NO_LABEL) | (recorded.items.state == State.GOLD)
    kept = decided & ~gold
    now_whole, then_whole = (
        _standing_by(replay(crowd, policy, learnt), recorded.items, kept) for policy in (current, other)
    )
    now, then = now_whole.items, then_whole.items

    labels = ~gold
    before, after = now.state[labels], then.state[labels]
    label_before, label_after = now.label[labels], then.label[labels]
    had, has = label_before != NO_LABEL, label_after != NO_LABEL
    was, is_ = recorded.items.state[labels], recorded.items.label[labels]
    known = np.flatnonzero(gold & (crowd.gold != NO_LABEL) & (np.diff(crowd.offsets) > 0))
    asked = labels & ~kept & (np.diff(crowd.offsets) > 0)
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
        applied_now=int(now_whole.applied[labels].sum()),
        applied_then=int(then_whole.applied[labels].sum()),
        needed_now=_needed(now_whole, asked),
        needed_then=_needed(then_whole, asked),
        finalized=_export(_finalized(before), _finalized(after), label_before, label_after),
        graduated=_export(before == State.GRADUATED, after == State.GRADUATED, label_before, label_after),
        gold_items=len(known),
        gold_now=on_gold(now, crowd.gold, known),
        gold_then=on_gold(then, crowd.gold, known),
        recorded_states_differ=int((was != before).sum()),
        recorded_labels_differ=int((is_ != label_before).sum()),
        known=_known(crowd, learnt),
    )


def _decided(connection: sa.Connection, dataset: Dataset, crowd: Crowd) -> Mask:
    """Items with a decision that stands, undone by none."""
    found = read_columns(
        connection,
        "SELECT DISTINCT r.item_id FROM reviews r JOIN items i ON i.item_id = r.item_id"
        " WHERE i.dataset_id = :dataset AND r.decision NOT IN ('undo', 'hold', 'release')"
        " AND NOT EXISTS (SELECT 1 FROM reviews u WHERE u.undoes = r.review_id)",
        {"dataset": dataset.dataset_id},
        {"item_id": str},
    )
    return np.asarray(pc.is_in(crowd.item_ids, value_set=found["item_id"]).to_numpy(zero_copy_only=False))


def _standing_by(done: Replayed, recorded: Items, kept: Mask) -> Replayed:
    """What was replayed, in place, but for items that a person decided: they stand as recorded."""
    for column, stands in (
        (done.items.label, recorded.label),
        (done.items.state, recorded.state),
        (done.items.vote_count, recorded.vote_count),
        (done.items.revalidation_vote_count, recorded.revalidation_vote_count),
    ):
        column[kept] = stands[kept]
    done.applied[kept] = (recorded.vote_count + recorded.revalidation_vote_count)[kept]
    return done


def _needed(done: Replayed, asked: Mask) -> VotesNeeded:
    graduated = done.applied[asked & (done.items.state == State.GRADUATED)]
    every = done.applied[asked]
    return VotesNeeded(
        items=len(every),
        votes=int(every.sum()),
        an_item=_mean(every),
        graduated=len(graduated),
        a_graduated=_mean(graduated),
        settled=None if done.settled is None else int(done.settled[asked].sum()),
    )


def _mean(votes: Integers) -> float | None:
    return round(float(votes.mean()), 4) if len(votes) else None


def _known(crowd: Crowd, learnt: Learnt | None) -> Known | None:
    if learnt is None:
        return None
    return Known(learnt.recorded, int((crowd.vote_id <= learnt.recorded.horizon).sum()))


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
