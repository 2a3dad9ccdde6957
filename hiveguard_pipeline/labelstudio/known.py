"""The annotations that were seen before, and what became of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import Dataset

VOTE = "vote"
SUPERSEDED = "superseded"
"""It was a vote until an older annotation of the same person could be taken."""
WAITING = "waiting"
"""Of a task of the review list: for `pull --decide`."""
DECISION = "decision"
AGREED = "agreed"
"""Said the same as the annotation that became the decision."""
QUARANTINED = "quarantined"
"""Followed by the reason."""
REFUSED = "refused"
"""As a decision; followed by the reason."""

PREFIX = "label-studio:"
"""What the names of solvers begin with."""

_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Known:
    """An annotation as it was last seen. answer: in its one form, None where there was none to read.

    solver_id: under which name it came in, or the person's. proposal: what its giver was shown, or, on a
    blind task, what was kept from them. updated_at: the server's own text. deleted_at: when it was seen to
    be gone.
    """

    annotation_id: int
    task_id: int
    item_id: str
    solver_id: str
    vote_id: int | None
    answer: str | None
    proposal: str | None
    outcome: str
    updated_at: str
    deleted_at: str | None
    seen_at: str

    @property
    def is_for_review(self) -> bool:
        """It is one of a task of the review list, and no vote."""
        return self.outcome.partition(" ")[0] in (WAITING, DECISION, AGREED, REFUSED)


def known_annotations(connection: sa.Connection, dataset: Dataset) -> dict[int, Known]:
    """All that were seen of a dataset, by annotation_id."""
    columns = [t.label_studio_annotations.c[name] for name in Known.__dataclass_fields__]
    rows = connection.execute(
        sa.select(*columns)
        .where(t.label_studio_annotations.c.dataset_id == dataset.dataset_id)
        .order_by(t.label_studio_annotations.c.annotation_id)
    )
    return {int(row.annotation_id): Known(*row) for row in rows}


def remember(connection: sa.Connection, dataset: Dataset, rows: Iterable[Known]) -> None:
    """Write rows in place of those of the same annotations."""
    all_of_them = list(rows)
    table = t.label_studio_annotations
    for start in range(0, len(all_of_them), _AT_ONCE):
        part = all_of_them[start : start + _AT_ONCE]
        connection.execute(
            table.delete().where(
                table.c.dataset_id == dataset.dataset_id,
                table.c.annotation_id.in_([row.annotation_id for row in part]),
            )
        )
        connection.execute(
            table.insert(),
            [
                {name: getattr(row, name) for name in Known.__dataclass_fields__}
                | {"dataset_id": dataset.dataset_id}
                for row in part
            ],
        )


def known_items(connection: sa.Connection, dataset: Dataset, item_ids: Sequence[str]) -> set[str]:
    """Those of some ids that are items of the dataset; the ids may be any text."""
    found: set[str] = set()
    ids = sorted({one for one in item_ids if _is_item_id(one)})
    for start in range(0, len(ids), _AT_ONCE):
        rows = connection.execute(
            sa.select(t.items.c.item_id).where(
                t.items.c.dataset_id == dataset.dataset_id,
                t.items.c.item_id.in_(ids[start : start + _AT_ONCE]),
            )
        )
        found.update(str(one) for one in rows.scalars())
    return found


def _is_item_id(text: str) -> bool:
    import uuid

    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
