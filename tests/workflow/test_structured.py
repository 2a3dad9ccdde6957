"""Stages over boxes and spans: people agree where marks match, and an expert settles what they differ on."""

import json
from typing import Any

import pytest

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.audit.events import verify_events
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import ItemStatus, find_item
from hiveguard_pipeline.workflow import (
    add_people,
    advance,
    answer,
    lease_next,
    parse_stages,
    set_workflow,
)
from tests.retraction.world import SMALL
from tests.store.voting import add_items, cast

STAGES = [
    {"name": "draw", "who": "crowd", "on_pass": "done", "on_fail": "review"},
    {"name": "review", "who": "annotators", "answers": "2", "on_pass": "done", "on_fail": "settle"},
    {"name": "settle", "who": "experts", "on_pass": "done"},
]


def boxes(*marks: tuple[float, float, float, float], label: str = "car") -> str:
    return json.dumps({"boxes": [{"bbox": list(mark), "label": label} for mark in marks]})


def spans(*marks: tuple[int, int], label: str = "car") -> str:
    return json.dumps({"spans": [{"start": start, "end": end, "label": label} for start, end in marks]})


KINDS: dict[str, dict[str, Any]] = {
    "bbox": {
        "votes": [boxes((0, 0, 10, 10)), boxes((500, 500, 10, 10)), boxes((900, 0, 10, 10))],
        "near": [boxes((100, 100, 50, 50)), boxes((101, 100, 50, 50))],
        "far": boxes((300, 300, 20, 20)),
    },
    "ner": {
        "votes": [spans((0, 3)), spans((10, 14)), spans((20, 25))],
        "near": [spans((30, 35)), spans((30, 35))],
        "far": spans((40, 44)),
    },
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """A task whose answers are structured."""
    return str(request.param)


@pytest.fixture
def streets(database: Database, kind: str) -> Dataset:
    """Items on which the crowd marks three different things; two annotators look, then an expert."""
    dataset = create_dataset(
        database, "streets", Policy().replaced(SMALL), classes=("car", "bus"), task_type=kind
    )
    add_items(database, dataset, ["one", "two"])
    for item in ("one", "two"):
        cast(database, dataset, [(item, vote) for vote in KINDS[kind]["votes"] * 2])
    add_people(database, "streets", "annotators", ["ann", "bo"], actor="lead")
    add_people(database, "streets", "experts", ["eve"], actor="lead")
    set_workflow(database, "streets", parse_stages(STAGES), actor="lead", reason="a test")
    apply_votes(database, "streets", run_id="r")
    advance(database, "streets", run_id="r")
    return dataset


def stands(database: Database, item: str) -> ItemStatus:
    assert verify(database, "streets").findings == []
    assert verify_events(database, "streets").findings == []
    with database.read() as connection:
        return find_item(connection, item, "streets")


def test_marks_that_match_are_agreement_and_others_go_to_the_expert(
    database: Database, streets: Dataset, kind: str
) -> None:
    near, far = KINDS[kind]["near"], KINDS[kind]["far"]
    said = {("ann", "one"): near[0], ("bo", "one"): near[1], ("ann", "two"): near[0], ("bo", "two"): far}
    for solver in ("ann", "bo"):
        tasks = lease_next(database, solver=solver, n=5)
        assert {task.external_id for task in tasks} == {"one", "two"}
        for task in tasks:
            answer(database, task.lease_id, answer=said[solver, task.external_id], reason="drawn")
    one, two = stands(database, "one"), stands(database, "two")
    assert one.state == "graduated"
    assert one.label is not None
    assert json.loads(one.label) == json.loads(near[0]), "the first of those with most support"
    assert two.state in ("needs_review", "unlabeled")
    (task,) = lease_next(database, solver="eve", n=5)
    assert (task.external_id, task.stage) == ("two", "settle")
    with pytest.raises(BadInputError, match=r"JSON|boxes|spans"):
        answer(database, task.lease_id, answer="a car", reason="no marks")
    answer(database, task.lease_id, answer=far, reason="seen large")
    settled = stands(database, "two")
    assert settled.state == "graduated"
    assert settled.label is not None
    assert json.loads(settled.label) == json.loads(far)


def test_two_who_discard_take_it_out(database: Database, streets: Dataset) -> None:
    for solver in ("ann", "bo"):
        for task in lease_next(database, solver=solver, n=5):
            answer(database, task.lease_id, answer=None, reason="nothing to see")
    assert {stands(database, item).state for item in ("one", "two")} == {"discarded"}
