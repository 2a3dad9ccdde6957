"""Who gets in: every route with no key, a wrong, revoked or expired one, one of another scope or dataset."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.web import access
from hiveguard_pipeline.web.keys import SCOPES, create_key, revoke_key
from tests.store.voting import add_items
from tests.web.conftest import NewKey, bearer, problem

VOTE = {"external_id": "a", "solver_id": "ann", "answer": "x"}
DECISION = {"decision": "discard", "reason": "no", "reviewer": "ann", "expected": "1-0-unlabeled"}

ROUTES: dict[tuple[str, str], tuple[set[str], Any]] = {
    ("GET", "/datasets"): ({"votes", "review", "export"}, None),
    ("GET", "/datasets/{name}"): ({"review", "export"}, None),
    ("POST", "/datasets/{name}/votes"): ({"votes"}, VOTE),
    ("POST", "/datasets/{name}/votes/bulk"): ({"votes"}, [VOTE]),
    ("GET", "/datasets/{name}/challenge"): ({"votes"}, None),
    ("GET", "/datasets/{name}/items/{item}"): ({"review", "export"}, None),
    ("GET", "/datasets/{name}/review"): ({"review"}, None),
    ("POST", "/datasets/{name}/items/{item}/decisions"): ({"review"}, DECISION),
    ("POST", "/datasets/{name}/tasks"): ({"review"}, {"solver": "ann"}),
    ("POST", "/datasets/{name}/tasks/{lease_id}/answer"): ({"review"}, {"solver": "ann", "answer": "x"}),
    ("POST", "/datasets/{name}/tasks/{lease_id}/return"): ({"review"}, {"solver": "ann"}),
    ("GET", "/datasets/{name}/export"): ({"export"}, None),
}
"""Every route: the scopes that open it, and a body that it takes."""

OPEN = {"/healthz", "/openapi.json"}


def ask(client: TestClient, route: tuple[str, str], dataset: str, headers: dict[str, str]) -> Any:
    method, path = route
    path = path.replace("{name}", dataset).replace("{item}", "a").replace("{lease_id}", "1")
    return client.request(method, path, json=ROUTES[route][1], headers=headers)


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    """What the application answers, but for the pages."""
    schema = app.openapi()["paths"]
    there = {(method.upper(), path) for path, methods in schema.items() for method in methods}
    hidden = {getattr(route, "path", "") for route in app.routes} - set(schema)
    assert {path for path in hidden if not path.startswith("/ui")} - {"/", ""} == OPEN
    return there


def test_every_route_is_in_this_table(app: FastAPI) -> None:
    assert routes_of(app) == set(ROUTES)


def test_a_route_opens_for_its_scopes_and_for_admin_alone(
    client: TestClient, app: FastAPI, new_key: NewKey, database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, ["a"])
    keys = {scope: new_key(scope) for scope in SCOPES}
    for route in sorted(routes_of(app)):
        scopes, _ = ROUTES[route]
        for scope, key in keys.items():
            answer = ask(client, route, dataset.name, bearer(key))
            if scope in scopes | {"admin"}:
                assert answer.status_code not in (401, 403), (route, scope, answer.text)
            else:
                assert problem(answer)["type"].endswith(":wrong-scope"), (route, scope)
                assert answer.status_code == 403


NOBODY: list[dict[str, Any]] = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer hg_" + "x" * 43},
    {"Authorization": "Bearer hg_" + "x" * 5_000},
    {"Authorization": "Basic aGc6aGc="},
    {"Authorization": "Bearer ' OR 1=1 --"},
    {"Authorization": "Bearer hg_é".encode()},
    {"Cookie": "hiveguard=forged", "X-CSRF-Token": "forged"},
]


def test_nobody_gets_in_without_a_key(client: TestClient, app: FastAPI, dataset: Dataset) -> None:
    for headers in NOBODY:
        for route in sorted(routes_of(app)):
            answer = ask(client, route, dataset.name, headers)
            assert answer.status_code == 401, (route, headers)
            assert answer.headers["www-authenticate"].startswith('Bearer realm="hiveguard"')
            assert problem(answer)["type"].endswith(":no-access")
        for path in OPEN:
            assert client.get(path, headers=headers).status_code == 200


def test_a_key_for_one_dataset_opens_no_other_and_does_not_tell_which_there_are(
    client: TestClient, app: FastAPI, new_key: NewKey, database: Database, dataset: Dataset
) -> None:
    create_dataset(database, "plants", Policy())
    key = bearer(new_key("admin", dataset_name="plants"))
    for route in sorted(routes_of(app)):
        if "{name}" not in route[1]:
            continue
        told = {name: problem(ask(client, route, name, key)) for name in (dataset.name, "nowhere")}
        assert {one["status"] for one in told.values()} == {403}, route
        assert len({one["detail"] for one in told.values()}) == 1
        assert ask(client, route, "plants", key).status_code != 403
    assert [one["name"] for one in client.get("/datasets", headers=key).json()] == ["plants"]


def test_a_revoked_key_is_refused_within_a_second_and_an_expired_one_at_once(
    client: TestClient, app: FastAPI, database: Database, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, key = create_key(database, "soon over", ["admin"], actor="test")
    assert client.get("/datasets", headers=bearer(text)).status_code == 200
    revoke_key(database, str(key.key_id), actor="test")
    deadline = time.monotonic() + access.CACHE_SECONDS + 0.5
    while client.get("/datasets", headers=bearer(text)).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for route in sorted(routes_of(app)):
        assert ask(client, route, dataset.name, bearer(text)).status_code == 401
    text, key = create_key(
        database, "short", ["admin"], actor="test", expires_at=datetime.now(UTC) + timedelta(days=1)
    )
    assert client.get("/datasets", headers=bearer(text)).status_code == 200
    monkeypatch.setattr("hiveguard_pipeline.web.keys.now_text", lambda: "2126-01-01T00:00:00.000000Z")
    assert client.get("/datasets", headers=bearer(text)).status_code == 401


def test_a_key_is_nowhere_in_the_store_and_in_no_answer(
    client: TestClient, new_key: NewKey, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    key = new_key("admin")
    with database.read() as connection:
        rows = connection.execute(sa.text("SELECT * FROM api_keys")).mappings().all()
        events = connection.execute(sa.text("SELECT * FROM audit_events")).mappings().all()
    assert len(rows[0]["key_sha256"]) == 64
    assert key[11:] not in str(rows) + str(events)
    for path in ("/datasets/no", "/no", "/datasets"):
        assert key[11:] not in client.get(path, headers=bearer(key)).text
    assert key[11:] not in caplog.text


def test_the_schema_is_public_and_the_pages_that_load_scripts_from_elsewhere_are_off(
    client: TestClient, app: FastAPI
) -> None:
    assert client.get("/openapi.json").json()["info"]["title"] == "HiveGuard"
    for path in ("/docs", "/redoc"):
        assert client.get(path).status_code == 404
