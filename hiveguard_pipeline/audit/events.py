"""The audit's events read back: whether each chain of hashes holds, and whether every act has its event.

A chain shows what was changed or taken out in its middle; its head, kept in a table of its own, what was cut
off at its end. Whoever can write both tables could forge a whole chain: so every record of an act (a review,
a policy, an exclusion, ...) must have an event that says the same, and `verify_events` takes a head that was
noted elsewhere.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset, list_datasets
from hiveguard_pipeline.store.events import BEGUN, INSTANCE, NO_EVENT, event_hash

ROWS_AT_ONCE = 10_000

COLUMNS = (
    "event_id",
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
    "sha256",
)

_RECORDS = {
    "review_id": (
        "reviews",
        "SELECT r.review_id AS record, r.reviewer AS actor, r.reason, 'review.' || r.decision AS action,"
        " r.label FROM reviews r JOIN items i ON i.item_id = r.item_id WHERE i.dataset_id = :dataset",
    ),
    "policy_id": (
        "policies",
        "SELECT policy_id AS record, actor, reason FROM policies WHERE dataset_id = :dataset",
    ),
    "exclusion_id": (
        "exclusions",
        "SELECT exclusion_id AS record, actor, reason, 'solver ' || solver_id AS target FROM exclusions"
        " WHERE dataset_id = :dataset",
    ),
    "vote_id": (
        "withdrawals",
        "SELECT vote_id AS record, actor, reason FROM withdrawals WHERE dataset_id = :dataset",
    ),
    "version": (
        "schema_versions",
        "SELECT version AS record, actor, reason FROM schema_versions WHERE dataset_id = :dataset",
    ),
}
"""What an event's `after` names a record by -> its table, and SQL for the records of a dataset with what an
event must say of them."""


@dataclass(frozen=True, slots=True)
class Broken:
    """What is wrong with a chain, or with an event of it (sequence; None: with the whole of it)."""

    chain: str
    sequence: int | None
    what: str


@dataclass(slots=True)
class EventCheck:
    """What a check of events saw. heads: of each chain that was looked at, the hash of its newest event."""

    events: int = 0
    heads: dict[str, str] = field(default_factory=dict)
    findings: list[Broken] = field(default_factory=list)


def events_of(
    connection: sa.Connection, dataset_name: str | None = None, *, newest: int | None = None
) -> Iterator[dict[str, Any]]:
    """The events of a dataset (None: all), oldest first; newest: only so many, the newest first."""
    query = sa.select(*(t.audit_events.c[name] for name in COLUMNS))
    if dataset_name is not None:
        dataset = get_dataset(connection, dataset_name)
        query = query.where(t.audit_events.c.chain == dataset.dataset_id)
    if newest is not None:
        query = query.order_by(t.audit_events.c.event_id.desc()).limit(newest)
    else:
        query = query.order_by(t.audit_events.c.event_id)
    names = chain_names(connection)
    for row in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query).mappings():
        yield {**row, "dataset": names.get(row["chain"], "")}


def chain_names(connection: sa.Connection) -> dict[str, str]:
    """The name of the dataset of each chain."""
    return {str(dataset.dataset_id): dataset.name for dataset in list_datasets(connection)}


def verify_events(
    database: Database, dataset_name: str | None = None, heads: Mapping[str, str] | None = None
) -> EventCheck:
    """Recompute the chains of events, of one dataset or of all, and hold them against the records of acts.

    heads: hashes that were noted before, by chain (or a dataset's name): an event of that chain must have
    it. Raises BadInputError for a name that is neither.
    """
    done = EventCheck()
    with database.read() as connection:
        names = chain_names(connection)
        if dataset_name is not None:
            chains = [str(get_dataset(connection, dataset_name).dataset_id)]
        else:
            known = {str(chain) for chain in connection.execute(sa.select(t.audit_heads.c.chain)).scalars()}
            known |= set(connection.execute(sa.select(t.audit_events.c.chain).distinct()).scalars())
            chains = sorted(known | set(names), key=lambda chain: names.get(chain, chain))
        noted = _by_chain(heads or {}, names)
        for chain in chains:
            _check_chain(connection, chain, names, noted.get(chain), done)
        if unseen := sorted(set(noted) - set(chains)):
            done.findings += [Broken(chain, None, "no event of this chain is there") for chain in unseen]
    return done


def _by_chain(heads: Mapping[str, str], names: dict[str, str]) -> dict[str, str]:
    by_name = {name: chain for chain, name in names.items()}
    return {by_name.get(name, name): noted for name, noted in heads.items()}


def _check_chain(
    connection: sa.Connection, chain: str, names: dict[str, str], noted: str | None, done: EventCheck
) -> None:
    previous, expected = NO_EVENT, 1
    told: dict[str, dict[int, Any]] = {kind: {} for kind in _RECORDS}
    begun: dict[str, int] | None = None
    seen = False
    shown = names.get(chain, chain)

    def broken(sequence: int | None, what: str) -> None:
        done.findings.append(Broken(shown, sequence, what))

    query = (
        sa.select(t.audit_events).where(t.audit_events.c.chain == chain).order_by(t.audit_events.c.sequence)
    )
    for row in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query).mappings():
        event = dict(row)
        done.events += 1
        if event["sequence"] != expected:
            gone = f"event {expected}" if event["sequence"] == expected + 1 else f"events from {expected} on"
            broken(event["sequence"], f"{gone} before it missing")
        elif event["previous_sha256"] != previous:
            broken(event["sequence"], "does not follow from the event before it")
        if event_hash(event) != event["sha256"]:
            broken(event["sequence"], "was changed: its hash is another")
        seen = seen or event["sha256"] == noted
        previous, expected = event["sha256"], event["sequence"] + 1
        after = _object(event["after"])
        if event["action"] == BEGUN:
            begun = begun or {name: int(newest) for name, newest in after.items()}
            continue
        for kind, by_record in told.items():
            if isinstance(after.get(kind), int):
                by_record[after[kind]] = event
    head = connection.execute(sa.select(t.audit_heads).where(t.audit_heads.c.chain == chain)).first()
    if (head.sha256 if head else NO_EVENT) != previous:
        broken(None, "its newest events are missing, or its head was changed")
    if noted is not None and not seen:
        broken(None, f"no event has the hash that was noted ({noted[:12]}...)")
    done.heads[shown] = previous
    if chain != INSTANCE and chain in names:
        _check_records(connection, chain, begun, told, broken)


def _check_records(
    connection: sa.Connection,
    chain: str,
    begun: dict[str, int] | None,
    told: dict[str, dict[int, Any]],
    broken: Any,
) -> None:
    """Every record that came since the chain began has an event that says the same, and the other way."""
    for kind, (table, query) in _RECORDS.items():
        there = set()
        for row in connection.execute(sa.text(query), {"dataset": chain}).mappings():
            record = int(row["record"])
            there.add(record)
            event = told[kind].get(record)
            if event is None:
                # A vote may be withdrawn late: ids of votes say nothing of when.
                if begun is None or record > begun.get(table, 0) or table == "withdrawals":
                    broken(None, f"{kind} {record} of {table} has no event")
                continue
            said = {name: event.get(name) for name in ("actor", "reason", "action", "target") if name in row}
            if "label" in row:
                said["label"] = _object(event["after"]).get("label")
            if said != {name: row[name] for name in said}:
                broken(event["sequence"], f"{kind} {record} of {table} says something else than its event")
        for record in sorted(set(told[kind]) - there):
            broken(told[kind][record]["sequence"], f"{kind} {record} of {table} is missing")


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def parse_head(text: str) -> tuple[str, str]:
    """`NAME=HASH`, as `hiveguard audit verify` prints it; NAME alone may be left out for the instance."""
    name, _, noted = text.rpartition("=")
    if len(noted) != 64 or not set(noted) <= set("0123456789abcdef"):
        raise BadInputError(f"{text!r} is no head; it looks like NAME=64 hexadecimal digits")
    return name or INSTANCE, noted
