"""What came since the last look, and in which datasets a run would write to the ledger.

A look costs as much as the votes that came since the one before, whatever the history and however many
items wait with one or two votes. Its position is a small value that the caller keeps.
"""

import json
from dataclasses import asdict, dataclass, field

import sqlalchemy as sa

from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.due import due_among
from hiveguard_pipeline.store.horizon import Candidate, candidate, safe_horizon, still_open
from hiveguard_pipeline.store.overview import Overview, overview
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
        datasets = _datasets(connection)
        start = before.checked_through
        if start is None:
            start = min((one.progress.folded_through for one in datasets.values()), default=0)
        horizon, pending = _horizon(connection, start, before)
        after = Position(
            checked_through=start,
            due={
                name: through
                for name, through in before.due.items()
                if name in datasets
                and (datasets[name].progress.folded_through < through or datasets[name].has_new_rules)
            },
            policies={name: key for name, key in before.policies.items() if name in datasets},
            schemas={name: key for name, key in before.schemas.items() if name in datasets},
            pending_vote_id=pending.vote_id,
            pending_writers=sorted(pending.writers),
        )
        released = [one for name, one in datasets.items() if one.released and name not in after.due]
        if released:
            after.due |= dict.fromkeys(due_among(connection, released, horizon, horizon), horizon)
        _look_under_new_rules(connection, datasets, horizon, after)
        newest: dict[str, int] = {}
        for _ in range(WINDOWS_A_LOOK):
            if start >= horizon:
                break
            end = min(start + VOTES_AT_ONCE, horizon)
            touched = _touched(connection, start, end)
            if not touched.keys() <= datasets.keys():  # one was created while this look was under way
                datasets = _datasets(connection)
            newest |= touched
            asked = [
                datasets[name]
                for name in touched
                if name not in after.due and datasets[name].progress.folded_through < end
            ]
            if asked:
                after.due |= {name: touched[name] for name in due_among(connection, asked, start, end)}
            start = after.checked_through = end
    return Look(list(datasets), after, newest)


def _datasets(connection: sa.Connection) -> dict[str, Overview]:
    return {one.dataset.name: one for one in overview(connection)}


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


def _look_under_new_rules(
    connection: sa.Connection, datasets: dict[str, Overview], horizon: int, after: Position
) -> None:
    """Look once at the whole pool of each dataset whose policy or classes no run has looked under yet."""
    for name, one in datasets.items():
        version = one.dataset.schema_version
        changed = (
            one.progress.policy_id not in (None, one.policy_id) and after.policies.get(name) != one.policy_id
        ) or (one.progress.schema_version != version and after.schemas.get(name) != version)
        if changed and name not in after.due:
            if would_write(connection, one.dataset, None, horizon):
                after.due[name] = horizon
            after.policies[name], after.schemas[name] = one.policy_id, version


def _touched(connection: sa.Connection, start: int, end: int) -> dict[str, int]:
    """The datasets that got votes in (start, end], by name, each with the newest of them."""
    rows = connection.execute(
        sa.text(
            "SELECT d.name, got.newest FROM (SELECT i.dataset_id, max(v.vote_id) AS newest"
            " FROM votes v JOIN items i ON i.item_id = v.item_id"
            " WHERE v.vote_id > :start AND v.vote_id <= :end GROUP BY i.dataset_id) got"
            " JOIN datasets d ON d.dataset_id = got.dataset_id"
        ),
        {"start": start, "end": end},
    )
    return {str(name): int(newest) for name, newest in rows}
