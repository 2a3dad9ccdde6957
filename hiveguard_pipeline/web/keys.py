"""Keys of the API: 256 random bits each, shown once; the store keeps their SHA-256 and what they may do.

A fast hash is enough here: what is hashed is random, not a password, so nothing can be guessed from it.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError, NotFoundError
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset, now_text
from hiveguard_pipeline.store.events import INSTANCE, Act, record_event

SCOPES = ("votes", "review", "export", "admin")
"""What a key may do: post votes and get challenges; decide; read labels and counts; all of it."""

START = "hg_"
SHOWN = 8
"""Characters after START that lists show: 48 of the 256 bits, enough to tell keys apart."""

LONGEST = 100
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the store knows it. dataset: the only one it is for, None for all."""

    key_id: int
    name: str
    prefix: str
    scopes: tuple[str, ...]
    dataset: str | None
    created_by: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None

    @property
    def state(self) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now_text() else "active"

    def may(self, scopes: Iterable[str]) -> bool:
        """Whether one of the scopes is the key's; admin is every scope."""
        return "admin" in self.scopes or any(scope in self.scopes for scope in scopes)


def create_key(
    database: Database,
    name: str,
    scopes: Iterable[str],
    *,
    actor: str,
    dataset_name: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[str, Key]:
    """A new key and its text, which is nowhere to be had again. Raises BadInputError."""
    wanted = tuple(scope for scope in SCOPES if scope in set(scopes))
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not wanted:
        raise BadInputError(
            f"a key has one or more of the scopes {', '.join(SCOPES)}, not {unknown or 'none'}"
        )
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadInputError(f"a key's name is 1 to {LONGEST_NAME} printable characters")
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise BadInputError("a key expires in the future")
    text = START + secrets.token_urlsafe(32)
    with database.write() as connection:
        dataset = None if dataset_name is None else get_dataset(connection, dataset_name)
        made = connection.execute(
            t.api_keys.insert().values(
                name=name,
                prefix=text[: len(START) + SHOWN],
                key_sha256=_hash(text),
                scopes=list(wanted),
                dataset_id=dataset.dataset_id if dataset else None,
                created_by=actor,
                created_at=now_text(),
                expires_at=None if expires_at is None else t.time_text(expires_at),
            )
        ).inserted_primary_key
        assert made is not None
        key = _keys(connection, t.api_keys.c.key_id == int(made[0]))[0]
        record_event(connection, INSTANCE, Act(actor, "key.create", _target(key), "", after=_written(key)))
        return text, key


def list_keys(database: Database) -> list[Key]:
    """All keys, oldest first, those that are over too."""
    with database.read() as connection:
        return _keys(connection, sa.true())


def revoke_key(database: Database, key: str, *, actor: str) -> Key:
    """End a key, named by its id, its prefix or itself, at once and for good. Raises BadInputError."""
    by = t.api_keys.c.prefix == key[: len(START) + SHOWN]
    if key.isdecimal() and key.isascii() and len(key) < 19:
        by |= t.api_keys.c.key_id == int(key)
    with database.write() as connection:
        found = _keys(connection, by)
        if not found:
            raise NotFoundError("there is no such key; `hiveguard keys list` shows them, by id and prefix")
        if len(found) > 1:
            raise BadInputError(
                f"several keys begin so: {', '.join(str(one.key_id) for one in found)}; name one by its id"
            )
        if found[0].revoked_at is not None:
            return found[0]
        connection.execute(
            t.api_keys.update().where(t.api_keys.c.key_id == found[0].key_id).values(revoked_at=now_text())
        )
        ended = _keys(connection, t.api_keys.c.key_id == found[0].key_id)[0]
        act = Act(actor, "key.revoke", _target(ended), "", before=_written(ended))
        record_event(connection, INSTANCE, act)
        return ended


def _target(key: Key) -> str:
    return f"key {key.key_id} ({key.prefix}...)"


def _written(key: Key) -> dict[str, Any]:
    """A key as its events tell of it."""
    return {
        "name": key.name,
        "scopes": list(key.scopes),
        "dataset": key.dataset,
        "expires_at": key.expires_at,
    }


def find_key(connection: sa.Connection, text: str) -> Key | None:
    """The key of a text, whatever has become of it; None for one that never was."""
    if not text.startswith(START) or len(text) > LONGEST:
        return None
    digest = _hash(text)
    row = connection.execute(
        sa.select(t.api_keys.c.key_id, t.api_keys.c.key_sha256).where(t.api_keys.c.key_sha256 == digest)
    ).first()
    # The index has compared already, byte by byte, but only hashes: they say nothing of the key.
    if row is None or not hmac.compare_digest(row.key_sha256, digest):
        return None
    return _keys(connection, t.api_keys.c.key_id == row.key_id)[0]


def _keys(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[Key]:
    rows = connection.execute(
        sa.select(t.api_keys, t.datasets.c.name.label("dataset"))
        .outerjoin_from(t.api_keys, t.datasets, t.datasets.c.dataset_id == t.api_keys.c.dataset_id)
        .where(which)
        .order_by(t.api_keys.c.key_id)
    )
    return [
        Key(
            row.key_id,
            row.name,
            row.prefix,
            tuple(row.scopes),
            row.dataset,
            row.created_by,
            row.created_at,
            row.expires_at,
            row.revoked_at,
        )
        for row in rows
    ]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
