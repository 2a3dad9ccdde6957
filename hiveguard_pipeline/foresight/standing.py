"""Where a dataset's items stand after all votes there are, applied or not, and what their crowd is like."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.foresight.answers import SOLVER_GROUPS, Answers, Model, fit, slots_of
from hiveguard_pipeline.foresight.exits import Pool
from hiveguard_pipeline.rules.arithmetic import Codes, Integers
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE, NO_LABEL, Items, Votes
from hiveguard_pipeline.rules.fold import fold
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.crowd import Crowd
from hiveguard_pipeline.store.datasets import Dataset


@dataclass(slots=True)
class Recorded:
    """Labels as the store has them, by item in the order of `Crowd`; applied_through: shape (items,)."""

    items: Items
    applied_through: Integers


@dataclass(slots=True)
class Standing:
    """The items that can graduate (not gold, not discarded) and what their votes say of the crowd.

    state: shape (items,). pool: those of the pool; pool_answers: their votes by slot. model: None
    without a vote.
    """

    state: Codes
    pool: Pool
    pool_items: Integers
    pool_answers: Answers
    model: Model | None


def read_recorded(connection: sa.Connection, dataset: Dataset, crowd: Crowd) -> Recorded:
    """The labels of a crowd's items; an item without a row in `labels` is unlabeled."""
    rows = read_columns(
        connection,
        f"SELECT l.label, coalesce(l.confidence, {NO_CONFIDENCE}) AS confidence,"
        " CASE coalesce(l.state, 'unlabeled')"
        + "".join(f" WHEN '{name}' THEN {code}" for code, name in enumerate(STATES))
        + " END AS state, coalesce(l.vote_count, 0) AS vote_count,"
        " coalesce(l.revalidation_vote_count, 0) AS revalidation_vote_count,"
        " coalesce(l.applied_through, 0) AS applied_through"
        " FROM items i LEFT JOIN labels l ON l.item_id = i.item_id"
        " WHERE i.dataset_id = :dataset ORDER BY i.item_id",
        {"dataset": dataset.dataset_id},
        {
            "label": str,
            "confidence": int,
            "state": int,
            "vote_count": int,
            "revalidation_vote_count": int,
            "applied_through": int,
        },
    )
    return Recorded(
        Items(
            label=_codes(rows["label"], crowd.classes),
            confidence=rows["confidence"],
            vote_count=rows["vote_count"],
            revalidation_vote_count=rows["revalidation_vote_count"],
            state=rows["state"].astype(np.uint8),
        ),
        rows["applied_through"],
    )


def _codes(labels: object, classes: list[str]) -> Codes:
    """Codes of labels; one that is no class (a reviewer may set any where none are named) gets its own."""
    import pyarrow as pa

    words = pc.unique(labels).drop_null().to_pylist()
    names = pa.array(classes + sorted(set(words) - set(classes)), type=pa.string())
    found = pc.index_in(labels, value_set=names, skip_nulls=True).fill_null(NO_LABEL)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int32)


def standing_of(crowd: Crowd, recorded: Recorded, policy: Policy) -> Standing:
    """Apply, in memory, what a run would apply now, and fit the model of answers."""
    kept = (crowd.gold == NO_LABEL) & ~np.isin(recorded.items.state, (State.DISCARDED, State.GOLD))
    crowd, recorded = _chosen(crowd, recorded, np.flatnonzero(kept))
    item = crowd.item
    new = crowd.vote_id > recorded.applied_through[item]
    waiting = crowd.only(new)
    done = fold(waiting.votes, recorded.items, policy)
    items = done.items

    slot, answers = slots_of(item, crowd.answer, items.label, len(crowd.classes))
    waits = np.arange(len(waiting.answer)) - waiting.offsets[waiting.item] >= done.applied[waiting.item]
    rest = np.diff(waiting.offsets) - done.applied
    pool = Pool(
        Items(
            np.minimum(items.label, 0),
            items.confidence,
            items.vote_count,
            items.revalidation_vote_count,
            items.state,
        ),
        Votes(np.concatenate(([0], np.cumsum(rest))), slot[new][waits]),
    )
    inside = np.flatnonzero((items.state == State.UNLABELED) | (items.state == State.IN_REVALIDATION))
    model = None
    if len(crowd.answer):
        model = fit(answers, _without_groups(crowd, slot, answers), turnover(crowd))
    return Standing(
        items.state, pool.only(inside), inside, Answers(answers.counts[inside], answers.classes), model
    )


def turnover(crowd: Crowd) -> float:
    """How far the solvers of the newer half of the votes are others than those of the older half.

    One minus what their shares of the votes have in common; 0 (the same, as busy) to 1 (all others).
    """
    order = np.argsort(crowd.vote_id)
    half = len(order) // 2
    if half == 0:
        return 1.0
    older, newer = (
        np.bincount(crowd.solver[part], minlength=len(crowd.solvers)) / len(part)
        for part in (order[:half], order[half:])
    )
    return float(1 - np.minimum(older, newer).sum())


def _without_groups(crowd: Crowd, slot: Codes, answers: Answers) -> Iterator[Answers]:
    """The answers without those of one group of solvers, for each group."""
    solvers, code = np.unique(crowd.solver, return_inverse=True)
    groups = min(SOLVER_GROUPS, len(solvers))
    cell = crowd.item.astype(np.int64) * answers.counts.shape[1] + slot
    group = code % groups
    for number in range(groups):
        theirs = np.bincount(cell[group == number], minlength=answers.counts.size)
        yield Answers(answers.counts - theirs.reshape(answers.counts.shape), answers.classes)


def _chosen(crowd: Crowd, recorded: Recorded, items: Integers) -> tuple[Crowd, Recorded]:
    """Some of the items, with their votes."""
    counts = np.zeros(len(crowd.item_ids), dtype=bool)
    counts[items] = True
    kept = counts[crowd.item]
    offsets = np.concatenate(([0], np.cumsum(np.diff(crowd.offsets)[items])))
    labels = recorded.items
    return (
        Crowd(
            offsets,
            crowd.solver[kept],
            crowd.answer[kept],
            crowd.vote_id[kept],
            crowd.duration_ms[kept],
            crowd.item_ids.take(items),
            crowd.external_ids.take(items),
            crowd.gold[items],
            crowd.solvers,
            crowd.classes,
        ),
        Recorded(
            Items(
                labels.label[items],
                labels.confidence[items],
                labels.vote_count[items],
                labels.revalidation_vote_count[items],
                labels.state[items],
            ),
            recorded.applied_through[items],
        ),
    )
