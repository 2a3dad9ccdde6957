"""Tasks through the API: leased, answered and given back, by those whom they are for."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.workflow import add_people, advance, parse_stages, set_workflow
from tests.retraction.world import SMALL
from tests.store.voting import add_items, cast
from tests.web.conftest import NewKey, bearer, problem

STAGES = [
    {"name": "first", "who": "crowd", "on_pass": "done", "on_fail": "review"},
    {"name": "review", "who": "experts", "answers": "1", "on_pass": "done"},
]


@pytest.fixture
def tasks(client: TestClient, new_key: NewKey, database: Database) -> TestClient:
    """A client for the tasks of a dataset with an item in the experts' review; another dataset beside it."""
    dataset = create_dataset(database, "pets", Policy().replaced(SMALL), classes=("cat", "dog"))
    create_dataset(database, "plants", Policy())
    add_items(database, dataset, ["bad"])
    cast(database, dataset, [("bad", word) for word in ("cat", "cat", "dog", "dog", "dog")])
    add_people(database, "pets", "experts", ["ann", "bo"], actor="lead")
    set_workflow(database, "pets", parse_stages(STAGES), actor="lead", reason="a test")
    apply_votes(database, "pets", run_id="r")
    advance(database, "pets", run_id="r")
    client.headers.update(bearer(new_key("review")))
    return client


def lease(client: TestClient, **given: Any) -> Any:
    return client.post("/datasets/pets/tasks", json=given)


def test_a_task_is_leased_to_one_and_its_answer_decides(tasks: TestClient) -> None:
    (task,) = lease(tasks, solver="ann").json()
    assert (task["external_id"], task["stage"], task["classes"]) == ("bad", "review", ["cat", "dog"])
    assert not {"label", "confidence", "votes"} & set(task)
    assert lease(tasks, solver="bo").json() == []
    path = f"/datasets/pets/tasks/{task['lease_id']}"
    others = tasks.post(f"{path}/answer", json={"solver": "bo", "answer": "dog"})
    assert problem(others)["status"] == 422
    assert problem(tasks.post(f"{path}/answer", json={"solver": "ann", "answer": "cow"}))["status"] == 422
    done = tasks.post(f"{path}/answer", json={"solver": "ann", "answer": "dog", "reason": "it barks"})
    assert (done.status_code, done.json()["wrote"]) == (200, "stage_answer")
    again = tasks.post(f"{path}/answer", json={"solver": "ann", "answer": "cat"})
    assert problem(again)["status"] == 422
    assert tasks.get("/datasets/pets/items/bad").json()["label"] == "dog"


def test_a_task_that_is_given_back_goes_to_somebody_else(tasks: TestClient) -> None:
    (task,) = lease(tasks, solver="ann").json()
    path = f"/datasets/pets/tasks/{task['lease_id']}/return"
    assert tasks.post(path, json={"solver": "ann"}).status_code == 204
    assert lease(tasks, solver="ann").json() == []
    assert [one["external_id"] for one in lease(tasks, solver="bo").json()] == ["bad"]


def test_a_task_of_another_dataset_is_not_there(tasks: TestClient, new_key: NewKey) -> None:
    (task,) = lease(tasks, solver="ann").json()
    own = bearer(new_key("review", dataset_name="plants"))
    path = f"/datasets/plants/tasks/{task['lease_id']}"
    for end, given in (("answer", {"solver": "ann", "answer": "dog"}), ("return", {"solver": "ann"})):
        assert problem(tasks.post(f"{path}/{end}", json=given, headers=own))["status"] == 404
    assert problem(tasks.post("/datasets/pets/tasks/999/return", json={"solver": "ann"}))["status"] == 404
    for given in ({}, {"solver": None}, {"solver": "ann", "n": 0}, {"solver": "ann", "lease_minutes": 0}):
        assert problem(lease(tasks, **given))["status"] == 422
