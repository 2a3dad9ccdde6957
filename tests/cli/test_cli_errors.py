"""Wrong usage ends with 2, failure with 1 and one clear line; nothing is half done."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hiveguard_pipeline.store.database import Database
from tests.cli.conftest import HIVEGUARD, Terminal
from tests.dagster_location.crowd import change
from tests.dagster_location.roles import role_with_password, url_of

WHO = ("--actor", "lead", "--reason", "test")


@pytest.fixture
def animals(home: Terminal) -> Terminal:
    """A terminal on SQLite with an empty dataset `animals`."""
    home("datasets", "create", "animals", "--classes", "a,b")
    return home


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["datasets"],
        ["datasets", "create"],
        ["datasets", "create", "x", "--modality", "smell"],
        ["datasets", "list", "--fmt", "xml"],
        ["datasets", "items", "animals", "--state", "lost"],
        ["items", "import", "f.csv"],
        ["labels", "export"],
        ["labels", "export", "--fmt", "xls"],
        ["policy", "set", "animals", "--actor", "a", "--reason", "b"],
        ["policy", "set", "animals", "CONSENSUS_THRESHOLD", *WHO],
        ["policy", "set", "animals", "CONSENSUS_THRESHOLD=4", "--actor", "a"],
        ["pool", "sample", "--dataset", "animals", "--n", "0"],
        ["review", "confirm", "x"],
        ["demo", "--items", "1"],
        ["verify", "--nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(words: list[str], animals: Terminal) -> None:
    assert animals.refused(*words, code=2)


@pytest.mark.parametrize(
    "words",
    [
        ["datasets", "show", "birds"],
        ["datasets", "items", "birds"],
        ["datasets", "export", "birds", "--output", "f.csv"],
        ["items", "import", "items.csv", "--dataset", "birds"],
        ["votes", "import", "votes.csv", "--dataset", "birds"],
        ["votes", "quarantined", "--dataset", "birds"],
        ["policy", "show", "birds"],
        ["policy", "set", "birds", "CONSENSUS_THRESHOLD=4", *WHO],
        ["run", "--dataset", "birds"],
        ["labels", "export", "--fmt", "csv", "--dataset", "birds"],
        ["labels", "export", "--fmt", "csv", "--dataset", "birds", "--output", "f.csv"],
        ["pool", "sample", "--dataset", "birds"],
        ["review", "list", "--dataset", "birds"],
        ["explain", "x", "--dataset", "birds"],
        ["verify", "--dataset", "birds"],
    ],
    ids=" ".join,
)
def test_an_unknown_dataset_is_named_with_those_there_are(words: list[str], animals: Terminal) -> None:
    (animals.folder / "items.csv").write_text("external_id,data_ref,modality\nx,y,image\n")
    (animals.folder / "votes.csv").write_text("external_id,solver_id,answer\nx,s,a\n")
    assert "there is no dataset 'birds'; there are animals" in animals.refused(*words)
    assert not (animals.folder / "f.csv").exists()


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("Animals", [], "'Animals' cannot name a dataset"),
        ("-x", ["--"], "'-x' cannot name a dataset"),
        ("x" * 64, [], "cannot name a dataset"),
        ("../x", [], "cannot name a dataset"),
        ("animals", [], "there is a dataset animals already"),
        ("birds", ["--classes", "a"], "at least two"),
        ("birds", ["--classes", "a,a"], "no two of them alike"),
        ("birds", ["--classes", "a,,b"], "a class must not be empty"),
        ("birds", ["--classes", ""], "a class must not be empty"),
        ("birds", ["--classes", "a,b\x1bc"], "no line ends or control characters: 'b\\x1bc'"),
        ("birds", ["--task-type", "bbox", "--classes", "x" * 501], "at most 500 characters"),
    ],
)
def test_a_dataset_that_cannot_be_is_refused(
    name: str, more: list[str], said: str, animals: Terminal
) -> None:
    assert said in animals.refused("datasets", "create", *more, name)
    assert [row["name"] for row in animals.rows("datasets", "list")] == ["animals"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("REVALIDATION_DELTA=0.0500001", "more than six decimals"),
        ("REVALIDATION_CONFIDENCE_THRESHOLD=0.85", "must be below"),
        ("REVALIDATION_EXIT_CONFIDENCE=0.6", "must be below"),
        ("CONSENSUS_THRESHOLD=0", "from 1"),
        ("CONSENSUS_THRESHOLD=2.5", "whole number"),
        ("CONSENSUS_THRESHOLD=three", "must be a number"),
        ("REVALIDATION_MIN_VOTES=0", "from 1"),
        ("REVALIDATION_DELTA=0", "above 0"),
        ("REVALIDATION_EXIT_CONFIDENCE=1.1", "between 0 and 1"),
        ("REVALIDATION_DELTA=nan", "must be a number"),
        ("THRESHOLD=3", "THRESHOLD"),
    ],
)
def test_settings_that_make_no_policy_are_refused_everywhere(
    setting: str, said: str, animals: Terminal
) -> None:
    assert said in animals.refused("policy", "set", "animals", setting, *WHO)
    assert len(animals.rows("policy", "show", "animals")) == 1
    key, value = setting.split("=")
    if key != "THRESHOLD":
        assert said in animals.refused("datasets", "create", "birds", **{key: value})
        assert [row["name"] for row in animals.rows("datasets", "list")] == ["animals"]


@pytest.mark.parametrize("noun", ["items", "votes"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("", "empty"),
        ("external_id,thing\nx,y\n", "no column"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "not UTF-8"),
        ("[]\n", "neither CSV nor JSONL"),
    ],
    ids=["missing", "empty", "no column", "a picture", "a JSON array"],
)
def test_a_bad_file_is_refused_whole_with_its_name(
    noun: str, content: str | bytes | None, said: str, animals: Terminal
) -> None:
    if content is not None:
        (animals.folder / "bad.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    line = animals.refused(noun, "import", "bad.csv", "--dataset", "animals")
    assert "bad.csv" in line
    assert said in line
    assert animals.rows("datasets", "items", "animals") == []


def test_an_item_that_is_not_there_is_named(animals: Terminal) -> None:
    assert "there is no item 'x' in dataset animals" in animals.refused(
        "explain", "x", "--dataset", "animals"
    )
    assert "an external_id wants --dataset" in animals.refused("explain", "x")


def test_a_review_of_an_item_that_is_not_flagged_is_refused(animals: Terminal) -> None:
    (animals.folder / "votes.csv").write_text("external_id,solver_id,answer\nx,s,a\n")
    animals("votes", "import", "votes.csv", "--dataset", "animals", "--create-items")
    words = ["x", "--dataset", "animals", "--reviewer", "lead", "--reason", "t"]
    assert "item x is unlabeled, not in review" in animals.refused("review", "confirm", *words)
    assert animals.refused("review", "undo", *words)
    line = animals.refused("labels", "correct", "x", "z", *words[1:])
    assert "z" in line
    assert animals("verify").stdout == ""


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "not a database address"),
        ("mysql://u:sw0rdfish@h/d", "mysql"),
        ("postgresql://u:sw0rdfish@127.0.0.1:1/votes", "could not be used"),
        ("postgresql://u:sw0rdfish@127.0.0.1:port/votes", "not a database address"),
        ("sqlite://", "names no file"),
        ("sqlite:////etc/hostname/x/votes.db", "/etc/hostname/x cannot be made"),
        ("sqlite:////etc/hostname", "/etc/hostname"),
        ("sqlite:////tmp", "/tmp"),
    ],
)
@pytest.mark.parametrize("words", [["datasets", "list"], ["init"]], ids=" ".join)
def test_a_database_that_cannot_be_used_is_one_line_without_password(
    url: str, said: str, words: list[str], home: Terminal
) -> None:
    line = home.refused(*words, HIVEGUARD_DATABASE_URL=url)
    assert said in line
    assert "sw0rdfish" not in line
    assert "sqlalche.me" not in line
    assert "--debug" not in line  # an address is the user's to put right


def test_a_wrong_password_is_one_line_without_it(home: Terminal, new_postgres: Callable[..., str]) -> None:
    url = new_postgres()
    with role_with_password(url) as role:
        home("datasets", "create", "animals", HIVEGUARD_DATABASE_URL=url_of(url, role))
        for as_option in (False, True):
            wrong = url_of(url, role, "swordf1sh", as_option=as_option)
            line = home.refused("datasets", "list", HIVEGUARD_DATABASE_URL=wrong)
            assert "password authentication failed" in line
            assert "swordf1sh" not in line
            shown = home("init", HIVEGUARD_DATABASE_URL=url_of(url, role, as_option=as_option))
            assert "sw0rdfish" not in shown.stderr + shown.stdout


@pytest.mark.parametrize(("revision", "said"), [("0000", "hiveguard init"), ("9999", "newer version")])
def test_a_database_of_another_revision_is_refused(
    revision: str, said: str, terminal: Terminal, database: Database
) -> None:
    change(database, "UPDATE alembic_version SET version_num = :revision", revision=revision)
    line = terminal.refused("datasets", "list")
    assert f"at revision {revision}" in line
    assert said in line
    if revision == "9999":
        assert "newer version" in terminal.refused("init")


def test_tables_of_others_are_left_alone(home: Terminal, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    change(Database(url), "CREATE TABLE items (id int)")
    assert "that HiveGuard did not make" in home.refused("datasets", "list", HIVEGUARD_DATABASE_URL=url)
    assert "that HiveGuard did not make" in home.refused("init", HIVEGUARD_DATABASE_URL=url)


def test_a_home_that_cannot_be_made_is_one_line(home: Terminal) -> None:
    for words in (["init"], ["datasets", "list"]):
        assert "/etc/hostname/x cannot be made" in home.refused(*words, HIVEGUARD_HOME="/etc/hostname/x")


def test_an_output_that_cannot_be_written_is_one_line(animals: Terminal) -> None:
    line = animals.refused("labels", "export", "--fmt", "csv", "--output", "/etc/hostname/x/labels.csv")
    assert "/etc/hostname/x/labels.csv cannot be written" in line


def test_an_export_root_that_cannot_be_written_fails_the_run_in_one_line(animals: Terminal) -> None:
    (animals.folder / "votes.csv").write_text(
        "external_id,solver_id,answer\n" + "".join(f"x,s{n},a\n" for n in range(15))
    )
    animals("votes", "import", "votes.csv", "--dataset", "animals", "--create-items")
    line = animals("run", code=1, HIVEGUARD_EXPORT_ROOT="/etc/hostname/x").stderr.strip()
    assert line.count("\n") == 0
    assert line.startswith("hiveguard: run ")
    assert "training_export" in line
    assert "/etc/hostname/x" in line


def test_a_run_without_datasets_says_what_to_do(home: Terminal) -> None:
    assert "hiveguard datasets create" in home.refused("run")


def test_debug_shows_where_an_error_came_from(animals: Terminal) -> None:
    done = subprocess.run(
        [HIVEGUARD, "--debug", "datasets", "show", "birds"],
        env=animals.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stdout == ""
