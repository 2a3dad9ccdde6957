"""`hiveguard quality solvers` and `spot-checks`, on both databases, and on real votes."""

import csv
import io
import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.quality.solvers import read_solver_quality
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset, get_dataset, now_text
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.tables import item_uuid
from tests.cli.conftest import Terminal
from tests.quality.solver_crowds import Plan, crowd_of

PLAN = Plan(solvers=24, items=150, votes=6, evenly=True, skill=(40, 4), one_class=[3])


@pytest.fixture
def terminal(environment: dict[str, str], tmp_path: Path) -> Terminal:
    return Terminal(environment, tmp_path)


@pytest.fixture
def animals(database_url: str) -> Database:
    """A dataset with gold items, times, a solver who gives one class, and one who is excluded."""
    database = open_database(database_url)
    dataset = create_dataset(database, "animals", Policy())
    crowd = crowd_of(PLAN, 1)
    names = crowd.external_ids.to_pylist()
    gold = [None if code < 0 else crowd.classes[code] for code in crowd.gold.tolist()]
    ids = [item_uuid("animals", name) for name in names]
    with database.write() as connection:
        items = [
            {
                "item_id": item_id,
                "dataset_id": dataset.dataset_id,
                "external_id": name,
                "data_ref": f"https://example.com/{name}.jpg",
                "modality": "image",
                "gold_label": label,
                "created_at": now_text(),
            }
            for item_id, name, label in zip(ids, names, gold, strict=True)
        ]
        connection.execute(t.items.insert(), items)
        order = crowd.vote_id.argsort()
        votes = [
            {
                "item_id": ids[crowd.item[row]],
                "solver_id": crowd.solvers[crowd.solver[row]],
                "answer": crowd.classes[crowd.answer[row]],
                "duration_ms": int(crowd.duration_ms[row]),
            }
            for row in order
        ]
        connection.execute(t.votes.insert(), votes)
        connection.execute(
            t.exclusions.insert().values(
                solver_id="s00005",
                dataset_id=dataset.dataset_id,
                reason="a test",
                actor="me",
                created_at=now_text(),
            )
        )
    apply_votes(database, "animals", run_id="by-hand")
    return database


def test_solvers_are_listed_in_all_formats_alike(terminal: Terminal, animals: Database) -> None:
    command = ("quality", "solvers", "--dataset", "animals")
    rows = terminal.rows(*command)
    assert json.loads(terminal(*command, "--fmt", "json").stdout) == rows
    read = list(csv.DictReader(io.StringIO(terminal(*command, "--fmt", "csv").stdout)))
    assert [row["solver_id"] for row in rows] == [f"s{n:05}" for n in range(24)]
    for row, written in zip(rows, read, strict=True):
        assert list(row) == list(written)
        for name, value in row.items():
            if value is None:
                assert written[name] == ""
            elif isinstance(value, float):
                assert float(written[name]) == value
            else:
                assert written[name].lower() == str(value).lower()
    assert [row["solver_id"] for row in rows if row["excluded"]] == ["s00005"]
    lazy = rows[3]
    assert lazy["flagged"] is True
    assert "one_class" in lazy["reasons"].split(",")
    assert lazy["leans_to"] == "c0"
    assert lazy["bias_c0"] > 0.3
    assert lazy["q_one_class"] <= 0.05
    assert sum(row["votes"] for row in rows) == 900
    shown = terminal(*command)
    assert shown.stdout.splitlines()[0].split()[:3] == ["solver_id", "votes", "consensus_agreement"]
    assert "of 24 solvers stand out" in shown.stderr
    flagged = terminal.rows(*command, "--flagged")
    assert flagged == [row for row in rows if row["flagged"]]


def test_a_rate_or_share_that_is_none_is_refused(terminal: Terminal, animals: Database) -> None:
    said = terminal.refused("quality", "solvers", "--dataset", "animals", "--fdr", "2")
    assert "between 0 and 1, not 2" in said
    said = terminal.refused("quality", "spot-checks", "--dataset", "animals", "--share", "0")
    assert "above 0 and at most 1" in said
    assert "no dataset" in terminal.refused("quality", "solvers", "--dataset", "none")


def test_spot_checks_name_the_vote_and_the_label_as_they_are(terminal: Terminal, animals: Database) -> None:
    command = ("quality", "spot-checks", "--dataset", "animals", "--seed", "3")
    rows = terminal.rows(*command)
    with animals.read() as connection:
        votes = connection.execute(
            sa.text(
                "SELECT v.vote_id, v.solver_id, v.answer, s.external_id, s.data_ref, s.state,"
                " coalesce(s.gold_label, s.label) AS label"
                " FROM votes v JOIN item_status s ON s.item_id = v.item_id"
            )
        ).all()
    known = {vote.vote_id: vote for vote in votes}
    for row in rows:
        vote = known[row["vote_id"]]
        for name in ("solver_id", "answer", "external_id", "data_ref", "state", "label"):
            assert row[name] == getattr(vote, name), name
    drawn = [row["solver_id"] for row in rows]
    for solver in {vote.solver_id for vote in votes}:
        given = sum(vote.solver_id == solver for vote in votes)
        assert drawn.count(solver) == (0 if solver == "s00005" else -(-given // 10))
    assert {row["state"] for row in rows} > {"gold"}
    assert terminal.rows(*command) == rows
    assert terminal.rows(*command[:-1], "4") != rows


@pytest.mark.parametrize(
    ("name", "known"),
    [("cf_amt", {"w0012": "one_class"}), ("d_possent", {"w0004": "one_class", "w0003": "streak"})],
)
def test_of_real_people_those_are_found_who_answer_at_random_or_with_one_class(
    shared_votes: Path, tmp_path: Path, name: str, known: dict[str, str]
) -> None:
    """The truth is looked at here alone, to see that who is flagged is worse than who is not."""
    from hiveguard_pipeline.intake import import_votes

    database = open_database(f"sqlite:///{tmp_path / 'real.db'}")
    create_dataset(database, name, Policy())
    import_votes(database, name, shared_votes / name / "votes.csv", create_items=True)
    with database.read() as connection:
        quality = read_solver_quality(connection, get_dataset(connection, name))
    by_name = dict(zip(quality.solvers, range(len(quality)), strict=True))
    for solver, reason in known.items():
        assert reason in quality.outliers.reasons(by_name[solver])
    with (shared_votes / name / "truth.csv").open(newline="") as lines:
        truth = {row["external_id"]: row["label"] for row in csv.DictReader(lines)}
    right: dict[bool, list[bool]] = {True: [], False: []}
    with (shared_votes / name / "votes.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            flagged = bool(quality.outliers.flagged[by_name[row["solver_id"]]])
            right[flagged].append(row["answer"] == truth[row["external_id"]])
    assert sum(right[True]) / len(right[True]) + 0.15 < sum(right[False]) / len(right[False])
    assert 0 < quality.outliers.flagged.mean() < 0.15
