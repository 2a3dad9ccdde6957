"""Signing in and out: cookies, tokens, failures, and that nothing is shown to nobody."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.web import csrf, sessions
from hiveguard_pipeline.web.pages.router import PARTS
from hiveguard_pipeline.web.pages.sign_in import own_page
from hiveguard_pipeline.web.pages.site import ROOT, Site
from tests.web.pages.visitor import PASSWORD, Page, Visitor, user_of, visitor_of

FOR_ALL = {"/sign-in"}


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """No SQL here that tests/web/test_users.py does not try on both."""
    from hiveguard_pipeline.store.schema import open_database

    url = f"sqlite:///{tmp_path / 'hiveguard.db'}"
    open_database(url)
    return url


def sign_in(
    visitor: Visitor, code: int = 303, name: str = "ada", password: str = PASSWORD, **fields: str
) -> Page:
    token = visitor.page("/ui/sign-in").value(csrf.FIELD)
    sent = {csrf.FIELD: token, "name": name, "password": password} | fields
    answer = visitor.client.post("/ui/sign-in", data=sent)
    assert answer.status_code == code, answer.text[-500:]
    visitor.client.headers["last-location"] = answer.headers.get("location", "")
    return Page(answer.text)


def actions(database: Database) -> list[str]:
    with database.read() as connection:
        return list(
            connection.execute(
                sa.select(t.audit_events.c.action).order_by(t.audit_events.c.event_id)
            ).scalars()
        )


def test_without_a_user_the_page_says_how_one_is_made(visitor: Visitor) -> None:
    assert "hiveguard users create NAME --role admin" in visitor.page("/ui/sign-in").text
    user_of(visitor.database, "ada", "admin")
    assert "hiveguard users create" not in visitor.page("/ui/sign-in").text


def test_a_session_from_sign_in_to_sign_out(visitor: Visitor, database: Database) -> None:
    user_of(database, "ada", "viewer")
    assert visitor.get("/ui/", 303).headers["location"] == "/ui/sign-in?next=%2Fui%2F"
    sign_in(visitor, 401, password="wrong wrong wrong")
    assert visitor.get("/ui/", 303)
    sign_in(visitor)
    (cookie,) = [entry for entry in visitor.client.cookies.jar if entry.name == "hiveguard"]
    assert (
        cookie.path,
        cookie.has_nonstandard_attr("HttpOnly"),
        cookie.get_nonstandard_attr("SameSite"),
    ) == (
        "/",
        True,
        "lax",
    )
    assert len(cookie.value or "") >= 43, "256 bits"
    assert "ada" in visitor.page("/ui/").text
    first = cookie.value
    sign_in(visitor)
    assert visitor.client.cookies["hiveguard"] != first, "another sign-in, another session"
    assert sessions.signed_in(database, first) is None
    visitor.token = visitor.client.cookies["hiveguard"]
    visitor.post("/ui/sign-out", 403, signed=False)
    assert visitor.get("/ui/")
    visitor.post("/ui/sign-out")
    assert sessions.signed_in(database, visitor.token) is None
    assert "hiveguard" not in visitor.client.cookies
    told = [action for action in actions(database) if action.startswith("session.")]
    assert told == ["session.refuse", "session.begin", "session.begin", "session.end"]


def test_a_token_from_before_is_not_taken_over(visitor: Visitor, database: Database) -> None:
    user_of(database, "ada", "viewer")
    visitor.client.cookies.set("hiveguard", "chosen-by-an-attacker")
    sign_in(visitor)
    values = {entry.value for entry in visitor.client.cookies.jar if entry.name == "hiveguard"}
    assert sessions.signed_in(database, "chosen-by-an-attacker") is None
    assert any(sessions.signed_in(database, value) for value in values)


@pytest.mark.parametrize("forwarded", [False, True])
def test_over_https_the_cookie_is_for_https_and_this_host_alone(
    database: Database, tmp_path: Path, forwarded: bool
) -> None:
    user_of(database, "ada", "viewer")
    visitor = visitor_of(
        database, tmp_path / "home", "http://testserver" if forwarded else "https://testserver"
    )
    if forwarded:
        visitor.client.headers["X-Forwarded-Proto"] = "https"
    shown = visitor.get("/ui/sign-in")
    before = (
        shown.cookies.get("hiveguard_before") or shown.headers["set-cookie"].split("=", 1)[1].split(";")[0]
    )
    answer = visitor.client.post(
        "/ui/sign-in",
        data={csrf.FIELD: csrf.token_for(before), "name": "ada", "password": PASSWORD},
        headers={"Cookie": f"hiveguard_before={before}"},
    )
    (set_cookie,) = [text for text in answer.headers.get_list("set-cookie") if text.startswith("__Host-")]
    assert "; Secure" in set_cookie
    assert "; HttpOnly" in set_cookie
    assert "Domain" not in set_cookie


def test_the_way_after_the_sign_in_leads_nowhere_else(visitor: Visitor, database: Database) -> None:
    for asked in (
        "https://evil.example/",
        "//evil.example/ui/",
        "/ui//evil.example",
        "/ui/\\evil.example",
        "javascript:alert(1)",
        "/elsewhere",
        "/ui/\r\nX-Injected: 1",
        "/ui/\u2028",
        "/ui",
        "",
    ):
        assert own_page(asked) == "/ui/", asked
    assert own_page("/ui/datasets/animals?x=y") == "/ui/datasets/animals?x=y"
    user_of(database, "ada", "viewer")
    sign_in(visitor, next="https://evil.example/")
    assert visitor.client.headers["last-location"] == "/ui/"


def test_the_page_that_was_asked_for_comes_after_the_sign_in(visitor: Visitor, animals: Dataset) -> None:
    user_of(visitor.database, "ada", "viewer")
    wanted = "/ui/datasets/animals/items?state=graduated"
    form = Page(visitor.get(visitor.get(wanted, 303).headers["location"]).text)
    assert form.value("next") == wanted
    sign_in(visitor, next=form.value("next"))
    assert visitor.client.headers["last-location"] == wanted


def test_a_form_without_its_cookie_signs_nobody_in(visitor: Visitor, database: Database) -> None:
    user_of(database, "ada", "viewer")
    token = visitor.page("/ui/sign-in").value(csrf.FIELD)
    for headers, given in (
        ({}, ""),
        ({}, "0" * 64),
        ({"Cookie": "hiveguard_before=another"}, token),
        ({"Sec-Fetch-Site": "cross-site"}, token),
        ({"Sec-Fetch-Site": "same-site"}, token),
    ):
        answer = visitor.client.post(
            "/ui/sign-in", data={csrf.FIELD: given, "name": "ada", "password": PASSWORD}, headers=headers
        )
        assert answer.status_code == 200
        assert "too old" in answer.text
    assert "session.begin" not in actions(database)


def test_guessing_is_slowed_down_and_said_so(visitor: Visitor, database: Database) -> None:
    user_of(database, "ada", "viewer")
    for _ in range(5):
        sign_in(visitor, 401, password="guess after guess")
    said = sign_in(visitor, 429, password=PASSWORD)
    assert "Try again in" in said.text
    assert actions(database).count("session.refuse") == 5
    other = visitor.another()
    sign_in(other, 401, name="nobody at all", password=PASSWORD)


def test_every_page_wants_somebody_who_may_see_it(visitor: Visitor, animals: Dataset) -> None:
    """Whatever route is added: nobody sees it, a viewer no reviewer's, and no form goes without a token."""
    item = t.item_uuid("animals", "flagged")
    fill = {"name": "animals", "item": item, "figure": "funnel", "key": "1"}
    routes = [route for route in _routes(visitor) if route.path not in FOR_ALL]
    assert len(routes) >= 19
    viewer, reviewer = visitor.signed_in_as("vic", "viewer"), visitor.signed_in_as("rex", "reviewer")
    for route in routes:
        path = ROOT + route.path.format(**{name: fill[name] for name in route.param_convertors})
        for method in route.methods:
            answer = visitor.client.request(method, path)
            assert answer.status_code == 303 or (method == "POST" and answer.status_code == 422), path
            assert "animals" not in answer.text
            as_viewer = viewer.client.request(method, path)
            if method == "POST":
                as_reviewer = reviewer.client.request(method, path)
                assert {as_viewer.status_code, as_reviewer.status_code} <= {403, 422}, path
            elif "/review" in path or "/tasks" in path or path in ("/ui/audit", "/ui/users", "/ui/keys"):
                assert as_viewer.status_code == 403, path
            else:
                assert as_viewer.status_code in (200, 404), path


def _routes(visitor: Visitor) -> list[APIRoute]:
    site = Site(visitor.database, visitor.app.state.settings)
    return [route for part in PARTS for route in part(site).routes if isinstance(route, APIRoute)]


def test_every_answer_carries_the_headers(visitor: Visitor, animals: Dataset) -> None:
    ada = visitor.signed_in_as("ada", "admin")
    item = t.item_uuid("animals", "flagged")
    for who, path, media in (
        (visitor, "/ui/sign-in", False),
        (visitor, "/ui/", False),
        (visitor, "/ui/static/pages.js", False),
        (ada, "/ui/", False),
        (ada, "/ui/nothing-here", False),
        (ada, "/ui/datasets/animals", False),
        (ada, "/ui/datasets/animals/items", False),
        (ada, f"/ui/datasets/animals/items/{item}", True),
        (ada, "/ui/datasets/animals/review", True),
        (ada, "/ui/audit", False),
        (ada, "/ui/users", False),
    ):
        headers = who.client.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["script-src"] == policy["style-src"] == "'self'", path
        assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
        assert policy["img-src"] == ("'self' https: http:" if media else "'self'"), path
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["permissions-policy"]
        assert headers["cache-control"].startswith("public" if "static" in path else "no-store")


def test_static_files_are_those_of_the_folder_alone(visitor: Visitor) -> None:
    assert visitor.get("/ui/static/pages.css").headers["content-type"].startswith("text/css")
    for name in ("../site.py", "..%2fsite.py", "%2e%2e/site.py", "nothing.css", "__init__.py"):
        assert visitor.client.get(f"/ui/static/{name}").status_code == 404 or name.startswith("..")
        assert "class Site" not in visitor.client.get(f"/ui/static/{name}").text
