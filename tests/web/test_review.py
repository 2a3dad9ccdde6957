"""Review and explanation through the API: as the command does it, and never on what has changed since."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.ledger import apply_votes
from tests.store.voting import add_items, cast, letters
from tests.web.conftest import NewKey, bearer, problem


@pytest.fixture
def reviewer(client: TestClient, new_key: NewKey, database: Database, dataset: Dataset) -> TestClient:
    """A client that may review a dataset with two flagged items, a surer than b."""
    add_items(database, dataset, ["a", "b", "fine"])
    cast(database, dataset, letters("a", "xxyxyyxyy") + letters("b", "xxyyyy") + letters("fine", "xxx"))
    apply_votes(database, dataset.name, run_id="run-1")
    client.headers.update(bearer(new_key("review")))
    return client


def queue(client: TestClient) -> list[dict[str, Any]]:
    answer = client.get("/datasets/animals/review")
    assert answer.status_code == 200
    rows: list[dict[str, Any]] = answer.json()
    return rows


def decide(client: TestClient, item: str, **decision: Any) -> Any:
    given = {"reviewer": "ann", "reason": "looked at it"} | decision
    return client.post(f"/datasets/animals/items/{item}/decisions", json=given)


def test_the_queue_is_decided_on_and_a_decision_is_undone(
    reviewer: TestClient, database: Database, dataset: Dataset
) -> None:
    b, a = queue(reviewer)
    assert (b["external_id"], b["reason"], b["label"], b["confidence"]) == (
        "b",
        "low_confidence",
        "x",
        0.516667,
    )
    assert a["external_id"] == "a"
    done = decide(reviewer, "b", decision="relabel", label="y", expected=b["standing"])
    assert (done.status_code, done.json()["label"], done.json()["state"]) == (201, "y", "in_revalidation")
    assert [one["external_id"] for one in queue(reviewer)] == ["a"]
    undone = decide(reviewer, b["item_id"], decision="undo", expected=done.json()["standing"]).json()
    assert (undone["label"], undone["state"]) == ("x", "needs_review")
    confirmed = decide(reviewer, "b", decision="confirm", expected=undone["standing"]).json()
    assert (confirmed["label"], confirmed["confidence"]) == ("x", 0.6)
    discarded = decide(reviewer, "a", decision="discard", expected=a["standing"]).json()
    assert discarded["state"] == "discarded"
    corrected = decide(reviewer, "a", decision="correct", label="z", expected=discarded["standing"])
    assert corrected.json()["label"] == "z"
    assert queue(reviewer) == []
    assert verify(database, dataset.name).findings == []


def test_of_two_reviewers_at_once_one_decides_and_the_other_is_told(
    reviewer: TestClient, database: Database, dataset: Dataset
) -> None:
    b = queue(reviewer)[0]

    def act(who: str) -> Any:
        return decide(reviewer, "b", decision="relabel", label=who, reviewer=who, expected=b["standing"])

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(act, ["ann", "ben", "cyd", "dee"]))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    (winner,) = (answer.json() for answer in answers if answer.status_code == 201)
    for answer in answers:
        if answer.status_code == 409:
            told = problem(answer)
            assert told["type"] == "urn:hiveguard:problem:conflict"
            assert f"relabel by {winner['label']}" in told["detail"]
    explained = reviewer.get("/datasets/animals/items/b").json()
    assert (explained["label"], len(explained["reviews"])) == (winner["label"], 1)
    assert verify(database, dataset.name).findings == []


def test_an_item_that_a_run_has_changed_since_is_not_decided_on(
    reviewer: TestClient, database: Database, dataset: Dataset
) -> None:
    shown = reviewer.get("/datasets/animals/items/fine").json()
    cast(database, dataset, letters("fine", "xxx"))
    apply_votes(database, dataset.name, run_id="run-2")
    told = decide(reviewer, "fine", decision="correct", label="y", expected=shown["standing"])
    assert problem(told)["status"] == 409
    assert reviewer.get("/datasets/animals/items/fine").json()["label"] == "x"


def test_a_decision_that_cannot_be_taken_is_a_problem_and_changes_nothing(reviewer: TestClient) -> None:
    b, fine = queue(reviewer)[0], reviewer.get("/datasets/animals/items/fine").json()
    for item, decision, status in (
        ("none", {"decision": "confirm"}, 404),
        ("b", {"decision": "relabel"}, 422),
        ("b", {"decision": "confirm", "label": "x"}, 422),
        ("b", {"decision": "erase"}, 422),
        ("b", {"decision": "confirm", "reason": ""}, 422),
        ("b", {"decision": "confirm", "reviewer": None}, 422),
        ("b", {"decision": "confirm", "reviewer": 7}, 422),
        ("b", {"decision": "confirm", "expected": None}, 422),
        ("b", {"decision": "relabel", "label": " "}, 422),
        ("b", {"decision": "relabel", "label": "x" * 10_001}, 422),
        ("b", {"decision": "confirm", "more": 1}, 422),
        ("b", {"decision": "undo"}, 422),
        ("fine", {"decision": "confirm", "expected": fine["standing"]}, 422),
    ):
        given = {"expected": b["standing"]} | decision
        assert problem(decide(reviewer, item, **given))["status"] == status, (item, decision)
    assert len(queue(reviewer)) == 2


def test_an_explanation_has_every_vote_batch_and_decision_with_the_run(reviewer: TestClient) -> None:
    b = queue(reviewer)[0]
    decide(reviewer, "b", decision="confirm", expected=b["standing"])
    made = reviewer.get(f"/datasets/animals/items/{b['item_id']}").json()
    assert [vote["answer"] for vote in made["votes"]] == list("xxyyyy")
    assert [(batch["kind"], batch["confidence_after"], batch["run_id"]) for batch in made["batches"]] == [
        ("first_pass", 0.666667, "run-1"),
        ("revalidation", 0.516667, "run-1"),
        ("review", 0.6, None),
    ]
    assert [(one["decision"], one["reviewer"]) for one in made["reviews"]] == [("confirm", "ann")]
    assert problem(reviewer.get("/datasets/animals/items/none"))["status"] == 404


def test_a_status_has_the_funnel_and_every_vote(reviewer: TestClient) -> None:
    status = reviewer.get("/datasets/animals").json()
    assert status["states"]["needs_review"] == 2
    assert status["items"] == 3
    assert status["votes"] == {
        "received": 18,
        "applied": 18,
        "unprocessed": 0,
        "quarantined": 0,
        "excluded": 0,
    }
    assert status["policy"]["REVALIDATION_EXIT_CONFIDENCE"] == "0.85"
