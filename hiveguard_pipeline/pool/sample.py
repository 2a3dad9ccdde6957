"""Draws from the pool: tier 1 (unlabeled) first, then tier 2 (in re-validation) by weight."""

import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.pool.rows import LEAST_ID, TIER_1, TIER_2, rows_after
from hiveguard_pipeline.rules.arithmetic import Integers
from hiveguard_pipeline.rules.selection import draw_fewest_first, draw_weighted, weights
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.datasets import Dataset, current_policy
from hiveguard_pipeline.store.exclusions import counted


@dataclass(frozen=True, slots=True)
class Drawn:
    """An item to serve. weight is None in tier 1; confidence is in millionths, None where there is none.

    queue_rank: its place in the labelling queue (`hiveguard active select`), None where it has none.
    """

    item_id: str
    external_id: str
    data_ref: str
    modality: str
    tier: int
    weight: float | None
    votes: int
    confidence: int | None
    queue_rank: int | None


def sample(connection: sa.Connection, dataset: Dataset, n: int, seed: int | None = None) -> list[Drawn]:
    """Up to n items to serve next, in serving order. The same seed draws the same from the same pool."""
    random = np.random.default_rng(seed)
    unlabeled = read_columns(
        connection,
        "SELECT s.item_id, count(v.vote_id) AS votes FROM item_status s"
        f" LEFT JOIN votes v ON v.item_id = s.item_id{counted(connection, dataset)}"
        " WHERE s.dataset_id = :dataset AND s.state = 'unlabeled' GROUP BY s.item_id ORDER BY s.item_id",
        {"dataset": dataset.dataset_id},
        {"item_id": str, "votes": int},
    )
    policy = current_policy(connection, dataset).policy
    queue = _queue_ranks(connection, dataset, unlabeled["item_id"])
    # Whoever asks is given the same queue: items that have votes enough for a label come behind the others,
    # so that not all votes until the next run fall on the first. One on which people do not agree, however
    # many are asked, waits for a review and not for votes.
    votes = unlabeled["votes"]
    enough = (queue > 0) & (votes >= policy.consensus_threshold)
    rank = np.where(votes < policy.revalidation_min_total_votes, queue + enough * len(votes), 0)
    first = draw_fewest_first(unlabeled["votes"], n, random, rank)
    chosen: list[tuple[str, int, float | None, int]] = [
        (unlabeled["item_id"][int(row)].as_py(), 1, None, int(unlabeled["votes"][row])) for row in first
    ]
    if len(chosen) < n:
        again = read_columns(
            connection,
            "SELECT item_id, confidence, vote_count + revalidation_vote_count AS votes FROM labels"
            f" WHERE dataset_id = :dataset AND state = '{STATES[State.IN_REVALIDATION]}' ORDER BY item_id",
            {"dataset": dataset.dataset_id},
            {"item_id": str, "confidence": int, "votes": int},
        )
        weight = weights(again["confidence"], again["votes"], policy)
        for row in draw_weighted(weight, n - len(chosen), random):
            chosen.append(
                (again["item_id"][int(row)].as_py(), 2, float(weight[row]), int(again["votes"][row]))
            )
    return _described(connection, chosen)


def sample_some(connection: sa.Connection, dataset: Dataset, n: int, most: int) -> list[str]:
    """Ids of up to n items to serve next, drawn as by `sample` but without the labelling queue.

    They are drawn from the `most` items that follow a random id: ids are hashes, so those are a fair sample,
    and what they cost does not grow with the dataset.
    """
    random = np.random.default_rng()
    start = str(uuid.UUID(bytes=random.bytes(16)))
    parts = [rows_after(connection, dataset, start, most)]
    missing = most - len(parts[0]["item_id"])
    if missing:
        first = rows_after(connection, dataset, LEAST_ID, missing)
        before = pc.less_equal(first["item_id"], start).to_numpy(zero_copy_only=False)
        parts.append({name: column[: int(before.sum())] for name, column in first.items()})
    ids = pa.concat_arrays([part["item_id"] for part in parts])
    tier, confidence, votes = (
        np.concatenate([part[name] for part in parts]) for name in ("tier", "confidence", "votes")
    )
    unlabeled, labelled = (np.flatnonzero(tier == number) for number in (TIER_1, TIER_2))
    chosen = unlabeled[draw_fewest_first(votes[unlabeled], n, random)]
    if len(chosen) < n:
        policy = current_policy(connection, dataset).policy
        weight = weights(confidence[labelled], votes[labelled], policy)
        again = labelled[draw_weighted(weight, n - len(chosen), random)]
        chosen = np.concatenate([chosen, again])
    return [str(ids[int(place)].as_py()) for place in chosen]


def pool_counts(connection: sa.Connection, dataset: Dataset) -> dict[str, int]:
    """Items of each tier: {"tier_1": ..., "tier_2": ...}."""
    counted = connection.execute(
        sa.text("SELECT state, count(*) FROM item_status WHERE dataset_id = :dataset GROUP BY state"),
        {"dataset": dataset.dataset_id},
    )
    states = {str(state): int(count) for state, count in counted}
    return {
        "tier_1": states.get(STATES[State.UNLABELED], 0),
        "tier_2": states.get(STATES[State.IN_REVALIDATION], 0),
    }


def _queue_ranks(connection: sa.Connection, dataset: Dataset, item_ids: Any) -> Integers:
    """The place of each item in the labelling queue, 0 where it has none; item_ids: Arrow strings."""
    ranks = np.zeros(len(item_ids), dtype=np.int64)
    queued = read_columns(
        connection,
        "SELECT item_id, rank FROM labeling_queue WHERE dataset_id = :dataset",
        {"dataset": dataset.dataset_id},
        {"item_id": str, "rank": int},
    )
    if len(queued["item_id"]):
        places = pc.index_in(queued["item_id"], value_set=item_ids)
        there = places.is_valid().to_numpy(zero_copy_only=False)
        ranks[places.fill_null(0).to_numpy(zero_copy_only=False)[there]] = queued["rank"][there]
    return ranks


def _described(connection: sa.Connection, chosen: list[tuple[str, int, float | None, int]]) -> list[Drawn]:
    found = {}
    ids = [item_id for item_id, *_ in chosen]
    for start in range(0, len(ids), 10_000):
        rows = connection.execute(
            sa.select(
                t.items.c.item_id,
                t.items.c.external_id,
                t.items.c.data_ref,
                t.items.c.modality,
                t.labels.c.confidence,
                t.labeling_queue.c.rank,
            )
            .outerjoin_from(t.items, t.labels, t.items.c.item_id == t.labels.c.item_id)
            .outerjoin(t.labeling_queue, t.labeling_queue.c.item_id == t.items.c.item_id)
            .where(t.items.c.item_id.in_(ids[start : start + 10_000]))
        )
        found.update({row.item_id: row for row in rows})
    return [
        Drawn(
            item_id,
            found[item_id].external_id,
            found[item_id].data_ref,
            found[item_id].modality,
            tier,
            weight,
            votes,
            found[item_id].confidence,
            found[item_id].rank if tier == 1 else None,
        )
        for item_id, tier, weight, votes in chosen
    ]
