"""How rows are written: four formats that read back, pipes that close early, a start without weight."""

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.cli.conftest import HIVEGUARD, Terminal, clean_environment
from tests.dagster_location.crowd import put_votes
from tests.dagster_location.fresh import imported_by

MakeLabels = Callable[[str], Database]

LISTINGS = [
    ["datasets", "list"],
    ["datasets", "show", "animals"],
    ["datasets", "items", "animals"],
    ["policy", "show", "animals"],
    ["pool", "sample", "--dataset", "animals", "--seed", "1"],
    ["review", "list"],
    ["votes", "quarantined", "--dataset", "animals"],
    ["explain", "moving", "--dataset", "animals"],
    ["verify"],
]


@pytest.fixture
def labelled(terminal: Terminal, make_labels: MakeLabels) -> Terminal:
    terminal("datasets", "create", "animals", "--classes", "a,b,c")
    make_labels(terminal.environment["HIVEGUARD_DATABASE_URL"])
    (terminal.folder / "bad.csv").write_text('external_id,solver_id,answer\n"no, body",x,"a ""b"""\n')
    terminal("votes", "import", "bad.csv", "--dataset", "animals")
    return terminal


@pytest.mark.parametrize("words", LISTINGS, ids=" ".join)
def test_every_format_of_a_listing_reads_back(words: list[str], labelled: Terminal) -> None:
    as_json = json.loads(labelled(*words, "--fmt", "json").stdout)
    as_jsonl = [json.loads(line) for line in labelled(*words, "--fmt", "jsonl").stdout.splitlines()]
    lines = labelled(*words, "--fmt", "csv").stdout
    as_csv = list(csv.DictReader(io.StringIO(lines), strict=True))
    table = labelled(*words, "--fmt", "table").stdout.splitlines()
    if words[0] == "explain":
        as_json = as_json["batches"]
    if words[:2] == ["datasets", "show"]:
        assert {row["what"]: int(row["count"]) for row in as_csv} == {
            key: value for key, value in as_json.items() if key != "dataset"
        }
        return
    assert as_jsonl == as_json
    assert len(as_csv) == len(as_json)
    assert lines.splitlines()[0]
    for written, row in zip(as_csv, as_json, strict=True):
        assert set(written) <= set(row) if words[0] == "explain" else list(written) == list(row)
        for key, value in row.items():
            if key not in written:
                continue
            if isinstance(value, str):
                assert written[key] == value or key == "classes"
            elif value is None:
                assert written[key] == ""
    if words[0] not in ("explain", "policy"):
        assert len(table) == (len(as_json) + 1 if as_json else 0)


@pytest.mark.parametrize("words", [["review", "list"], ["votes", "quarantined", "--dataset", "empty"]])
def test_nothing_is_an_empty_list(words: list[str], home: Terminal) -> None:
    home("datasets", "create", "empty")
    assert json.loads(home(*words, "--fmt", "json").stdout) == []
    assert home(*words, "--fmt", "jsonl").stdout == ""
    assert home(*words, "--fmt", "csv").stdout.count("\n") == 1
    assert home("labels", "export", "--fmt", "json").stdout == "[]\n"
    assert home("labels", "export", "--fmt", "csv").stdout.count("\n") == 1


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose listings are longer than a pipe holds."""
    home = tmp_path_factory.mktemp("many")
    database = open_database(f"sqlite:///{home / 'hiveguard.db'}")
    dataset = create_dataset(database, "animals", Policy())
    put_votes(database, dataset, {f"item-{number:04}": "aaa" for number in range(1_500)})
    apply_votes(database, "animals", run_id="test")
    return clean_environment() | {"HIVEGUARD_HOME": str(home)}


@pytest.mark.parametrize(
    "words",
    [
        "datasets items animals --fmt table",
        "datasets items animals --fmt csv",
        "datasets items animals --fmt json",
        "datasets items animals --fmt jsonl",
        "labels export --fmt csv",
        "labels export --fmt jsonl",
        "labels export --fmt parquet",
        "--help",
    ],
)
def test_a_reader_that_leaves_early_ends_it_quietly(words: str, many: dict[str, str]) -> None:
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"set -o pipefail; {HIVEGUARD} {words} | head -c 20 > /dev/null; echo ${{PIPESTATUS[0]}}",
        ],
        env=many,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "0\n"


HEAVY = [
    "dagster",
    "sqlalchemy",
    "pandas",
    "pyarrow",
    "numpy",
    "great_expectations",
    "alembic",
    "fsspec",
    "yaml",
]


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["labels", "--help"], {"sqlalchemy", "pyarrow", "numpy"}),
    ],
    ids=["help", "version", "labels"],
)
def test_help_starts_without_weight(words: list[str], allowed: set[str], tmp_path: Path) -> None:
    code = (
        "from hiveguard_pipeline.cli.main import main\n"
        f"sys.argv = ['hiveguard', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
    )
    assert imported_by(code, HEAVY, tmp_path) <= allowed


def test_no_command_imports_dagster_or_pandas_before_it_is_needed(tmp_path: Path) -> None:
    code = (
        "import click\nfrom hiveguard_pipeline.cli.main import COMMANDS, hiveguard\n"
        "for name in COMMANDS:\n    hiveguard.get_command(click.Context(hiveguard), name)\n"
    )
    assert imported_by(code, ["dagster", "pandas", "great_expectations", "alembic"], tmp_path) == set()
