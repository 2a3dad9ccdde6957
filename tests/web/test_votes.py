"""Posted votes: each judged as a row of a file is, in once however often and from wherever it is posted."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.tables import item_uuid
from tests.store.voting import add_items, labels_of
from tests.web.conftest import NewKey, bearer, problem

HOSTILE = [
    "'; DROP TABLE votes; --",
    '"; DELETE FROM votes WHERE ""="',
    "%(item_id)s %s :solver :keys {0} {{x}}",
    "x' || (SELECT key_sha256 FROM api_keys LIMIT 1) || '",
    "\\'; SELECT pg_sleep(10); --",
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
    "${jndi:ldap://x}",
    "é\u202e\U0001f600\ufeff",
    "null",
    "{1,2}",
    '{"a": [1]}',
    "a\tb\r\nc",
    "x" * 512,
]


@pytest.fixture
def votes(client: TestClient, new_key: NewKey, database: Database, dataset: Dataset) -> TestClient:
    """A client that may post votes to a dataset with the items a and b."""
    add_items(database, dataset, ["a", "b"])
    client.headers.update(bearer(new_key("votes")))
    return client


def post(client: TestClient, dataset: Dataset, **vote: Any) -> Any:
    return client.post(f"/datasets/{dataset.name}/votes", json={"external_id": "a"} | vote)


def bulk(client: TestClient, dataset: Dataset, rows: Any, **options: Any) -> Any:
    return client.post(f"/datasets/{dataset.name}/votes/bulk", json=rows, **options)


def stored(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT i.external_id, v.solver_id, v.answer, v.duration_ms FROM votes v"
                " JOIN items i ON i.item_id = v.item_id ORDER BY v.vote_id"
            )
        )
        return [tuple(row) for row in rows]


def test_a_vote_is_in_once_and_another_answer_of_its_solver_is_a_conflict(
    votes: TestClient, database: Database, dataset: Dataset
) -> None:
    first = post(votes, dataset, solver_id="ann", answer="cat", duration_ms=1200)
    assert (first.status_code, first.json()) == (201, {"row": 0, "status": "accepted", "reason": None})
    again = post(votes, dataset, solver_id="ann", answer="cat")
    assert (again.status_code, again.json()["status"]) == (200, "known")
    other = post(votes, dataset, solver_id="ann", answer="dog")
    assert (other.status_code, problem(other)["type"]) == (409, "urn:hiveguard:problem:duplicate_vote")
    by_id = votes.post(
        f"/datasets/{dataset.name}/votes",
        json={"item_id": item_uuid(dataset.name, "b").upper(), "solver_id": "ann", "answer": "dog"},
    )
    assert by_id.status_code == 201
    assert stored(database) == [("a", "ann", "cat", 1200), ("b", "ann", "dog", None)]


def test_rows_of_a_bulk_are_judged_one_by_one_in_their_order(
    votes: TestClient, database: Database, dataset: Dataset
) -> None:
    post(votes, dataset, solver_id="old", answer="cat")
    rows = [
        {"external_id": "b", "solver_id": "ann", "answer": "x"},
        {"external_id": "b", "solver_id": "ann", "answer": "x"},
        {"external_id": "b", "solver_id": "ann", "answer": "y"},
        {"external_id": "a", "solver_id": "old", "answer": "cat"},
        {"external_id": "a", "solver_id": "old", "answer": "dog"},
        {"external_id": "none", "solver_id": "ann", "answer": "x"},
        {"external_id": "a", "solver_id": " ", "answer": "x"},
        {"external_id": "a", "solver_id": "ann", "answer": ""},
        {"external_id": "a", "solver_id": "nul\0", "answer": "x"},
        {"external_id": "a", "solver_id": "s" * 513, "answer": "x"},
        {"external_id": "a", "solver_id": "ann", "answer": "x", "created_at": "yesterday"},
        {"external_id": "a", "solver_id": "ann", "answer": 7},
        {"external_id": "a", "solver_id": "ann", "answer": "x", "duration_ms": -1},
        {"external_id": "a", "solver_id": "ann", "answer": "x", "duration_ms": True},
        {"external_id": "a", "solver_id": "ann", "answer": "x", "more": 1},
        {"solver_id": "ann", "answer": "x"},
        {"item_id": "no-uuid", "solver_id": "ann", "answer": "x"},
        ["external_id"],
        None,
        {"external_id": "a", "solver_id": "zoe", "answer": "x", "created_at": "2026-11-01T10:00:00+01:00"},
    ]
    answer = bulk(votes, dataset, rows)
    assert answer.status_code == 200
    told = answer.json()
    assert [one["row"] for one in told["results"]] == list(range(len(rows)))
    assert [(one["status"], one["reason"] and one["reason"].split(":")[0]) for one in told["results"]] == [
        ("accepted", None),
        ("known", None),
        ("conflict", "duplicate_vote"),
        ("known", None),
        ("conflict", "duplicate_vote"),
        ("refused", "unknown_item"),
        ("refused", "no_solver"),
        ("refused", "empty_answer"),
        ("refused", "unreadable_row"),
        ("refused", "too_long"),
        ("refused", "bad_time"),
        *[("refused", "unreadable_row")] * 5,
        ("refused", "unknown_item"),
        ("refused", "unreadable_row"),
        ("refused", "unreadable_row"),
        ("accepted", None),
    ]
    assert [told[status] for status in ("accepted", "known", "conflict", "refused")] == [2, 2, 2, 14]
    assert [row[:3] for row in stored(database)] == [
        ("a", "old", "cat"),
        ("b", "ann", "x"),
        ("a", "zoe", "x"),
    ]
    with database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM quarantined_votes")).scalar() == 0


def test_lines_are_taken_as_an_array_is_and_a_bad_line_is_one_bad_row(
    votes: TestClient, database: Database, dataset: Dataset
) -> None:
    vote = {"external_id": "a", "solver_id": "ann", "answer": "x"}
    lines = "\n".join([json.dumps(vote), "{", "", json.dumps(vote | {"solver_id": "ben"}), "\ufffd"])
    answer = votes.post(
        f"/datasets/{dataset.name}/votes/bulk",
        content=lines.encode(),
        headers={"content-type": "application/x-ndjson"},
    )
    assert [one["status"] for one in answer.json()["results"]] == [
        "accepted",
        "refused",
        "accepted",
        "refused",
    ]
    assert len(stored(database)) == 2
    assert bulk(votes, dataset, []).json()["results"] == []


def test_what_is_no_bulk_is_refused_whole(votes: TestClient, database: Database, dataset: Dataset) -> None:
    path = f"/datasets/{dataset.name}/votes/bulk"
    kinds = {"content-type": "application/json"}
    for body, status in (
        (b"{", 400),
        (b"", 400),
        (b"\xff\xfe", 400),
        (b'{"external_id": "a"}', 422),
        (b"7", 422),
        (b"[" * 100_000, 400),
        (b"[1e999]", 400),
    ):
        assert problem(votes.post(path, content=body, headers=kinds))["status"] == status, body[:20]
    assert problem(votes.post(path, content=b"[]", headers={"content-type": "text/csv"}))["status"] == 415
    most = [{"external_id": "a", "solver_id": "ann", "answer": "x"}] * 10_001
    assert problem(bulk(votes, dataset, most))["type"].endswith(":too-many-rows")
    deep = b'{"external_id": "a", "solver_id": "s", "answer": ' + b'{"a":' * 100_000
    assert problem(votes.post(path[:-5], content=deep, headers=kinds))["status"] == 400
    assert stored(database) == []


def test_answers_outside_the_classes_are_refused_and_former_names_are_taken(
    votes: TestClient, database: Database
) -> None:
    pets = create_dataset(database, "pets", Policy(), classes=("cat", "dog"))
    add_items(database, pets, ["p"])
    refused = votes.post("/datasets/pets/votes", json={"external_id": "p", "solver_id": "s", "answer": "cow"})
    assert problem(refused)["type"] == "urn:hiveguard:problem:answer_not_in_classes"
    assert votes.post(
        "/datasets/pets/votes", json={"external_id": "p", "solver_id": "s", "answer": "cat"}
    ).is_success
    # An item of another dataset is none of this one.
    other = votes.post(
        "/datasets/pets/votes",
        json={"item_id": item_uuid("animals", "a"), "solver_id": "s", "answer": "cat"},
    )
    assert problem(other)["type"] == "urn:hiveguard:problem:unknown_item"


def test_structured_answers_are_taken_as_json_or_text_and_known_in_any_form(
    votes: TestClient, database: Database
) -> None:
    boxes = create_dataset(database, "boxes", Policy(), classes=("car",), task_type="bbox")
    add_items(database, boxes, ["p"])
    answer = {"boxes": [{"label": "car", "bbox": [0, 0, 10, 10.0]}]}
    path, vote = "/datasets/boxes/votes", {"external_id": "p", "solver_id": "s"}
    assert votes.post(path, json=vote | {"answer": answer}).status_code == 201
    assert votes.post(path, json=vote | {"answer": json.dumps(answer, indent=1)}).status_code == 200
    assert votes.post(path, json=vote | {"answer": {"boxes": []}}).status_code == 409
    for bad, reason in (
        ({"boxes": [{"label": "bus", "bbox": [0, 0, 1, 1]}]}, "answer_not_in_classes"),
        ({"spans": []}, "malformed_answer"),
        ("car", "malformed_answer"),
        (json.loads('{"boxes":' + "[" * 300 + "]" * 300 + "}"), "malformed_answer"),
    ):
        told = votes.post(path, json={"external_id": "p", "solver_id": "t", "answer": bad})
        assert problem(told)["type"] == f"urn:hiveguard:problem:{reason}"


def test_the_same_votes_posted_from_many_places_at_once_are_in_once_and_in_their_order(
    votes: TestClient, app: FastAPI, database: Database, dataset: Dataset
) -> None:
    names = [f"i{n}" for n in range(40)]
    add_items(database, dataset, names)
    rows = [
        {"external_id": name, "solver_id": f"s{n}", "answer": "x" if n % 3 else "y"}
        for name in names
        for n in range(4)
    ]
    orders = [rows, rows, rows[::-1], rows[80:] + rows[:80], rows, rows[::-1]]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda order: bulk(votes, dataset, order), orders))
    assert {answer.status_code for answer in answers} == {200}
    told = [answer.json() for answer in answers]
    assert sum(one["accepted"] for one in told) == len(rows)
    assert sum(one["known"] for one in told) == len(rows) * (len(orders) - 1)
    assert len(stored(database)) == len(set(stored(database))) == len(rows)
    apply_votes(database, dataset.name, run_id="run")
    assert len(labels_of(database, dataset)) == len(names)


def test_hostile_text_in_every_field_is_data_and_comes_back_as_it_was(
    votes: TestClient, database: Database, dataset: Dataset, new_key: NewKey
) -> None:
    ids = add_items(database, dataset, HOSTILE)
    rows = [{"external_id": text, "solver_id": text, "answer": text} for text in HOSTILE]
    assert bulk(votes, dataset, rows).json()["accepted"] == len(HOSTILE)
    assert bulk(votes, dataset, rows).json()["known"] == len(HOSTILE)
    assert stored(database) == [(text, text, text, None) for text in HOSTILE]
    key = bearer(new_key("review"))
    for text in HOSTILE:
        found = votes.get(f"/datasets/{dataset.name}/items/{ids[text]}", headers=key).json()
        assert (found["external_id"], found["votes"][0]["answer"]) == (text, text)
        shown = votes.get(f"/datasets/{dataset.name}/challenge", params={"n": 1, "solver": text})
        assert shown.status_code == 200
        for more in ({"item_id": text}, {"item_id": text, "external_id": None}, {"created_at": text}):
            told = post(votes, dataset, **{"solver_id": "new", "answer": "x"} | more)
            assert problem(told)["status"] == 422
        assert problem(votes.get("/datasets/" + quote(text, safe=""), headers=key))["status"] in (
            404,
            422,
        )
        decision = {"decision": "correct", "label": text, "reason": text, "reviewer": text, "expected": text}
        told = votes.post(f"/datasets/{dataset.name}/items/{ids[text]}/decisions", json=decision, headers=key)
        assert problem(told)["status"] == 409
    assert len(stored(database)) == len(HOSTILE)


def test_text_that_no_store_can_hold_is_refused_wherever_it_comes(
    votes: TestClient, dataset: Dataset, new_key: NewKey
) -> None:
    path = f"/datasets/{dataset.name}"
    headers = {"content-type": "application/json"}
    for bad in ('"\\u0000"', '"\\ud800"'):
        body = f'{{"external_id": "a", "solver_id": {bad}, "answer": "x"}}'.encode()
        assert problem(votes.post(f"{path}/votes", content=body, headers=headers))["status"] == 422
        told = votes.post(f"{path}/votes/bulk", content=b"[" + body + b"]", headers=headers)
        assert told.status_code in (200, 400)
        assert told.status_code == 400 or told.json()["refused"] == 1
    for where in (f"{path}/challenge?solver=%00", f"{path}/items/%00", "/datasets/a%00b"):
        assert problem(votes.get(where))["status"] == 400
    key = bearer(new_key("review"))
    assert problem(votes.get(f"{path}/items/%ff%fe", headers=key))["status"] == 404
