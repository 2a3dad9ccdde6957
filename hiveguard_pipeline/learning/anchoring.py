"""How far reviewers follow what is proposed: shown proposals beside blind ones, wrong ones apart.

A decision follows a proposal when it gives the item the proposed answer. What people who saw nothing answer
is what they think; the difference to that is what a shown proposal moves. It tells most where the proposal
was wrong: wrong is one that differs from the item's gold label or, without one, from the label with which it
graduated later. Of other items it is not known.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.learning.items import GRADUATED
from hiveguard_pipeline.learning.judgement import interval_of_share
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.schema_versions import class_map_of

PROPOSALS = ("right", "wrong", "not known")
ALL_PROPOSALS = "all"

# The first decision that gave a label after the proposal was made; undone ones are none. A recount begins a
# new generation with the same decision: the first ledger row of it is the one that the person made.
_DECISIONS = sa.text(
    "SELECT p.blind, p.answer AS proposed, b.label AS given, coalesce(i.gold_label,"
    f" CASE WHEN l.state = '{GRADUATED}' THEN l.label END) AS truth, count(*) AS decisions"
    " FROM prelabels p"
    " JOIN items i ON i.item_id = p.item_id"
    " JOIN labels l ON l.item_id = p.item_id"
    " JOIN batches b ON b.batch_id = (SELECT min(c.batch_id) FROM batches c WHERE c.item_id = p.item_id"
    " AND c.review_id = (SELECT min(d.review_id) FROM reviews d WHERE d.item_id = p.item_id"
    " AND d.created_at >= p.created_at AND d.decision IN ('confirm', 'relabel')"
    " AND NOT EXISTS (SELECT 1 FROM reviews u WHERE u.undoes = d.review_id)))"
    " WHERE p.dataset_id = :dataset GROUP BY 1, 2, 3, 4"
)


@dataclass(frozen=True, slots=True)
class Followed:
    """Decisions on items with a proposal, and how many gave the proposed answer, with a 95% interval.

    shown: whether the reviewer saw it. proposal: all, or right, wrong, not known.
    """

    shown: bool
    proposal: str
    decisions: int
    followed: int
    share: float | None
    low: float | None
    high: float | None


def anchoring(connection: sa.Connection, dataset: Dataset) -> list[Followed]:
    """How far reviewers followed proposals: shown and blind, all and by whether they were right."""
    counts: dict[tuple[bool, str], tuple[int, int]] = {}
    names = class_map_of(connection, dataset)
    for row in connection.execute(_DECISIONS, {"dataset": dataset.dataset_id}):
        proposed, given, truth = map(names.of_one, (row.proposed, row.given, row.truth))
        known = "not known" if truth is None else "right" if truth == proposed else "wrong"
        for proposal in (known, ALL_PROPOSALS):
            decisions, followed = counts.get((not row.blind, proposal), (0, 0))
            counts[not row.blind, proposal] = (
                decisions + row.decisions,
                followed + row.decisions * (given == proposed),
            )
    return [
        _followed(shown, proposal, *counts.get((shown, proposal), (0, 0)))
        for proposal in (ALL_PROPOSALS, *PROPOSALS)
        for shown in (True, False)
    ]


def _followed(shown: bool, proposal: str, decisions: int, followed: int) -> Followed:
    if not decisions:
        return Followed(shown, proposal, 0, 0, None, None, None)
    low, high = interval_of_share(followed, decisions)
    return Followed(shown, proposal, decisions, followed, followed / decisions, low, high)
