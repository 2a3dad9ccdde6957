"""Users of the dashboard: who they are, what they may do, and whether a password is theirs.

Names are lower case: nobody can be taken for another by a capital letter. Passwords are kept as argon2id
hashes (RFC 9106) and never leave this module.
"""

import re
from dataclasses import dataclass
from functools import cache
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import now_text
from hiveguard_pipeline.store.events import INSTANCE, Act, record_event

if TYPE_CHECKING:
    from argon2 import PasswordHasher

ROLES = ("viewer", "reviewer", "admin")
"""Each may do what those before it may: look; decide on items; keep users and keys, and read the audit."""

NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 1_000

_HASHES_AT_ONCE = BoundedSemaphore(2)
"""A hash takes 64 MiB: many sign-ins at once wait here instead of filling the memory."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who signs in. disabled_at: since when he cannot, None if he can."""

    user_id: int
    name: str
    role: str
    created_at: str
    disabled_at: str | None


def may(role: str, wanted: str) -> bool:
    """Whether a role includes another."""
    return ROLES.index(role) >= ROLES.index(wanted)


def list_users(connection: sa.Connection) -> list[User]:
    """All users, by name."""
    return [_user(row) for row in connection.execute(sa.select(t.users).order_by(t.users.c.name))]


def there_are_users(connection: sa.Connection) -> bool:
    """Whether anybody can sign in at all."""
    enabled = sa.select(t.users.c.user_id).where(t.users.c.disabled_at.is_(None)).limit(1)
    return connection.execute(enabled).first() is not None


def create_user(database: Database, name: str, role: str, password: str, *, actor: str) -> User:
    """A new user. Raises BadInputError for a bad or taken name, an unknown role, a weak password."""
    name = name.strip().lower()
    if not NAME.fullmatch(name):
        raise BadInputError(
            f"{name!r} cannot name a user: letters, digits, . _ @ + - (64 at most), first a letter or digit"
        )
    _check_role(role)
    hashed = _hashed(name, password)
    with database.write() as connection:
        if connection.execute(sa.select(t.users.c.name).where(t.users.c.name == name)).first():
            raise BadInputError(f"there is a user {name} already")
        connection.execute(
            t.users.insert().values(name=name, role=role, password_hash=hashed, created_at=now_text())
        )
        _record(connection, actor, "create", name, after={"role": role})
        return _found(connection, name)


def set_role(database: Database, name: str, role: str, *, actor: str) -> User:
    """Give a user another role; the sessions he has take it at once."""
    _check_role(role)
    with database.write() as connection:
        user = _found(connection, name)
        if role != "admin":
            _keep_an_admin(connection, user)
        if role != user.role:
            _change(connection, user, role=role)
            _record(connection, actor, "set_role", user.name, {"role": user.role}, {"role": role})
        return _found(connection, name)


def set_password(database: Database, name: str, password: str, *, actor: str) -> User:
    """Give a user another password, and end his sessions."""
    hashed = _hashed(name, password)
    with database.write() as connection:
        user = _found(connection, name)
        _change(connection, user, password_hash=hashed)
        _end_sessions(connection, user)
        _record(connection, actor, "set_password", user.name)
        return user


def disable_user(database: Database, name: str, *, actor: str) -> User:
    """Keep a user from signing in, and end his sessions. What he decided stands."""
    with database.write() as connection:
        user = _found(connection, name)
        if user.disabled_at is None:
            _keep_an_admin(connection, user)
            _change(connection, user, disabled_at=now_text())
            _end_sessions(connection, user)
            _record(connection, actor, "disable", user.name)
        return _found(connection, name)


def enable_user(database: Database, name: str, *, actor: str) -> User:
    """Let a disabled user sign in again."""
    with database.write() as connection:
        user = _found(connection, name)
        if user.disabled_at is not None:
            _change(connection, user, disabled_at=None)
            _record(connection, actor, "enable", user.name)
        return _found(connection, name)


def password_is_right(database: Database, name: str, password: str) -> User | None:
    """The user of a name and a password; None for a wrong one, and for one who is disabled.

    An unknown name takes as long as a wrong password.
    """
    with database.read() as connection:
        row = connection.execute(sa.select(t.users).where(t.users.c.name == name)).first()
    usable = row is not None and row.disabled_at is None
    right = _matches(row.password_hash if row is not None and usable else _nobodys_hash(), password)
    if row is None or not (usable and right):
        return None
    if _hasher().check_needs_rehash(row.password_hash):
        hashed = _hash(password)
        with database.write() as connection:
            connection.execute(
                t.users.update()
                .where(t.users.c.user_id == row.user_id, t.users.c.password_hash == row.password_hash)
                .values(password_hash=hashed)
            )
    return _user(row)


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise BadInputError(f"{role!r} is no role; there are {', '.join(ROLES)}")


def _check_password(name: str, password: str) -> None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadInputError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD:,} characters")
    if password.lower() == name or len(set(password)) < 4:
        raise BadInputError(
            "that password is too easy to guess: not the name, and not a few characters again"
        )


def _keep_an_admin(connection: sa.Connection, user: User) -> None:
    """Refuse to take the last admin's rights."""
    if user.role != "admin" or user.disabled_at is not None:
        return
    others = sa.select(t.users.c.user_id).where(
        t.users.c.role == "admin", t.users.c.disabled_at.is_(None), t.users.c.user_id != user.user_id
    )
    if connection.execute(others.limit(1)).first() is None:
        raise BadInputError(f"{user.name} is the only admin; make another one first")


def _found(connection: sa.Connection, name: str) -> User:
    row = connection.execute(sa.select(t.users).where(t.users.c.name == name.strip().lower())).first()
    if row is None:
        raise BadInputError(f"there is no user {name!r}; `hiveguard users list` shows who there is")
    return _user(row)


def _change(connection: sa.Connection, user: User, **values: Any) -> None:
    connection.execute(t.users.update().where(t.users.c.user_id == user.user_id).values(**values))


def _record(
    connection: sa.Connection,
    actor: str,
    verb: str,
    name: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    record_event(connection, INSTANCE, Act(actor, f"user.{verb}", f"user {name}", "", before, after))


def _end_sessions(connection: sa.Connection, user: User) -> None:
    connection.execute(t.sessions.delete().where(t.sessions.c.user_id == user.user_id))


def _user(row: Any) -> User:
    return User(row.user_id, row.name, row.role, row.created_at, row.disabled_at)


def _hashed(name: str, password: str) -> str:
    _check_password(name.strip().lower(), password)
    return _hash(password)


def _hash(password: str) -> str:
    with _HASHES_AT_ONCE:
        return str(_hasher().hash(password))


def _matches(hashed: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    if len(password) > LONGEST_PASSWORD:
        return False
    with _HASHES_AT_ONCE:
        try:
            return bool(_hasher().verify(hashed, password))
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher, Type

    return PasswordHasher(time_cost=3, memory_cost=64 << 10, parallelism=1, type=Type.ID)


@cache
def _nobodys_hash() -> str:
    """What a password is held against where there is no such user."""
    return _hash("nobody signs in with this")
