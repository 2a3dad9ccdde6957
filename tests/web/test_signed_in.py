"""The API for somebody who is signed in: what the role opens, and nothing without the page's own token."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.web import csrf, sessions
from hiveguard_pipeline.web.users import create_user, disable_user
from tests.store.voting import add_items, cast, letters
from tests.web.conftest import problem


def sign_in(database: Database, name: str, role: str) -> dict[str, str]:
    """The headers of a page's request."""
    user = create_user(database, name, role, "correct horse battery staple", actor="test")
    token = sessions.begin(database, user, "127.0.0.1")
    return {"Cookie": f"{sessions.cookie_name(False)}={token}", csrf.HEADER: csrf.token_for(token)}


@pytest.fixture
def flagged(database: Database, dataset: Dataset) -> Dataset:
    add_items(database, dataset, ["a"])
    cast(database, dataset, letters("a", "xxyyyy"))
    apply_votes(database, dataset.name, run_id="run")
    return dataset


def ask(client: TestClient, headers: dict[str, Any]) -> dict[str, int]:
    """The status of one request for each scope."""
    vote = {"external_id": "a", "solver_id": "page", "answer": "x"}
    return {
        "votes": client.post("/datasets/animals/votes", json=vote, headers=headers).status_code,
        "review": client.get("/datasets/animals/review", headers=headers).status_code,
        "export": client.get("/datasets/animals/export", headers=headers).status_code,
    }


@pytest.mark.usefixtures("flagged")
def test_roles_open_their_scopes(client: TestClient, database: Database) -> None:
    assert ask(client, sign_in(database, "vi", "viewer")) == {"votes": 403, "review": 403, "export": 200}
    assert ask(client, sign_in(database, "re", "reviewer")) == {"votes": 403, "review": 200, "export": 200}
    assert ask(client, sign_in(database, "ad", "admin")) == {"votes": 201, "review": 200, "export": 200}


@pytest.mark.usefixtures("flagged")
def test_a_session_is_nothing_without_the_token_of_its_page(client: TestClient, database: Database) -> None:
    mine, other = sign_in(database, "ann", "admin"), sign_in(database, "ben", "admin")
    wrong: list[dict[str, Any]] = [
        {"Cookie": mine["Cookie"]},
        mine | {csrf.HEADER: ""},
        mine | {csrf.HEADER: other[csrf.HEADER]},
        mine | {csrf.HEADER: "é".encode()},
        mine | {"Sec-Fetch-Site": "cross-site"},
        mine | {"Cookie": mine["Cookie"] + "x"},
        {csrf.HEADER: mine[csrf.HEADER]},
        mine | {"Authorization": "Bearer hg_wrong"},
    ]
    for headers in wrong:
        assert set(ask(client, headers).values()) == {401}, headers
    assert ask(client, mine)["review"] == 200
    disable_user(database, "ann", actor="ben")
    assert set(ask(client, mine).values()) == {401}


@pytest.mark.usefixtures("flagged")
def test_who_is_signed_in_decides_in_their_own_name_alone(client: TestClient, database: Database) -> None:
    headers = sign_in(database, "re", "reviewer")
    (item,) = client.get("/datasets/animals/review", headers=headers).json()

    def decide(**more: Any) -> Any:
        given = {"decision": "confirm", "reason": "looked at it", "expected": item["standing"]} | more
        return client.post("/datasets/animals/items/a/decisions", json=given, headers=headers)

    assert problem(decide(reviewer="somebody else"))["status"] == 403
    assert decide().status_code == 201
    explained = client.get("/datasets/animals/items/a", headers=headers).json()
    assert [one["reviewer"] for one in explained["reviews"]] == ["re"]
