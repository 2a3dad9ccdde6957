"""Which votes do not count: those of excluded solvers and single ones that were taken back (withdrawals), and
how queries leave them out.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.crowd import NOT_EXCLUDED, NOT_WITHDRAWN
from hiveguard_pipeline.store.datasets import Dataset


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A solver excluded from a dataset: who, why, when; and who took it back, None while it holds."""

    exclusion_id: int
    dataset: str
    solver_id: str
    actor: str
    reason: str
    excluded_at: str
    restored_by: str | None
    restored_reason: str | None
    restored_at: str | None


def counted(connection: sa.Connection, dataset: Dataset) -> str:
    """SQL to add to a condition on votes v: that they count. Its parameter is :dataset.

    Empty where every vote counts, so that the common case pays for one look at two small tables.
    """
    found = connection.execute(
        sa.text(
            "SELECT EXISTS (SELECT 1 FROM active_exclusions WHERE dataset_id = :dataset) AS solvers,"
            " EXISTS (SELECT 1 FROM withdrawals WHERE dataset_id = :dataset) AS votes"
        ),
        {"dataset": dataset.dataset_id},
    ).one()
    return (f" AND {NOT_EXCLUDED}" if found.solvers else "") + (
        f" AND {NOT_WITHDRAWN}" if found.votes else ""
    )


def retractions(connection: sa.Connection, dataset: Dataset) -> int:
    """A number that grows with every exclusion, restoration and withdrawal in a dataset; 0 before the first.

    While it stays, so do the votes that count.
    """
    return int(
        connection.execute(
            sa.text(
                "SELECT (SELECT coalesce(max(exclusion_id), 0) FROM exclusions WHERE dataset_id = :dataset)"
                " + (SELECT count(*) FROM withdrawals WHERE dataset_id = :dataset)"
            ),
            {"dataset": dataset.dataset_id},
        ).scalar_one()
    )


def list_exclusions(connection: sa.Connection, dataset: Dataset, *, former: bool = False) -> list[Exclusion]:
    """The exclusions that hold, oldest first; former: and those that were taken back."""
    made, undone = t.exclusions.alias("made"), t.exclusions.alias("undone")
    is_restoration = sa.exists().where(t.exclusions.c.undone_by == made.c.exclusion_id).correlate(made)
    query = (
        sa.select(made, undone)
        .outerjoin_from(made, undone, undone.c.exclusion_id == made.c.undone_by)
        .where(made.c.dataset_id == dataset.dataset_id, ~is_restoration)
        .order_by(made.c.exclusion_id)
        .set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)
    )
    if not former:
        query = query.where(made.c.undone_by.is_(None))
    return [
        Exclusion(
            exclusion_id=row.made_exclusion_id,
            dataset=dataset.name,
            solver_id=row.made_solver_id,
            actor=row.made_actor,
            reason=row.made_reason,
            excluded_at=row.made_created_at,
            restored_by=row.undone_actor,
            restored_reason=row.undone_reason,
            restored_at=row.undone_created_at,
        )
        for row in connection.execute(query)
    ]
