"""The report on proposals of a dataset: of the answers that saw one, and of those that one was kept from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.labelstudio.anchoring import Anchoring, anchoring
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.structured import agreeing

NO_DURATION = -1


@dataclass(frozen=True, slots=True)
class ProposalReport:
    """Figures of answers under a shown proposal, and under one that was kept back."""

    shown: Anchoring
    blind: Anchoring


def proposal_report(connection: sa.Connection, dataset: Dataset) -> ProposalReport:
    """Judge each vote that came by way of Label Studio on an item with a proposal.

    The truth is the gold label of an item, else the label that it has now outside review: the consensus, in
    which the vote itself counts. Votes that were taken back are left out.
    """
    columns = read_columns(
        connection,
        "SELECT v.answer AS answer, a.proposal AS proposal, coalesce(s.gold_label,"
        " CASE WHEN s.state IN ('in_revalidation', 'graduated') THEN s.label END) AS truth,"
        f" coalesce(v.duration_ms, {NO_DURATION}) AS duration,"
        " CASE WHEN k.blind THEN 1 ELSE 0 END AS blind"
        " FROM label_studio_annotations a JOIN votes v ON v.vote_id = a.vote_id"
        " JOIN item_status s ON s.item_id = a.item_id"
        " LEFT JOIN label_studio_tasks k ON k.item_id = a.item_id"
        " WHERE a.dataset_id = :dataset AND a.proposal IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.vote_id = v.vote_id)"
        " ORDER BY a.annotation_id",
        {"dataset": dataset.dataset_id},
        {"answer": str, "proposal": str, "truth": str, "duration": int, "blind": int},
    )
    map_of = class_map_of(connection, dataset)
    answer, proposal, truth = (map_of.of(columns[name]) for name in ("answer", "proposal", "truth"))
    known = pc.is_valid(truth).to_numpy(zero_copy_only=False)
    truth = pc.coalesce(truth, pa.scalar(""))

    def right(said: Any) -> Any:
        found = agreeing(dataset, said, truth).astype(np.int8)
        return np.where(known, found, np.int8(-1))

    follows = agreeing(dataset, answer, proposal)
    proposal_right, answer_right = right(proposal), right(answer)
    milliseconds = np.where(columns["duration"] == NO_DURATION, np.nan, columns["duration"].astype(float))
    blind = columns["blind"] == 1
    shown, kept_back = (
        anchoring(follows[rows], proposal_right[rows], answer_right[rows], milliseconds[rows])
        for rows in (~blind, blind)
    )
    return ProposalReport(shown, kept_back)
