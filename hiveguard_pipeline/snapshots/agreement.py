"""Graduated labels that later votes speak against, counted as re-validation would count them.

The votes of an item that came after the last one applied, in batches of REVALIDATION_MIN_VOTES under the
current policy: each full batch moves the confidence by (agreeing - disagreeing) x DELTA, clamped to [0, 1];
a rest that fills no batch counts nothing (DESIGN, section 2). Nothing is written.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.rules.arithmetic import Integers, Mask, step
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.datasets import Dataset, current_policy
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.structured import agreeing

_GRADUATED = STATES[State.GRADUATED]
_WAITING = {"item_id": str, "label": str, "confidence": int, "answer": str}


@dataclass(slots=True)
class LostAgreement:
    """Items, by item_id, whose waiting votes bring them below the exit.

    item_ids: Arrow strings; confidence: after those votes, in millionths; agree, disagree: of the votes in
    full batches. Shapes (n,).
    """

    item_ids: Any
    confidence: Integers
    agree: Integers
    disagree: Integers


def lost_agreement(
    connection: sa.Connection, dataset: Dataset, newer_than: int | None = None
) -> LostAgreement:
    """The graduated items of a dataset that later votes speak against.

    newer_than: only items with a vote behind this one; the cost then follows those votes.
    """
    policy = current_policy(connection, dataset).policy
    votes = read_columns(
        connection,
        "SELECT CAST(v.item_id AS text) AS item_id, l.label, l.confidence, v.answer"
        " FROM labels l JOIN votes v ON v.item_id = l.item_id"
        f" WHERE l.dataset_id = :dataset AND l.state = '{_GRADUATED}' AND v.vote_id > l.applied_through"
        + (
            ""
            if newer_than is None
            else " AND l.item_id IN (SELECT n.item_id FROM votes n WHERE n.vote_id > :newer)"
        )
        + counted(connection, dataset)
        + " ORDER BY v.item_id, v.vote_id",
        {"dataset": dataset.dataset_id} | ({} if newer_than is None else {"newer": newer_than}),
        _WAITING,
    )
    items = votes["item_id"]
    if not len(items):
        nothing = np.empty(0, dtype=np.int64)
        return LostAgreement(items, nothing, nothing, nothing)
    answers = class_map_of(connection, dataset).of(votes["answer"])
    agree = agreeing(dataset, answers, votes["label"])
    same = pc.equal(items.slice(1), items.slice(0, len(items) - 1)).to_numpy(zero_copy_only=False)
    starts = np.concatenate(([0], np.flatnonzero(~same) + 1))
    return _counted(items.take(pa.array(starts)), starts, votes["confidence"][starts], agree, policy)


def _counted(
    item_ids: Any, starts: Integers, confidence: Integers, agree: Mask, policy: Policy
) -> LostAgreement:
    """Batch 1 of all items, then batch 2, ..., until none has another full one."""
    size = policy.revalidation_min_votes
    counts = np.diff(np.append(starts, len(agree)))
    sums = np.concatenate(([0], np.cumsum(agree)))
    now, full = confidence.astype(np.int64), counts // size
    for number in range(int(full.max())):
        at = np.flatnonzero(full > number)
        first = starts[at] + number * size
        agreeing_votes = sums[first + size] - sums[first]
        now[at] = step(now[at], agreeing_votes, size - agreeing_votes, policy.revalidation_delta)
    lost = np.flatnonzero((full > 0) & (now < policy.revalidation_exit_confidence))
    taken = full[lost] * size
    agreed = sums[starts[lost] + taken] - sums[starts[lost]]
    return LostAgreement(item_ids.take(pa.array(lost)), now[lost], agreed, taken - agreed)
