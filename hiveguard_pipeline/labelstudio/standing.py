"""The votes that people have given by way of Label Studio, which of them stand, and what could be none."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.labelstudio.known import PREFIX
from hiveguard_pipeline.retraction import original_solver
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import Dataset

_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Standing:
    """A vote under a name of Label Studio; withdrawn: it was taken back. revision: 1 for the first."""

    vote_id: int
    solver_id: str
    answer: str
    withdrawn: bool
    revision: int


def given_votes(connection: sa.Connection, item_ids: Sequence[str]) -> dict[tuple[str, str], list[Standing]]:
    """The votes on some items by item_id and original name, oldest first."""
    found: dict[tuple[str, str], list[Standing]] = defaultdict(list)
    for start in range(0, len(item_ids), _AT_ONCE):
        part = item_ids[start : start + _AT_ONCE]
        rows = connection.execute(
            sa.select(
                t.votes.c.item_id,
                t.votes.c.vote_id,
                t.votes.c.solver_id,
                t.votes.c.answer,
                t.withdrawals.c.vote_id.is_not(None).label("withdrawn"),
            )
            .outerjoin_from(t.votes, t.withdrawals, t.withdrawals.c.vote_id == t.votes.c.vote_id)
            .where(t.votes.c.item_id.in_(part), t.votes.c.solver_id.startswith(PREFIX))
            .order_by(t.votes.c.vote_id)
        )
        for row in rows:
            original = original_solver(row.solver_id)
            revision = 1 if original == row.solver_id else int(row.solver_id.rpartition("~")[2])
            found[str(row.item_id), original].append(
                Standing(row.vote_id, row.solver_id, row.answer, bool(row.withdrawn), revision)
            )
    return found


def quarantined_now(connection: sa.Connection, dataset: Dataset) -> dict[int, str]:
    """Why rows of a dataset's newest import went into quarantine, by line."""
    newest = (
        sa.select(sa.func.max(t.imports.c.import_id))
        .where(t.imports.c.dataset_id == dataset.dataset_id)
        .scalar_subquery()
    )
    rows = connection.execute(
        sa.select(t.quarantined_votes.c.line, t.quarantined_votes.c.reason).where(
            t.quarantined_votes.c.import_id == newest
        )
    )
    return {int(row.line): str(row.reason) for row in rows}
