"""Spot checks: votes of each solver to look at by hand, drawn at random but always the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.arithmetic import Integers
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.crowd import Crowd, read_crowd
from hiveguard_pipeline.store.datasets import Dataset

SHARE = 0.1


@dataclass(frozen=True, slots=True)
class SpotCheck:
    """A vote to look at. state: the item's as it stands. label: its current or gold label, or None."""

    solver_id: str
    external_id: str
    item_id: str
    data_ref: str
    answer: str
    label: str | None
    state: str
    vote_id: int


def spot_checks(
    connection: sa.Connection, dataset: Dataset, share: float = SHARE, seed: int = 0
) -> Iterator[SpotCheck]:
    """A share of the votes of each solver who counts, rounded up: at least one; by solver, then by vote.

    Raises BadInputError for a share outside (0, 1].
    """
    crowd = read_crowd(connection, dataset)
    drawn = draw_votes(crowd, share, seed)
    items = read_columns(
        connection,
        "SELECT item_id, data_ref, state, coalesce(gold_label, label) AS label FROM item_status"
        " WHERE dataset_id = :dataset ORDER BY item_id",
        {"dataset": dataset.dataset_id},
        {"item_id": str, "data_ref": str, "state": str, "label": str},
    )
    return _described(crowd, drawn, items)


def draw_votes(crowd: Crowd, share: float = SHARE, seed: int = 0) -> Integers:
    """Positions of the votes drawn, by solver, then by vote_id: ceil(share x votes) of each solver.

    Each of a solver's votes is as likely as the others. Those with the least keys are drawn, a key being a
    hash of seed and vote_id: a sample does not hang on the order of rows, and most of it stays when votes
    come. Raises BadInputError for a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise BadInputError(f"the share to check must be above 0 and at most 1, not {share:g}")
    votes = np.bincount(crowd.solver, minlength=len(crowd.solvers))
    # Without the hair, 0.1 x 30 could round up to 4 where the product lies just above 3.
    wanted = np.ceil(votes * share - 1e-9).astype(np.int64)
    order = np.lexsort((crowd.vote_id, _hashed(crowd.vote_id, seed), crowd.solver))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(votes) - votes, votes)
    drawn = order[rank < np.repeat(wanted, votes)]
    return np.asarray(drawn[np.lexsort((crowd.vote_id[drawn], crowd.solver[drawn]))])


def _hashed(numbers: Integers, seed: int) -> Any:
    """Steele, Lea and Flood 2014's SplitMix64 of each number, in the stream of a seed; uint64."""
    stream = np.random.default_rng(abs(seed)).integers(1 << 63, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = (numbers.astype(np.uint64) ^ stream) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _described(crowd: Crowd, drawn: Integers, items: dict[str, Any]) -> Iterator[SpotCheck]:
    touched = crowd.item[drawn]
    place = pc.index_in(crowd.item_ids.take(pa.array(touched)), value_set=items["item_id"]).to_numpy()
    columns = [items[name].take(pa.array(place)).to_pylist() for name in ("data_ref", "label", "state")]
    names = crowd.external_ids.take(pa.array(touched)).to_pylist()
    ids = crowd.item_ids.take(pa.array(touched)).to_pylist()
    for row, (position, data_ref, label, state) in enumerate(zip(drawn.tolist(), *columns, strict=True)):
        yield SpotCheck(
            solver_id=crowd.solvers[crowd.solver[position]],
            external_id=names[row],
            item_id=ids[row],
            data_ref=data_ref,
            answer=crowd.classes[crowd.answer[position]],
            label=label,
            state=state,
            vote_id=int(crowd.vote_id[position]),
        )
