"""Annotations on tasks of the review list, made into decisions on their items.

The label that stands is confirmed where the annotation says the same, else the item is relabelled. Nothing
is decided for an item that is not in review any more, nor by an annotation that is older than a decision
taken since; and where people say different things, they are to settle it first.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.labelstudio.known import (
    AGREED,
    DECISION,
    REFUSED,
    WAITING,
    Known,
    known_annotations,
    remember,
)
from hiveguard_pipeline.review import decide_on
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import Dataset, now_text
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.status import find_item

NOT_IN_REVIEW = "not_in_review"
DECIDED_SINCE = "decided_since"
NO_LABEL = "not_a_label"
"""Why an annotation decides nothing."""

REVIEWERS_DIFFER = "reviewers_differ"
"""Why annotations go on waiting."""


@dataclass(slots=True)
class Decided:
    """What became of the annotations that waited: items by decision; annotations refused, and items that go
    on waiting, by reason, with the first of each.
    """

    confirmed: int = 0
    relabelled: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)


def decide_waiting(connection: sa.Connection, dataset: Dataset, source: str) -> Decided:
    """Decide what waits. The caller's transaction holds the dataset's lock. source: names the project."""
    done = Decided()
    by_item: dict[str, list[Known]] = defaultdict(list)
    for row in known_annotations(connection, dataset).values():
        if row.outcome == WAITING and row.deleted_at is None:
            by_item[row.item_id].append(row)
    changed: list[Known] = []
    for item_id, rows in sorted(by_item.items()):
        changed += _decide(connection, dataset, item_id, rows, source, done)
    remember(connection, dataset, changed)
    return done


def _decide(
    connection: sa.Connection, dataset: Dataset, item_id: str, rows: list[Known], source: str, done: Decided
) -> list[Known]:
    found = find_item(connection, item_id)
    since = _newest_decision(connection, item_id)
    current = [row for row in rows if since is None or _moment(row.updated_at) > since]
    changed = [_refused(row, DECIDED_SINCE, found.external_id, done) for row in rows if row not in current]
    if not current:
        return changed
    map_of = class_map_of(connection, dataset)
    answers = {map_of.of_one(row.answer) for row in current}
    if len(answers) > 1:
        done.waiting[REVIEWERS_DIFFER] += 1
        done.first.setdefault(REVIEWERS_DIFFER, found.external_id)
        return changed
    (answer,) = answers
    first, *others = sorted(current, key=lambda row: row.annotation_id)
    same = found.label is not None and answer == map_of.of_one(found.label)
    try:
        decide_on(
            connection,
            dataset,
            found,
            "confirm" if same else "relabel",
            label=None if same else answer,
            reviewer=first.solver_id,
            reason=f"annotation {first.annotation_id} in {source}",
        )
    except BadInputError as error:
        reason = NOT_IN_REVIEW if "not in review" in str(error) else NO_LABEL
        return changed + [_refused(row, reason, found.external_id, done) for row in current]
    done.confirmed += same
    done.relabelled += not same
    seen_at = now_text()
    return [
        *changed,
        replace(first, outcome=DECISION, seen_at=seen_at),
        *(replace(row, outcome=AGREED, seen_at=seen_at) for row in others),
    ]


def _refused(row: Known, reason: str, external_id: str, done: Decided) -> Known:
    done.refused[reason] += 1
    done.first.setdefault(reason, external_id)
    return replace(row, outcome=f"{REFUSED} {reason}", seen_at=now_text())


def _newest_decision(connection: sa.Connection, item_id: str) -> datetime | None:
    found = connection.execute(
        sa.select(t.reviews.c.created_at)
        .where(t.reviews.c.item_id == item_id)
        .order_by(t.reviews.c.review_id.desc())
        .limit(1)
    ).scalar()
    return None if found is None else _moment(found)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def waiting_items(rows: Sequence[Known]) -> int:
    """Items with annotations that wait for a decision."""
    return len({row.item_id for row in rows if row.outcome == WAITING and row.deleted_at is None})
