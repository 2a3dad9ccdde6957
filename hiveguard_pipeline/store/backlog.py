"""What came since the last look, and in which datasets a run would write to the ledger.

A look costs as much as the votes that came since the one before, whatever the history and however many
items wait with one or two votes. Its position is a small value that the caller keeps.
"""

import json
from dataclasses import asdict, dataclass, field

import sqlalchemy as sa

from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, current_policy, list_datasets, progress_of
from hiveguard_pipeline.store.horizon import Candidate, candidate, safe_horizon, still_open
from hiveguard_pipeline.store.work import would_write

VOTES_AT_ONCE = 50_000
WINDOWS_A_LOOK = 4
WAIT_SECONDS = 0.2
"""How long a look waits for open writers; the next look comes soon."""


@dataclass(slots=True)
class Position:
    """How far votes were looked at, which datasets are due, and what is still to come in.

    due: dataset -> the vote that a run must have read to settle it. policies: dataset -> the newest
    policy under which the whole pool was looked at. schemas: the same of the versions of its classes.
    pending: a horizon to be, with the writers that may still bring older votes.
    """

    checked_through: int | None = None
    due: dict[str, int] = field(default_factory=dict)
    policies: dict[str, int] = field(default_factory=dict)
    pending_vote_id: int = 0
    pending_writers: list[str] = field(default_factory=list)
    schemas: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> "Position":
        """The position that `text` holds; the beginning, if it holds none."""
        try:
            found = json.loads(text) if text else {}
            return cls(
                checked_through=None
                if found.get("checked_through") is None
                else int(found["checked_through"]),
                due={str(name): int(through) for name, through in found.get("due", {}).items()},
                policies={str(name): int(key) for name, key in found.get("policies", {}).items()},
                schemas={str(name): int(key) for name, key in found.get("schemas", {}).items()},
                pending_vote_id=int(found.get("pending_vote_id", 0)),
                pending_writers=[str(writer) for writer in found.get("pending_writers", [])],
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def text(self) -> str:
        """The position as it is kept."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(slots=True)
class Look:
    """What a look found: the datasets there are, the new position, the newest vote of each touched one."""

    datasets: list[str]
    position: Position
    newest: dict[str, int]


def look(database: Database, before: Position) -> Look:
    """Look at the votes that came since a position. Writes nothing."""
    with database.look() as connection:
        datasets = {dataset.dataset_id: dataset for dataset in list_datasets(connection)}
        progress = {dataset.name: progress_of(connection, dataset) for dataset in datasets.values()}
        policies = {
            dataset.name: current_policy(connection, dataset).policy_id for dataset in datasets.values()
        }
        schemas = {dataset.name: dataset.schema_version for dataset in datasets.values()}
        start = before.checked_through
        if start is None:
            start = min((entry.folded_through for entry in progress.values()), default=0)
        horizon, pending = _horizon(connection, start, before)
        after = Position(
            checked_through=start,
            due={
                name: through
                for name, through in before.due.items()
                if name in progress
                and (
                    progress[name].folded_through < through
                    or progress[name].policy_id != policies[name]
                    or progress[name].schema_version != schemas[name]
                )
            },
            policies={name: key for name, key in before.policies.items() if name in progress},
            schemas={name: key for name, key in before.schemas.items() if name in progress},
            pending_vote_id=pending.vote_id,
            pending_writers=sorted(pending.writers),
        )
        _look_at_released(connection, datasets, horizon, after)
        for dataset in datasets.values():
            key = policies[dataset.name]
            version = dataset.schema_version
            reached = progress[dataset.name]
            changed = (reached.policy_id not in (None, key) and after.policies.get(dataset.name) != key) or (
                reached.schema_version != version and after.schemas.get(dataset.name) != version
            )
            if changed and dataset.name not in after.due:
                if would_write(connection, dataset, None, horizon):
                    after.due[dataset.name] = horizon
                after.policies[dataset.name], after.schemas[dataset.name] = key, version
        newest: dict[str, int] = {}
        for _ in range(WINDOWS_A_LOOK):
            if start >= horizon:
                break
            end = min(start + VOTES_AT_ONCE, horizon)
            for dataset_id, vote_id in _touched(connection, start, end):
                dataset = datasets[dataset_id]
                newest[dataset.name] = vote_id
                since = max(start, progress[dataset.name].folded_through)
                if (
                    dataset.name not in after.due
                    and since < end
                    and would_write(connection, dataset, since, end)
                ):
                    after.due[dataset.name] = vote_id
            start = after.checked_through = end
    return Look(sorted(dataset.name for dataset in datasets.values()), after, newest)


def _horizon(connection: sa.Connection, start: int, before: Position) -> tuple[int, Candidate]:
    """The horizon, and what to wait for. One that was pending counts once its own writers have ended."""
    horizon = safe_horizon(connection, start, WAIT_SECONDS)
    if horizon > start:
        return horizon, Candidate(0, frozenset())
    pending = Candidate(before.pending_vote_id, frozenset(before.pending_writers))
    if pending.vote_id > start:
        if not still_open(connection, pending):
            return pending.vote_id, candidate(connection)
        return start, pending
    found = candidate(connection)
    return start, found if found.vote_id > start else Candidate(0, frozenset())


def _look_at_released(
    connection: sa.Connection, datasets: dict[str, Dataset], horizon: int, after: Position
) -> None:
    """Datasets in which a review released waiting votes."""
    for dataset_id in connection.execute(sa.text("SELECT DISTINCT dataset_id FROM recheck_items")).scalars():
        dataset = datasets[str(dataset_id)]
        if dataset.name not in after.due and would_write(connection, dataset, horizon, horizon):
            after.due[dataset.name] = horizon


def _touched(connection: sa.Connection, start: int, end: int) -> list[tuple[str, int]]:
    """The datasets that got votes in (start, end], each with the newest of them."""
    rows = connection.execute(
        sa.text(
            "SELECT i.dataset_id, max(v.vote_id) FROM votes v JOIN items i ON i.item_id = v.item_id"
            " WHERE v.vote_id > :start AND v.vote_id <= :end GROUP BY i.dataset_id"
        ),
        {"start": start, "end": end},
    )
    return [(str(dataset_id), int(newest)) for dataset_id, newest in rows]
