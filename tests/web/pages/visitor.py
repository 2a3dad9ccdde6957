"""Somebody at the dashboard without a browser: the real application, cookies, and the forms of its pages."""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from httpx import Response
from starlette.testclient import TestClient

from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import now_text
from hiveguard_pipeline.web import csrf, sessions
from hiveguard_pipeline.web.app import create_app
from hiveguard_pipeline.web.users import User, list_users

PASSWORD = "correct horse battery"


class Page(HTMLParser):
    """What a browser would make of a page: its tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [found for name, found in self.tags if name == tag]

    def value(self, name: str) -> str:
        """Of the first input of a name."""
        return next(found["value"] for found in self.all("input") if found.get("name") == name)

    def links(self) -> list[str]:
        return [found["href"] for found in self.all("a") if "href" in found]


class Visitor:
    """A client of the application. Redirects are not followed: they are part of what a test looks at."""

    def __init__(self, app: Any, database: Database, base_url: str = "http://testserver") -> None:
        self.client = TestClient(app, base_url=base_url, follow_redirects=False, raise_server_exceptions=True)
        self.app, self.database = app, database
        self.token = ""

    def another(self) -> "Visitor":
        """Another browser, with no cookies."""
        return Visitor(self.app, self.database)

    def signed_in_as(self, name: str, role: str = "reviewer") -> "Visitor":
        """Another browser with a session of a user, who is made if need be; without the slow form."""
        visitor = self.another()
        visitor.token = sessions.begin(self.database, user_of(self.database, name, role), "testclient")
        visitor.client.cookies.set(sessions.cookie_name(False), visitor.token)
        return visitor

    def get(self, path: str, code: int = 200, **options: Any) -> Response:
        answer = self.client.get(path, **options)
        assert answer.status_code == code, f"{path}: {answer.status_code} {answer.text[-600:]}"
        return answer

    def page(self, path: str, code: int = 200) -> Page:
        return Page(self.get(path, code).text)

    def post(self, path: str, code: int = 303, signed: bool = True, **fields: str) -> Response:
        """Send a form, with the token that this session's pages carry."""
        sent = {csrf.FIELD: csrf.token_for(self.token)} | fields if signed else fields
        answer = self.client.post(path, data=sent)
        assert answer.status_code == code, f"{path}: {answer.status_code} {answer.text[-600:]}"
        return answer

    def send(self, path: str, code: int = 200, signed: bool = True, **sent: Any) -> dict[str, Any]:
        """Send JSON as the script does."""
        headers = {"Accept": "application/json"} | (
            {csrf.HEADER: csrf.token_for(self.token)} if signed else {}
        )
        answer = self.client.post(path, json=sent, headers=headers)
        assert answer.status_code == code, f"{path}: {answer.status_code} {answer.text[-600:]}"
        return dict(answer.json())


def user_of(database: Database, name: str, role: str) -> User:
    """A user, made if need be; all have one hash of PASSWORD, which takes long to make."""
    with database.read() as connection:
        found = {user.name: user for user in list_users(connection)}
    if name not in found:
        with database.write() as connection:
            connection.execute(
                t.users.insert().values(
                    name=name, role=role, password_hash=_password_hash(), created_at=now_text()
                )
            )
    with database.read() as connection:
        return {user.name: user for user in list_users(connection)}[name]


@cache
def _password_hash() -> str:
    return PasswordHasher().hash(PASSWORD)


def visitor_of(database: Database, home: Path, base_url: str = "http://testserver", **places: Any) -> Visitor:
    """A browser at the application of a store."""
    environment = {"HIVEGUARD_HOME": str(home), "HIVEGUARD_DATABASE_URL": str(database.url)}
    settings = Settings.from_environment(environment | {name: str(place) for name, place in places.items()})
    return Visitor(create_app(database, settings), database, base_url)
