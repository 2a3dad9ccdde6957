"""Sessions: who is signed in, by a cookie of 256 random bits of which the store keeps the hash.

A session ends when it is signed out of, after two hours without a request, and twelve hours after it began.
Its user is looked up with every request: one who is disabled or has another role is so at once.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.events import INSTANCE, Act, record_event
from hiveguard_pipeline.web.users import User

IDLE = timedelta(hours=2)
LONGEST = timedelta(hours=12)

SEEN_AGAIN = timedelta(minutes=5)
"""How old seen_at may get before a request writes it again: a request that only looks should not write."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session and its user. token: what the cookie holds; is_stale: whether `seen` should be called."""

    token: str
    user_id: int
    name: str
    role: str
    is_stale: bool


def begin(database: Database, user: User, address: str, replaced: str | None = None) -> str:
    """A new session; returns its token. replaced: the token of a session that ends with it."""
    token = secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    with database.write() as connection:
        ended = (t.sessions.c.expires_at < _text(now)) | (t.sessions.c.seen_at < _text(now - IDLE))
        if replaced is not None:
            ended |= t.sessions.c.token_sha256 == _hash(replaced)
        connection.execute(t.sessions.delete().where(ended))
        connection.execute(
            t.sessions.insert().values(
                token_sha256=_hash(token),
                user_id=user.user_id,
                created_at=_text(now),
                seen_at=_text(now),
                expires_at=_text(now + LONGEST),
            )
        )
        _record(connection, "begin", user.name, f"from {address}")
    return token


def signed_in(database: Database, token: str | None) -> SignedIn | None:
    """Whose session a token is; None for one that is unknown, forged or over, or whose user is disabled."""
    if not token or len(token) > 100:
        return None
    now = datetime.now(UTC)
    with database.read() as connection:
        row = connection.execute(
            sa.select(t.users.c.user_id, t.users.c.name, t.users.c.role, t.sessions.c.seen_at)
            .join(t.users, t.users.c.user_id == t.sessions.c.user_id)
            .where(
                t.sessions.c.token_sha256 == _hash(token),
                t.sessions.c.expires_at > _text(now),
                t.sessions.c.seen_at > _text(now - IDLE),
                t.users.c.disabled_at.is_(None),
            )
        ).first()
    if row is None:
        return None
    return SignedIn(token, row.user_id, row.name, row.role, row.seen_at < _text(now - SEEN_AGAIN))


def seen(database: Database, token: str) -> None:
    """Note that a session is in use."""
    with database.write() as connection:
        connection.execute(
            t.sessions.update()
            .where(t.sessions.c.token_sha256 == _hash(token))
            .values(seen_at=_text(datetime.now(UTC)))
        )


def end(database: Database, session: SignedIn) -> None:
    """Sign out."""
    with database.write() as connection:
        connection.execute(t.sessions.delete().where(t.sessions.c.token_sha256 == _hash(session.token)))
        _record(connection, "end", session.name, "signed out")


def refused(database: Database, name: str, address: str) -> None:
    """Note that a sign-in failed. A name that nobody has is not written down: it may be a password."""
    with database.write() as connection:
        known = connection.execute(sa.select(t.users.c.name).where(t.users.c.name == name)).scalar()
        _record(connection, "refuse", known or "(unknown)", f"wrong name or password, from {address}")


def cookie_name(secure: bool) -> str:
    """The cookie's name; under https one that no other host can set (RFC 6265bis, 4.1.3)."""
    return "__Host-hiveguard" if secure else "hiveguard"


def _record(connection: sa.Connection, verb: str, name: str, reason: str) -> None:
    record_event(connection, INSTANCE, Act(name, f"session.{verb}", f"user {name}", reason))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _text(moment: datetime) -> str:
    return t.time_text(moment)
