"""`hiveguard recount` and `hiveguard votes export` as a user has them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hiveguard_pipeline.recount.output import Result
from hiveguard_pipeline.store.database import Database
from tests.cli.conftest import Terminal
from tests.recount.crowd import serialised

MakeLabels = Callable[[str], Database]


@pytest.fixture
def animals(terminal: Terminal, make_labels: MakeLabels) -> Terminal:
    terminal("datasets", "create", "animals")
    make_labels(terminal.environment["HIVEGUARD_DATABASE_URL"])
    return terminal


def test_a_recount_of_a_dataset_and_of_its_export_are_the_same(animals: Terminal) -> None:
    (row,) = animals.rows("recount", "--dataset", "animals", "--output", "of-database")
    assert (row["votes"], row["labels"], row["graduated"], row["needs_review"]) == (34, 3, 1, 1)
    animals("votes", "export", "--dataset", "animals", "--fmt", "parquet", "--output", "votes.parquet")
    (again,) = animals.rows("recount", "--votes", "votes.parquet", "--output", "of-file")
    assert again | {"dataset": "animals", "output": "of-database"} == row
    folders = [str(animals.folder / name) for name in ("of-database", "of-file")]
    assert serialised(folders[0], ("run_id", "applied_at", "policy_id")) == serialised(
        folders[1], ("run_id", "applied_at", "policy_id")
    )


def test_the_environment_is_the_policy_where_there_is_no_dataset(animals: Terminal) -> None:
    animals("votes", "export", "--dataset", "animals", "--fmt", "parquet", "--output", "votes.parquet")
    changed = {"CONSENSUS_THRESHOLD": "1"}
    animals("recount", "--votes", "votes.parquet", "--output", "out", HIVEGUARD_DATABASE_URL="no", **changed)
    manifest = Result(str(animals.folder / "out")).manifest
    assert manifest.policy["CONSENSUS_THRESHOLD"] == "1"
    assert "unlabeled" not in manifest.states
    done = animals("recount", "--dataset", "animals", "--output", "other", **changed)
    assert "CONSENSUS_THRESHOLD=1 in the environment does nothing" in done.stderr
    assert Result(str(animals.folder / "other")).manifest.policy["CONSENSUS_THRESHOLD"] == "3"


def test_into_the_database_and_a_result_afterwards(animals: Terminal) -> None:
    (row,) = animals.rows("recount", "--dataset", "animals", "--into-database", "--output", "out")
    assert (row["extended"], row["unchanged"], row["rows_written"], row["left_alone"]) == (0, 5, 0, 0)
    animals("policy", "set", "animals", "CONSENSUS_THRESHOLD=4", "--actor", "a", "--reason", "r")
    told = animals.refused("recount", "--result", "out", "--dataset", "animals", "--into-database")
    assert "another policy" in told
    (row,) = animals.rows("recount", "--dataset", "animals", "--into-database")
    assert row["new_generations"] > 0
    assert row["output"] is None
    assert "0 differences" in animals("verify").stderr


def test_lines_of_progress_come_on_request(animals: Terminal) -> None:
    assert animals("recount", "--dataset", "animals", "--output", "quiet").stderr == ""
    told = animals("recount", "--dataset", "animals", "--output", "told", "--lines").stderr
    assert "items" in told


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--dataset", "animals"],
        ["--votes", "v.parquet", "--into-database"],
        ["--result", "r", "--dataset", "animals"],
        ["--result", "r", "--dataset", "animals", "--into-database", "--output", "o"],
        ["--dataset", "animals", "--output", "o", "--master", "local[1]"],
        ["--dataset", "animals", "--output", "o", "--conf", "a=b"],
    ],
)
def test_what_does_not_go_together_is_wrong_usage(home: Terminal, words: list[str]) -> None:
    home.refused("recount", *words, code=2)


def test_what_is_not_there_is_named(home: Terminal) -> None:
    assert "absent.parquet" in home.refused("recount", "--votes", "absent.parquet", "--output", "o")
    assert "nothing-here" in home.refused("recount", "--dataset", "nothing-here", "--output", "o")
    (home.folder / "empty").mkdir()
    home("datasets", "create", "animals")
    result = ("--result", "empty", "--dataset", "animals", "--into-database")
    assert "no finished recount" in home.refused("recount", *result)
    spark = ("--engine", "spark", "--votes", "v", "--output", "o", "--conf", "nonsense")
    assert "KEY=VALUE" in home.refused("recount", *spark)
    lonely = home("recount", *spark[:-2], code=1, PATH=str(home.folder), JAVA_HOME="").stderr
    assert "openjdk-17-jre-headless" in lonely


def test_votes_go_to_stdout_and_a_file_appears_whole(animals: Terminal, tmp_path: Path) -> None:
    words = ("votes", "export", "--dataset", "animals", "--fmt", "jsonl")
    rows = [json.loads(line) for line in animals(*words).stdout.splitlines()]
    assert len(rows) == 34
    assert animals(*words, "--output", "votes.jsonl").stderr == "34 votes in votes.jsonl\n"
    assert (animals.folder / "votes.jsonl").read_text() == animals(*words).stdout
    assert "nothing-here" in animals.refused("votes", "export", "--dataset", "nothing-here", "--fmt", "csv")
    animals.refused("votes", "export", "--fmt", "csv", code=2)
