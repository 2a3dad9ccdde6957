"""Users and sessions on both databases: what is kept, what is refused, when a session is over."""

import hashlib
import secrets

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.web import sessions, users
from hiveguard_pipeline.web.users import User, create_user, password_is_right

PASSWORD = "correct horse battery"


def made(database: Database, name: str = "ada", role: str = "admin") -> User:
    return create_user(database, name, role, PASSWORD, actor="test")


def events(database: Database) -> list[tuple[str, str, str]]:
    with database.read() as connection:
        rows = connection.execute(sa.select(t.audit_events).order_by(t.audit_events.c.event_id)).mappings()
        return [(row["actor"], row["action"], row["target"]) for row in rows]


def test_a_password_is_kept_as_argon2id_and_nowhere_else(database: Database) -> None:
    made(database, "Ada ")
    with database.read() as connection:
        (row,) = connection.execute(sa.select(t.users)).mappings()
        told = [str(list(event)) for event in connection.execute(sa.select(t.audit_events))]
    assert row["name"] == "ada"
    assert row["password_hash"].startswith("$argon2id$")
    assert not any(PASSWORD in event for event in told)
    assert ("test", "user.create", "user ada") in events(database)


def test_only_the_right_password_of_an_enabled_user_is_right(database: Database) -> None:
    made(database)
    made(database, "ben", "viewer")
    assert password_is_right(database, "ada", PASSWORD) is not None
    for name, password in (
        ("ada", PASSWORD + " "),
        ("ada", PASSWORD.upper()),
        ("ada", ""),
        ("ADA", PASSWORD),
        ("nobody", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
        ("ada", "x" * 100_000),
        ("ada", "\ud800"),
    ):
        assert password_is_right(database, name, password) is None, (name, password[:20])
    users.disable_user(database, "ben", actor="ada")
    assert password_is_right(database, "ben", PASSWORD) is None
    users.enable_user(database, "ben", actor="ada")
    assert password_is_right(database, "ben", PASSWORD) is not None


def test_what_makes_no_user_is_refused(database: Database) -> None:
    made(database)
    for name, role, password, said in (
        ("ada", "admin", PASSWORD, "there is a user ada already"),
        ("ADA", "admin", PASSWORD, "there is a user ada already"),
        ("", "admin", PASSWORD, "cannot name a user"),
        ("<b>", "admin", PASSWORD, "cannot name a user"),
        ("a b", "admin", PASSWORD, "cannot name a user"),
        ("ben", "owner", PASSWORD, "is no role"),
        ("ben", "admin", "short", "a password has"),
        ("ben", "admin", "aaaaaaaaaaaaaaa", "too easy"),
        ("benjaminben", "admin", "benjaminben", "too easy"),
    ):
        with pytest.raises(BadInputError, match=said):
            create_user(database, name, role, password, actor="test")
    with database.read() as connection:
        assert [user.name for user in users.list_users(connection)] == ["ada"]


def test_the_last_admin_keeps_his_rights(database: Database) -> None:
    made(database)
    for act in (
        lambda: users.disable_user(database, "ada", actor="ada"),
        lambda: users.set_role(database, "ada", "viewer", actor="ada"),
    ):
        with pytest.raises(BadInputError, match="only admin"):
            act()
    made(database, "eve")
    assert users.set_role(database, "ada", "viewer", actor="eve").role == "viewer"
    with pytest.raises(BadInputError, match="only admin"):
        users.disable_user(database, "eve", actor="eve")
    assert [action for _, action, _ in events(database)].count("user.set_role") == 1


def test_a_session_is_known_by_its_token_alone_and_the_store_has_only_its_hash(database: Database) -> None:
    ada = made(database)
    token = sessions.begin(database, ada, "here")
    found = sessions.signed_in(database, token)
    assert found is not None
    assert (found.name, found.role) == ("ada", "admin")
    with database.read() as connection:
        (kept,) = connection.execute(sa.select(t.sessions.c.token_sha256)).scalars()
    assert kept == hashlib.sha256(token.encode()).hexdigest()
    for forged in (
        None,
        "",
        kept,
        token[:-1],
        token + "x",
        secrets.token_urlsafe(32),
        "x" * 5_000,
        "\ud800",
        "'",
    ):
        assert sessions.signed_in(database, forged) is None


@pytest.mark.parametrize("column", ["seen_at", "expires_at"])
def test_a_session_ends_when_it_was_idle_or_is_old(database: Database, column: str) -> None:
    token = sessions.begin(database, made(database), "here")
    with database.write() as connection:
        connection.execute(t.sessions.update().values({column: "2020-01-01T00:00:00.000000Z"}))
    assert sessions.signed_in(database, token) is None
    sessions.begin(database, made(database, "ben"), "here")
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(t.sessions)).scalar() == 1


def test_a_session_in_use_is_noted_and_goes_on(database: Database) -> None:
    token = sessions.begin(database, made(database), "here")
    with database.write() as connection:
        before = connection.execute(sa.select(t.sessions.c.seen_at)).scalar_one()
        earlier = before.replace(before[11:13], f"{(int(before[11:13]) - 1) % 24:02d}", 1)
        connection.execute(t.sessions.update().values(seen_at=min(earlier, before)))
    sessions.seen(database, token)
    with database.read() as connection:
        assert connection.execute(sa.select(t.sessions.c.seen_at)).scalar_one() >= before


def test_signing_in_again_and_changes_of_a_user_end_his_sessions(database: Database) -> None:
    ada, ben = made(database), made(database, "ben", "reviewer")
    first = sessions.begin(database, ben, "here")
    second = sessions.begin(database, ben, "here", replaced=first)
    assert sessions.signed_in(database, first) is None
    users.set_role(database, "ben", "viewer", actor="ada")
    found = sessions.signed_in(database, second)
    assert found is not None
    assert found.role == "viewer", "a role holds at once"
    users.set_password(database, "ben", PASSWORD + "!", actor="ada")
    assert sessions.signed_in(database, second) is None
    third = sessions.begin(database, ben, "here")
    users.disable_user(database, "ben", actor="ada")
    assert sessions.signed_in(database, third) is None
    fourth = sessions.begin(database, ada, "here")
    sessions.end(database, sessions.signed_in(database, fourth))  # type: ignore[arg-type]
    assert sessions.signed_in(database, fourth) is None
    assert [action for _, action, _ in events(database)][-2:] == ["session.begin", "session.end"]


def test_a_name_that_nobody_has_is_not_written_down(database: Database) -> None:
    made(database)
    sessions.refused(database, "my secret password", "here")
    sessions.refused(database, "ada", "here")
    assert [target for _, action, target in events(database) if action == "session.refuse"] == [
        "user (unknown)",
        "user ada",
    ]
