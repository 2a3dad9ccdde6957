"""Audit events: who did what, when and why, and what it replaced; one chain of hashes for each dataset.

An event is written in the transaction of the act that it tells of. Its hash is over all that it says and the
hash of the event before it in its chain, so that a row that was changed, or is missing, breaks the chain.
Triggers refuse UPDATE and DELETE on the table. Acts on one dataset take turns by its lock, and those on no
dataset (users, keys) by the row of the chain's head.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.store import tables as t

INSTANCE = "instance"
"""The chain of what concerns no dataset: users, keys, sign-ins."""

NO_EVENT = "0" * 64
"""What the first event of a chain names as the hash before it."""

BEGUN = "audit.begun"
"""The first event of each chain: what was there before events were written."""

POSITIONS = {
    "reviews": "SELECT max(r.review_id) FROM reviews r JOIN items i ON i.item_id = r.item_id"
    " WHERE i.dataset_id = :dataset",
    "policies": "SELECT max(policy_id) FROM policies WHERE dataset_id = :dataset",
    "exclusions": "SELECT max(exclusion_id) FROM exclusions WHERE dataset_id = :dataset",
    "schema_versions": "SELECT max(version) FROM schema_versions WHERE dataset_id = :dataset",
    "withdrawals": "SELECT max(vote_id) FROM withdrawals WHERE dataset_id = :dataset",
}
"""Records of acts that have an event each, by table: SQL for the newest one."""


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did. action: `noun.verb`. target: what it was done to, as a person would name it.

    before, after: what stood and what stands, as objects that JSON can hold; None where nothing does.
    Neither may hold a secret.
    """

    actor: str
    action: str
    target: str
    reason: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


def record_event(connection: sa.Connection, chain: str, act: Act) -> None:
    """Add an event to a chain, in the caller's transaction."""
    record_events(connection, chain, [act])


def record_events(connection: sa.Connection, chain: str, acts: list[Act]) -> None:
    """Add events to a chain (a dataset_id, or INSTANCE), in the caller's transaction.

    In the transaction of an act on a dataset, which holds the dataset's lock.
    """
    if not acts:
        return
    sequence, previous = _head(connection, chain)
    at = t.time_text(datetime.now(UTC))
    if not sequence:
        acts = [_begun(connection, chain), *acts]
    rows = []
    for act in acts:
        sequence += 1
        row = {
            "chain": chain,
            "sequence": sequence,
            "at": at,
            "actor": act.actor,
            "action": act.action,
            "target": act.target,
            "reason": act.reason,
            "before": _canonical(act.before),
            "after": _canonical(act.after),
            "previous_sha256": previous,
        }
        previous = row["sha256"] = event_hash(row)
        rows.append(row)
    connection.execute(t.audit_events.insert(), rows)
    connection.execute(
        t.audit_heads.update()
        .where(t.audit_heads.c.chain == chain)
        .values(sequence=sequence, sha256=previous)
    )


HASHED = (
    "chain",
    "sequence",
    "at",
    "actor",
    "action",
    "target",
    "reason",
    "before",
    "after",
    "previous_sha256",
)
"""The columns of an event that its hash is over, in this order, as a JSON array."""


def event_hash(row: dict[str, Any]) -> str:
    """SHA-256 of an event: of the JSON array of its columns, UTF-8, without blanks."""
    text = json.dumps([row[name] for name in HASHED], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: dict[str, Any] | None) -> str | None:
    if value is None:
        return None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _head(connection: sa.Connection, chain: str) -> tuple[int, str]:
    """The newest event of a chain, 0 and NO_EVENT before the first; held until the transaction ends."""
    connection.execute(
        sa.text(
            "INSERT INTO audit_heads (chain, sequence, sha256) VALUES (:chain, 0, :none)"
            " ON CONFLICT (chain) DO NOTHING"
        ),
        {"chain": chain, "none": NO_EVENT},
    )
    head = connection.execute(
        sa.select(t.audit_heads).where(t.audit_heads.c.chain == chain).with_for_update()
    ).one()
    return int(head.sequence), str(head.sha256)


def _begun(connection: sa.Connection, chain: str) -> Act:
    """The first event of a chain. What a dataset had by then needs no event of its own."""
    before = {}
    if chain != INSTANCE:
        for table, newest in POSITIONS.items():
            found = connection.execute(sa.text(newest), {"dataset": chain}).scalar()
            before[table] = int(found or 0)
    return Act("hiveguard", BEGUN, chain, "events are written from here on", after=before)
