"""All datasets at once: how far runs of each have come, and what else a look has to know of it.

One statement, however many datasets there are.
"""

from dataclasses import dataclass, fields

import sqlalchemy as sa

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import DATASETS, Dataset, Progress, dataset_of, policy_of


@dataclass(frozen=True, slots=True)
class Overview:
    """A dataset, how far runs of it have come, and the policy that holds for votes not yet processed.

    released: a review released waiting votes of it. retracted: some votes of it do not count.
    """

    dataset: Dataset
    progress: Progress
    policy_id: int
    policy: Policy
    released: bool
    retracted: bool

    @property
    def has_new_rules(self) -> bool:
        """Whether no run has looked yet under the policy and the classes that hold now."""
        looked = (self.progress.policy_id, self.progress.schema_version)
        return looked != (self.policy_id, self.dataset.schema_version)


_NEWEST_POLICY = (
    sa.select(sa.func.max(t.policies.c.policy_id))
    .where(t.policies.c.dataset_id == t.datasets.c.dataset_id)
    .scalar_subquery()
    .correlate(t.datasets)
)
_exclusions = sa.table("active_exclusions", sa.column("dataset_id", t.Uuid))
_OVERVIEW = (
    DATASETS.add_columns(
        t.dataset_progress.c.folded_through,
        t.dataset_progress.c.ledger_position,
        t.dataset_progress.c.policy_id.label("looked_under_policy"),
        t.dataset_progress.c.schema_version.label("looked_under_schema"),
        t.policies.c.policy_id,
        *(t.policies.c[field.name] for field in fields(Policy)),
        sa.exists().where(t.recheck_items.c.dataset_id == t.datasets.c.dataset_id).label("released"),
        sa.or_(
            sa.exists().where(_exclusions.c.dataset_id == t.datasets.c.dataset_id),
            sa.exists().where(t.withdrawals.c.dataset_id == t.datasets.c.dataset_id),
        ).label("retracted"),
    )
    .join(t.dataset_progress, t.dataset_progress.c.dataset_id == t.datasets.c.dataset_id)
    .join(t.policies, t.policies.c.policy_id == _NEWEST_POLICY)
)


def overview(connection: sa.Connection) -> list[Overview]:
    """All datasets, by name."""
    found = [
        Overview(
            dataset_of(row),
            Progress(
                row.folded_through,
                row.looked_under_policy,
                row.ledger_position,
                row.looked_under_schema or 1,
            ),
            row.policy_id,
            policy_of(row),
            released=bool(row.released),
            retracted=bool(row.retracted),
        )
        for row in connection.execute(_OVERVIEW)
    ]
    return sorted(found, key=lambda one: one.dataset.name)
