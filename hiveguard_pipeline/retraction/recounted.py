"""What becomes of items whose votes count otherwise: a recount, and what it changed.

An item gets a new generation of its ledger where one of these votes lies among the applied ones; where all
of them wait, the item is folded on as it is.
"""

import sqlalchemy as sa

from hiveguard_pipeline.retraction.effect import (
    Effect,
    export_changes,
    label_change,
    note_standing,
    state_changes,
)
from hiveguard_pipeline.store.datasets import Dataset, progress_of
from hiveguard_pipeline.store.generations import gather_touched, recount_touched
from hiveguard_pipeline.store.horizon import safe_horizon


def make_their_votes(connection: sa.Connection) -> None:
    """Make the empty temporary table `their_votes`: votes that count otherwise from now on."""
    item_id = "TEXT" if connection.dialect.name == "sqlite" else "uuid"
    connection.execute(sa.text("DROP TABLE IF EXISTS their_votes"))
    connection.execute(
        sa.text(f"CREATE TEMPORARY TABLE their_votes (item_id {item_id}, solver_id text, vote_id bigint)")
    )


def recount_votes(
    connection: sa.Connection,
    dataset: Dataset,
    solvers: list[str],
    run_id: str,
    dry_run: bool,
    wait_seconds: float,
) -> Effect:
    """Recount the items of `their_votes`, whose votes count otherwise from now on; drops the table.

    dry_run: then take the whole transaction back.
    """
    horizon = safe_horizon(connection, progress_of(connection, dataset).folded_through, wait_seconds)
    chosen = "SELECT item_id, min(vote_id) AS vote_id FROM their_votes GROUP BY item_id"
    gather_touched(connection, dataset, chosen, {}, horizon)
    note_standing(connection)
    counts = connection.execute(
        sa.text(
            "SELECT (SELECT count(*) FROM their_votes) AS votes,"
            " (SELECT count(DISTINCT item_id) FROM their_votes) AS items,"
            " (SELECT coalesce(sum(anew), 0) FROM touched) AS recounted"
        )
    ).one()
    recount_touched(connection, dataset, run_id)
    finalized, graduated = export_changes(connection)
    effect = Effect(
        dataset=dataset.name,
        solvers=tuple(solvers),
        dry_run=dry_run,
        votes=int(counts.votes),
        items=int(counts.items),
        recounted=int(counts.recounted),
        labels=label_change(connection),
        states=state_changes(connection),
        finalized=finalized,
        graduated=graduated,
    )
    for table in ("their_votes", "stood_before"):
        connection.execute(sa.text(f"DROP TABLE {table}"))
    if dry_run:
        transaction = connection.get_transaction()
        assert transaction is not None
        transaction.rollback()
    return effect
