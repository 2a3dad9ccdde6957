"""How many labels a dataset was given of late: what tells when its quality is due again."""

import sqlalchemy as sa

from hiveguard_pipeline.rules.states import KINDS, Kind
from hiveguard_pipeline.store.datasets import Dataset

# A person gives an item its first label where the crowd found no majority.
_GIVEN = sa.text(
    "SELECT count(*) FROM batches b JOIN items i ON i.item_id = b.item_id"
    " WHERE b.batch_id > :after AND b.batch_id <= :through AND i.dataset_id = :dataset"
    " AND (b.kind = :first_pass OR (b.kind = :review AND b.confidence_before IS NULL))"
)


def labels_given(connection: sa.Connection, dataset: Dataset, after: int, through: int) -> int:
    """The labels that ledger rows in (after, through] gave to items that had none.

    A recount gives an item its label again. The cost follows the rows of the ledger in that range.
    """
    return int(
        connection.execute(
            _GIVEN,
            {
                "after": after,
                "through": through,
                "dataset": dataset.dataset_id,
                "first_pass": KINDS[Kind.FIRST_PASS],
                "review": KINDS[Kind.REVIEW],
            },
        ).scalar_one()
    )
