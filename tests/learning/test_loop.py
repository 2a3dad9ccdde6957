"""The loop of the demo, whole and short: images, choices, people, and models that improve."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from hiveguard_pipeline.audit import verify
from hiveguard_pipeline.demo import active_learning as demo
from hiveguard_pipeline.demo.active_learning import Point, labels_to_reach, mean_curve
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.schema import open_database
from tests.cli.conftest import clean_environment  # noqa: F401 - the terminal of the command is made from it
from tests.cli.conftest import home as home
from tests.learning.world import rows_of


def test_the_loop_labels_what_it_chose_and_models_get_better(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'h.db'}")
    digits = demo.write_digits(tmp_path / "digits")
    assert len(digits.pool) + len(digits.judges) == 1797
    demo.prepare(database, "one", digits, seed=1)
    root = str(tmp_path / "models")
    points = demo.learn(database, "one", root, digits, "hybrid", 1, rounds=3)
    assert [point.labels for point in points] == [20, 40, 60]
    assert points[0].accuracy > 0.4
    assert points[-1].accuracy > points[0].accuracy
    chosen = rows_of(database, t.selections)
    assert [row["strategy"] for row in chosen] == ["hybrid"] * 3
    assert [row["model_id"] for row in chosen] == [None, 1, 2]
    labels = rows_of(database, t.labels)
    assert len(labels) == 60
    shown = {row["item_id"]: digits.truth[row["external_id"]] for row in rows_of(database, t.items)}
    assert sum(row["label"] == shown[row["item_id"]] for row in labels) > 50
    assert verify(database, "one").findings == []
    votes = rows_of(database, t.votes)
    assert len(votes) >= 180
    assert {row["solver_id"] for row in votes} <= {f"person-{number:02d}" for number in range(40)}


def test_the_command_prints_a_table_and_draws_a_chart(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "ROUNDS", 2)
    monkeypatch.setattr(demo, "STRATEGIES", ("hybrid", "random"))
    monkeypatch.setattr("hiveguard_pipeline.cli.active_demo.SEEDS", 1)
    done = home("demo", "--active", "--chart", "chart.svg")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["labels", "hybrid", "random"]
    assert [line.split()[0] for line in lines[1:3]] == ["20", "40"]
    drawn = ET.parse(home.folder / "chart.svg").getroot()
    assert {"hybrid", "random", "labels"} <= set(drawn.itertext())
    assert sum(part.tag.endswith("polyline") for part in drawn) == 2
    assert [row["proposes"] for row in home.rows("active", "models", "--dataset", "demo-digits")] == [
        True,
        False,
    ]


def test_a_curve_reaches_an_accuracy_where_it_stays_above_it() -> None:
    curve = [Point(10, 0.95), Point(20, 0.8), Point(30, 0.9), Point(40, 0.91)]
    assert labels_to_reach(curve, 0.9) == 30
    assert labels_to_reach(curve, 0.92) is None
    assert mean_curve([curve, [Point(12, 0.85), *curve[1:]]])[0] == Point(11, pytest.approx(0.9))
