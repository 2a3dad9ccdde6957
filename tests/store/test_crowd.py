"""The crowd comes out of the store whole, in order, whatever its rows lie in."""

import numpy as np
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import crowd as crowd_module
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.crowd import NO_DURATION, Crowd, read_crowd
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, now_text
from hiveguard_pipeline.store.tables import item_uuid
from tests.store.voting import add_items

VOTES = [
    ("b", "zoe", "cat", 900),
    ("a", "ann", "dog", None),
    ("b", "ann", "dog", 1200),
    ("gold", "zoe", "cat", 10),
    ("a", "zoe", "01", 5),
]


def _fill(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, ["a", "b", "none"])
    add_items(database, dataset, ["gold"], gold="fox")
    with database.write() as connection:
        for name, solver, answer, duration in VOTES:
            connection.execute(
                t.votes.insert().values(
                    item_id=item_uuid(dataset.name, name),
                    solver_id=solver,
                    answer=answer,
                    duration_ms=duration,
                )
            )


def _rows(crowd: Crowd) -> list[tuple[str, str, str, int]]:
    names = crowd.external_ids.to_pylist()
    return [
        (names[item], crowd.solvers[solver], crowd.classes[answer], duration)
        for item, solver, answer, duration in zip(
            crowd.item, crowd.solver, crowd.answer, crowd.duration_ms, strict=True
        )
    ]


@pytest.mark.parametrize("at_once", [1, 100_000])
def test_votes_come_by_item_and_in_arrival_order(
    database: Database, dataset: Dataset, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd_module, "ITEMS_AT_ONCE", at_once)
    _fill(database, dataset)
    with database.read() as connection:
        crowd = read_crowd(connection, dataset)
    expected = [
        (name, solver, answer, NO_DURATION if duration is None else duration)
        for name in sorted({row[0] for row in VOTES}, key=lambda name: item_uuid(dataset.name, name))
        for _, solver, answer, duration in [row for row in VOTES if row[0] == name]
    ]
    assert _rows(crowd) == expected
    assert crowd.classes == ["01", "cat", "dog", "fox"]
    assert crowd.solvers == ["ann", "zoe"]
    assert len(crowd.item_ids) == 4
    gold = dict(zip(crowd.external_ids.to_pylist(), crowd.gold.tolist(), strict=True))
    assert gold == {"a": NO_LABEL, "b": NO_LABEL, "none": NO_LABEL, "gold": 3}
    assert np.array_equal(np.diff(crowd.offsets), np.bincount(crowd.item, minlength=4))


def test_classes_of_the_dataset_come_first(database: Database) -> None:
    dataset = create_dataset(database, "named", Policy(), classes=("dog", "cat"))
    _fill(database, dataset)
    with database.read() as connection:
        assert read_crowd(connection, dataset).classes == ["dog", "cat", "01", "fox"]


def test_votes_after_the_horizon_and_of_excluded_solvers_are_left_out(
    database: Database, dataset: Dataset
) -> None:
    _fill(database, dataset)
    with database.write() as connection:
        horizon = connection.execute(sa.text("SELECT max(vote_id) - 1 FROM votes")).scalar_one()
        connection.execute(
            t.exclusions.insert().values(
                solver_id="ann", dataset_id=dataset.dataset_id, reason="r", actor="a", created_at=now_text()
            )
        )
    with database.read() as connection:
        counted = read_crowd(connection, dataset, horizon)
        everything = read_crowd(connection, dataset, excluded=True)
    assert sorted(row[:3] for row in _rows(counted)) == [("b", "zoe", "cat"), ("gold", "zoe", "cat")]
    assert len(everything.answer) == len(VOTES)
    assert sorted(everything.only(everything.duration_ms > 5).duration_ms.tolist()) == [10, 900, 1200]


def test_a_dataset_without_items_is_an_empty_crowd(database: Database, dataset: Dataset) -> None:
    with database.read() as connection:
        crowd = read_crowd(connection, dataset)
    assert (crowd.offsets.tolist(), crowd.solvers, crowd.classes, len(crowd.item)) == ([0], [], [], 0)
