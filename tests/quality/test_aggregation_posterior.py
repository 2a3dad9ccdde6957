"""Probabilities as users see them: the command on real databases, and the asset in a real run."""

import csv
import io
import json
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from hiveguard_pipeline.definitions import build_defs
from hiveguard_pipeline.intake import import_votes
from hiveguard_pipeline.quality.aggregation import aggregate
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.crowd import read_crowd
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, now_text
from hiveguard_pipeline.store.tables import item_uuid
from tests.cli.conftest import Terminal
from tests.quality.aggregation_crowds import Vote, crowd_of, drawn_votes
from tests.store.voting import add_items

ODD = 'a "b" c'
CLASSES = ("class-0", "class-1", ODD)


def put(database: Database, cast: list[Vote], gold: str = "item-000") -> Dataset:
    """The dataset `animals` with these votes, one gold item of class-1, and an item without votes."""
    dataset = create_dataset(database, "animals", Policy(), classes=CLASSES)
    add_items(database, dataset, [gold], gold="class-1")
    add_items(database, dataset, [*sorted({vote[0] for vote in cast} - {gold}), "none"])
    rows = [
        {"item_id": item_uuid("animals", item), "solver_id": solver, "answer": answer}
        for item, solver, answer in cast
    ]
    with database.write() as connection:
        connection.execute(t.votes.insert(), rows)
    return dataset


@pytest.fixture
def cast() -> list[Vote]:
    drawn, _ = drawn_votes(seed=8, items=25, solvers=7, classes=3, each=4)
    return [(item, solver, answer.replace("class-2", ODD)) for item, solver, answer in drawn]


@pytest.fixture
def terminal(environment: dict[str, str], tmp_path: Path) -> Terminal:
    return Terminal(environment, tmp_path)


POSTERIOR = ("quality", "posterior", "--dataset", "animals")


def test_posterior_prints_each_item_with_the_probability_of_each_class(
    database: Database, terminal: Terminal, cast: list[Vote]
) -> None:
    put(database, cast)
    done = terminal(*POSTERIOR, "--method", "dawid_skene", "--fmt", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    columns = ["external_id", "label", "probability", "p_class-0", "p_class-1", f"p_{ODD}"]
    assert list(rows[0]) == columns
    assert "1 items left out: they have no votes" in done.stderr
    expected_order = sorted({vote[0] for vote in cast}, key=lambda name: item_uuid("animals", name))
    assert [row["external_id"] for row in rows] == expected_order
    crowd = crowd_of(cast, {"item-000": "class-1"}, CLASSES)
    found = aggregate(crowd, "dawid_skene")
    place = {name: row for row, name in enumerate(crowd.item_ids.to_pylist())}
    for row in rows:
        own = found.probability[place[row["external_id"]]]
        np.testing.assert_allclose([float(row[name]) for name in columns[3:]], own, atol=1e-12)
        assert row["label"] == CLASSES[int(own.argmax())]
        assert float(row["probability"]) == float(row[f"p_{row['label']}"])
    gold = next(row for row in rows if row["external_id"] == "item-000")
    assert (gold["label"], gold["probability"]) == ("class-1", "1")


def test_the_formats_say_the_same(database: Database, terminal: Terminal, cast: list[Vote]) -> None:
    put(database, cast)
    lines = terminal.rows(*POSTERIOR, "--method", "one_coin")
    assert json.loads(terminal(*POSTERIOR, "--method", "one_coin", "--fmt", "json").stdout) == lines
    assert len(lines) == 25
    assert all(sum(row[f"p_{name}"] for name in CLASSES) == pytest.approx(1) for row in lines)
    table = terminal(*POSTERIOR, "--method", "one_coin").stdout.splitlines()
    assert table[0].split()[:3] == ["external_id", "label", "probability"]
    assert len(table) == 26


def test_gold_prior_and_iterations_are_choices(
    database: Database, terminal: Terminal, cast: list[Vote]
) -> None:
    put(database, cast)
    names = [vote for vote in cast if vote[0] == "item-000"]
    shares = {name: sum(vote[2] == name for vote in names) / len(names) for name in CLASSES}
    majority = terminal.rows(*POSTERIOR, "--method", "majority", "--no-gold")
    (own,) = (row for row in majority if row["external_id"] == "item-000")
    assert {name: own[f"p_{name}"] for name in CLASSES} == shares
    assert "1 items left out" in terminal(*POSTERIOR, "--no-gold", "--fmt", "csv").stderr
    few = terminal(*POSTERIOR, "--iterations", "1", "--fmt", "csv")
    assert "not converged after 1 iterations" in few.stderr
    assert terminal(*POSTERIOR, "--prior", "2", "1", "--fmt", "csv").stdout != few.stdout
    assert "--prior" in terminal.refused(*POSTERIOR, "--prior", "-1", "1", code=2)
    assert "no dataset 'plants'" in terminal.refused("quality", "posterior", "--dataset", "plants")


def test_votes_of_excluded_solvers_do_not_count(
    database: Database, terminal: Terminal, cast: list[Vote]
) -> None:
    dataset = put(database, cast)
    with database.write() as connection:
        connection.execute(
            t.exclusions.insert().values(
                solver_id="solver-01",
                dataset_id=dataset.dataset_id,
                reason="r",
                actor="a",
                created_at=now_text(),
            )
        )
    kept = [vote for vote in cast if vote[1] != "solver-01"]
    found = aggregate(crowd_of(kept, {"item-000": "class-1"}, CLASSES), "dawid_skene")
    rows = {row["external_id"]: row["p_class-0"] for row in terminal.rows(*POSTERIOR)}
    assert [rows[name] for name in sorted(rows)] == pytest.approx(found.probability[:, 0].tolist())


def test_an_empty_dataset_prints_its_heading(database: Database, terminal: Terminal) -> None:
    create_dataset(database, "animals", Policy(), classes=("x", "y"))
    assert terminal(*POSTERIOR, "--fmt", "csv").stdout == "external_id,label,probability,p_x,p_y\n"
    assert terminal(*POSTERIOR, "--fmt", "json").stdout == "[]\n"
    assert terminal(*POSTERIOR).stdout == ""


def test_the_asset_fits_the_votes_as_they_are(
    database: Database, environment: dict[str, str], cast: list[Vote]
) -> None:
    dataset = put(database, cast)
    create_dataset(database, "empty", Policy())
    defs = build_defs()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("datasets", ["animals", "empty"])
        runs = [
            defs.resolve_implicit_global_asset_job_def().execute_in_process(
                instance=instance, partition_key=name, asset_selection=[dg.AssetKey("posteriors")]
            )
            for name in ("animals", "empty")
        ]
    said, nothing = (run.asset_materializations_for_node("posteriors")[0].metadata for run in runs)
    with database.read() as connection:
        found = aggregate(read_crowd(connection, dataset), "dawid_skene")
    assert said["dagster/row_count"].value == 25
    assert said["votes"].value == len(cast)
    assert said["iterations"].value == found.iterations
    classes = {record.data["class"]: record.data for record in said["classes"].value.records}
    assert classes[ODD]["items"] == int((found.label == 2).sum())
    assert classes["class-0"]["prior"] == pytest.approx(found.class_prior[0], abs=1e-6)
    assert str(said["confusion"].value).startswith("![answers by true class](data:image/svg+xml;base64,")
    assert (nothing["dagster/row_count"].value, nothing["votes"].value) == (0, 0)


def test_d_possent_from_its_file_to_its_labels(
    database: Database, terminal: Terminal, shared_votes: Path
) -> None:
    create_dataset(database, "d_possent", Policy())
    import_votes(database, "d_possent", shared_votes / "d_possent" / "votes.csv", create_items=True)
    with (shared_votes / "d_possent" / "truth.csv").open(newline="") as file:
        truth = {row["external_id"]: row["label"] for row in csv.DictReader(file)}
    right = {}
    for method in ("majority", "dawid_skene"):
        rows = terminal.rows("quality", "posterior", "--dataset", "d_possent", "--method", method)
        right[method] = sum(row["label"] == truth[row["external_id"]] for row in rows)
    assert right == {"majority": 932, "dawid_skene": 960}
