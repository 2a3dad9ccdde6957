"""How many labels of a dataset graduated of late: what tells when the weak model is due again."""

import sqlalchemy as sa

from hiveguard_pipeline.learning.items import GRADUATED
from hiveguard_pipeline.store.datasets import Dataset

_COUNT = sa.text(
    "SELECT count(DISTINCT b.item_id) FROM batches b JOIN items i ON i.item_id = b.item_id"
    f" WHERE b.batch_id > :after AND b.batch_id <= :through AND b.state_after = '{GRADUATED}'"
    " AND i.dataset_id = :dataset"
)


def labels_graduated(connection: sa.Connection, dataset: Dataset, after: int, through: int) -> int:
    """Items that ledger rows in (after, through] let graduate; the cost follows the rows in that range."""
    given = {"after": after, "through": through, "dataset": dataset.dataset_id}
    return int(connection.execute(_COUNT, given).scalar_one())
