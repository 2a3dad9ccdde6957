"""Challenges: the pool's items with gold among them, and nothing that tells which is which."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.ledger import apply_votes
from tests.store.voting import add_items, cast, letters
from tests.web.conftest import NewKey, bearer, problem

PATH = "/datasets/animals/challenge"


@pytest.fixture
def asker(client: TestClient, new_key: NewKey, dataset: Dataset) -> TestClient:
    client.headers.update(bearer(new_key("votes")))
    return client


def test_gold_is_there_and_nothing_tells_which_it_is(
    asker: TestClient, database: Database, dataset: Dataset
) -> None:
    ids = add_items(database, dataset, ["a", "b", "c"])
    gold = set(add_items(database, dataset, ["d"], gold="x").values())
    cast(database, dataset, letters("a", "xxx"))
    apply_votes(database, dataset.name, run_id="run")
    with database.write() as connection:
        connection.execute(t.item_details.insert().values(item_id=ids["b"], content="some text"))
    places = set()
    for _ in range(40):
        answer = asker.get(PATH, params={"n": 3})
        assert answer.headers["cache-control"] == "no-store"
        items = answer.json()["items"]
        assert {item["external_id"] for item in items} == {"a", "b", "c", "d"}
        assert {tuple(item) for item in items} == {("item_id", "external_id", "data_ref", "modality", "text")}
        assert {item["external_id"]: item["text"] for item in items}["b"] == "some text"
        assert len(answer.headers) == len(asker.get(PATH, params={"n": 3, "gold": 0}).headers)
        places |= {place for place, item in enumerate(items) if item["item_id"] in gold}
    assert places == {0, 1, 2, 3}


def test_without_anything_to_ask_there_is_no_content_and_a_reason_and_what_comes_is_asked_at_once(
    asker: TestClient, database: Database, dataset: Dataset
) -> None:
    nothing = asker.get(PATH, params={"solver": "ann"})
    assert (nothing.status_code, nothing.content) == (204, b"")
    assert nothing.headers["x-hiveguard-reason"] == "nothing-in-pool"
    add_items(database, dataset, ["g"], gold="x")
    with database.write() as connection:  # as an import leaves it
        connection.execute(
            t.imports.insert().values(
                dataset_id=dataset.dataset_id,
                kind="items",
                file_name="items.csv",
                file_sha256="0" * 64,
                rows_read=1,
                accepted=1,
                quarantined=0,
                already_known=0,
                created_at="2026-11-01T00:00:00.000000Z",
            )
        )
    only_gold = asker.get(PATH, params={"solver": "ann"}).json()["items"]
    assert [item["external_id"] for item in only_gold] == ["g"]
    vote = {"external_id": "g", "solver_id": "ann", "answer": "x"}
    assert asker.post("/datasets/animals/votes", json=vote).status_code == 201
    nothing = asker.get(PATH, params={"solver": "ann"})
    assert (nothing.status_code, nothing.headers["x-hiveguard-reason"]) == (204, "nothing-new-for-solver")
    assert asker.get(PATH, params={"solver": "ben"}).status_code == 200


def test_a_crowd_that_answers_what_it_is_asked_labels_every_item_and_no_one_is_asked_twice(
    asker: TestClient, app: FastAPI, database: Database, dataset: Dataset
) -> None:
    names = [f"i{n}" for n in range(12)]
    add_items(database, dataset, names)
    add_items(database, dataset, ["g1", "g2"], gold="x")

    def session(solver: str) -> list[str]:
        seen: list[str] = []
        while True:
            answer = asker.get(PATH, params={"n": 3, "solver": solver})
            if answer.status_code == 204:
                return seen
            for item in answer.json()["items"]:
                seen.append(item["external_id"])
                vote = {"item_id": item["item_id"], "solver_id": solver, "answer": "x"}
                assert asker.post("/datasets/animals/votes", json=vote).status_code == 201

    with ThreadPoolExecutor(3) as pool:
        seen = list(pool.map(session, ["ann", "ben", "cyd"]))
    assert all(sorted(one) == sorted([*names, "g1", "g2"]) for one in seen)
    apply_votes(database, dataset.name, run_id="run")
    with database.read() as connection:
        assert len(connection.execute(t.labels.select()).all()) == len(names)


def test_numbers_that_are_none_are_refused(asker: TestClient) -> None:
    for query in ("n=0", "n=101", "n=x", "n=1e2", "gold=-1", "gold=21", "solver=", f"solver={'s' * 513}"):
        assert problem(asker.get(f"{PATH}?{query}"))["status"] == 422, query
