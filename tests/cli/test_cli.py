"""Every command of the design, on both databases."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq  # noqa: TID253
import pytest

from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.tables import item_uuid
from tests.cli.conftest import Terminal
from tests.dagster_location.crowd import change

MakeLabels = Callable[[str], Database]
ITEMS = "external_id,data_ref,modality\ncat,https://example.com/cat.jpg,image\ndog,https://example.com/dog.jpg,image\n"
VOTES = (
    "external_id,solver_id,answer\n"
    + "".join(f"cat,s{n},a\n" for n in range(15))
    + "dog,s1,a\ndog,s2,a\ndog,s3,b\n"
)
WHO = ("--reviewer", "lead", "--reason", "looked at it")


@pytest.fixture
def labelled(terminal: Terminal, make_labels: MakeLabels) -> Terminal:
    """A terminal on a store with an item in each state."""
    terminal("datasets", "create", "animals", "--classes", "a,b,c")
    make_labels(terminal.environment["HIVEGUARD_DATABASE_URL"])
    return terminal


def test_from_files_to_labels(terminal: Terminal) -> None:
    (terminal.folder / "items.csv").write_text(ITEMS)
    (terminal.folder / "votes.csv").write_text(VOTES)
    done = terminal.process("init")
    assert done.stdout == ""
    assert "database" in done.stderr
    assert "created dataset animals" in terminal("datasets", "create", "animals", "--classes", "a,b").stderr
    (made,) = terminal.rows("items", "import", "items.csv", "--dataset", "animals")
    assert (made["read"], made["created"]) == (2, 2)
    (first,) = terminal.rows("votes", "import", "votes.csv", "--dataset", "animals")
    assert (first["read"], first["accepted"], first["quarantined"]) == (18, 18, 0)
    (again,) = terminal.rows("votes", "import", "votes.csv", "--dataset", "animals")
    assert (again["accepted"], again["quarantined"], again["already_known"]) == (0, 0, 18)
    own_process = terminal.process if "sqlite" in terminal.environment["HIVEGUARD_DATABASE_URL"] else terminal
    ran = own_process("run", "--fmt", "json")
    (funnel,) = json.loads(ran.stdout)
    assert funnel["dataset"] == "animals"
    assert (funnel["graduated"], funnel["in_revalidation"], funnel["unlabeled"]) == (1, 1, 0)
    assert "succeeded" in ran.stderr
    (graduated,) = terminal.rows("datasets", "items", "animals", "--state", "graduated")
    assert (graduated["external_id"], graduated["confidence"]) == ("cat", 1.0)
    batches = terminal.rows("explain", "cat", "--dataset", "animals")
    assert [batch["kind"] for batch in batches] == ["first_pass"] + 4 * ["revalidation"]
    (run_id,) = {batch["run_id"] for batch in batches}
    assert f"run {run_id} of animals succeeded" in ran.stderr
    folder = Path(terminal.environment["HIVEGUARD_HOME"]) / "exports" / "animals"
    latest = json.loads((folder / "latest.json").read_text())
    assert (folder / latest["export_id"] / "manifest.json").is_file()
    assert terminal("verify").stdout == ""


def test_init_twice_changes_nothing(home: Terminal) -> None:
    first = home("init")
    yaml = Path(home.environment["HIVEGUARD_HOME"]) / "dagster" / "dagster.yaml"
    yaml.write_text("# mine\n")
    home("datasets", "create", "animals")
    assert home("init").stderr == first.stderr
    assert yaml.read_text() == "# mine\n"
    assert [row["name"] for row in home.rows("datasets", "list")] == ["animals"]


def test_items_and_states_are_listed(labelled: Terminal) -> None:
    items = {row["external_id"]: row for row in labelled.rows("datasets", "items", "animals")}
    assert {name: row["state"] for name, row in items.items()} == {
        "graduated": "graduated",
        "moving": "in_revalidation",
        "flagged": "needs_review",
        "fresh": "unlabeled",
        "contested": "unlabeled",
    }
    moving = items["moving"]
    assert (moving["label"], moving["confidence"]) == ("a", 0.816667)
    assert (moving["vote_count"], moving["revalidation_vote_count"], moving["total_votes"]) == (3, 3, 6)
    assert (moving["unprocessed_votes"], moving["in_pool"], moving["needs_review"]) == (1, True, False)
    assert items["flagged"]["needs_review"] is True
    assert items["fresh"]["label"] is None
    assert [row["item_id"] for row in items.values()] == sorted(row["item_id"] for row in items.values())
    (shown,) = labelled.rows("datasets", "show", "animals")
    assert (shown["items"], shown["graduated"], shown["needs_review"], shown["unlabeled"]) == (5, 1, 1, 2)
    assert shown["votes_received"] == shown["votes_applied"] + shown["votes_unprocessed"] == 34


def test_labels_are_exported_in_every_format(labelled: Terminal, tmp_path: Path) -> None:
    def exported(*words: str) -> str:
        return labelled("labels", "export", *words).stdout

    as_json = json.loads(exported("--fmt", "json"))
    assert [list(row) for row in as_json] == 2 * [
        ["item_id", "data_ref", "modality", "label", "confidence", "solver_count", "created_at"]
    ]
    assert [row["item_id"] for row in as_json] == sorted(row["item_id"] for row in as_json)
    assert [json.loads(line) for line in exported("--fmt", "jsonl").splitlines()] == as_json
    as_csv = list(csv.DictReader(io.StringIO(exported("--fmt", "csv"))))
    assert as_csv == [{key: str(value) for key, value in row.items()} for row in as_json]
    done = labelled("labels", "export", "--fmt", "parquet", "--output", "out/labels.parquet")
    assert (done.stdout, done.stderr) == ("", "2 labels in out/labels.parquet\n")
    assert pq.read_table(tmp_path / "out" / "labels.parquet").to_pylist() == as_json
    (graduated,) = json.loads(exported("--fmt", "json", "--graduated", "--dataset", "animals"))
    assert (graduated["label"], graduated["confidence"], graduated["solver_count"]) == ("a", 1.0, 15)
    assert json.loads(exported("--fmt", "json", "--min-confidence", "0.82")) == [graduated]
    assert len(json.loads(exported("--fmt", "json", "--min-confidence", "0.816667"))) == 2
    labelled("datasets", "export", "animals", "--fmt", "csv", "--output", "animals.csv")
    assert (tmp_path / "animals.csv").read_text() == exported("--fmt", "csv")


def test_reviews_by_id_and_by_name(labelled: Terminal) -> None:
    (flagged,) = labelled.rows("review", "list")
    assert (flagged["external_id"], flagged["reason"], flagged["confidence"]) == (
        "flagged",
        "low_confidence",
        0.516667,
    )
    done = labelled("review", "confirm", flagged["item_id"], *WHO)
    assert done.stdout == ""
    assert "confirm: item flagged is in_revalidation, label 'a' at 0.6" in done.stderr
    assert labelled.rows("review", "list") == []
    labelled("review", "undo", "flagged", "--dataset", "animals", *WHO)
    assert len(labelled.rows("review", "list", "--dataset", "animals")) == 1
    labelled("review", "relabel", "flagged", "b", "--dataset", "animals", *WHO)
    (shown,) = [r for r in labelled.rows("datasets", "items", "animals") if r["external_id"] == "flagged"]
    assert (shown["state"], shown["label"], shown["confidence"]) == ("in_revalidation", "b", 0.666667)
    labelled("labels", "correct", "graduated", "c", "--dataset", "animals", *WHO)
    (corrected,) = [r for r in labelled.rows("datasets", "items", "animals") if r["label"] == "c"]
    assert (corrected["external_id"], corrected["confidence"]) == ("graduated", 0.6)
    explained = json.loads(labelled("explain", "flagged", "--dataset", "animals", "--fmt", "json").stdout)
    assert [review["decision"] for review in explained["reviews"]] == ["confirm", "undo", "relabel"]
    assert labelled("verify").stdout == ""


def test_an_item_is_discarded_for_good(labelled: Terminal) -> None:
    labelled("review", "discard", "flagged", "--dataset", "animals", *WHO)
    assert [
        row["external_id"] for row in labelled.rows("datasets", "items", "animals", "--state", "discarded")
    ]
    assert labelled.rows("review", "list") == []


def test_explain_by_id_and_by_name_is_the_same(labelled: Terminal) -> None:
    by_name = labelled("explain", "moving", "--dataset", "animals", "--fmt", "json").stdout
    assert labelled("explain", item_uuid("animals", "moving"), "--fmt", "json").stdout == by_name
    found = json.loads(by_name)
    assert [(b["kind"], b["confidence_before"], b["confidence_after"]) for b in found["batches"]] == [
        ("first_pass", None, 0.666667),
        ("revalidation", 0.666667, 0.816667),
    ]
    assert len(found["votes"]) == 7
    assert [vote["processed"] for vote in found["votes"]] == 6 * [True] + [False]
    assert {batch["run_id"] for batch in found["batches"]} == {"by-hand"}


def test_verify_ends_with_1_after_tampering(labelled: Terminal, database: Database) -> None:
    assert "0 differences" in labelled("verify").stderr
    change(
        database,
        "UPDATE labels SET confidence = 910000 WHERE item_id ="
        " (SELECT item_id FROM items WHERE external_id = 'moving')",
    )
    done = labelled("verify", "--dataset", "animals", "--fmt", "jsonl", code=1)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["external_id"] for row in found} == {"moving"}
    assert found[0]["dataset"] == "animals"
    assert found[0]["reason"]


def test_the_pool_is_drawn_from(labelled: Terminal) -> None:
    drawn = labelled.rows("pool", "sample", "--dataset", "animals", "--n", "9", "--seed", "4")
    assert {(row["external_id"], row["tier"]) for row in drawn} == {
        ("fresh", 1),
        ("contested", 1),
        ("moving", 2),
    }
    assert drawn == labelled.rows("pool", "sample", "--dataset", "animals", "--n", "9", "--seed", "4")
    (moving,) = [row for row in drawn if row["tier"] == 2]
    assert moving["weight"] == pytest.approx((15 - 7) / 15) or moving["weight"] == pytest.approx(
        (15 - 6) / 15
    )
    assert len(labelled.rows("pool", "sample", "--dataset", "animals", "--n", "1")) == 1


def test_a_policy_is_changed_and_remembered(terminal: Terminal) -> None:
    terminal("datasets", "create", "animals")
    done = terminal(
        "policy", "set", "animals", "CONSENSUS_THRESHOLD=5", "REVALIDATION_DELTA=0.000001", "--actor", "lead",
        "--reason", "harder images",
    )  # fmt: skip
    assert done.stdout == ""
    history = terminal.rows("policy", "show", "animals")
    assert [(row["CONSENSUS_THRESHOLD"], row["REVALIDATION_DELTA"]) for row in history] == [
        ("3", "0.05"),
        ("5", "0.000001"),
    ]
    assert (history[1]["actor"], history[1]["reason"]) == ("lead", "harder images")
    shown = terminal("policy", "show", "animals", CONSENSUS_THRESHOLD="7", REVALIDATION_MIN_VOTES="3")
    assert "warning: CONSENSUS_THRESHOLD=7 in the environment does nothing" in shown.stderr
    assert "REVALIDATION_MIN_VOTES" not in shown.stderr
    assert "warning" not in shown.stdout
    assert "5" in shown.stdout


def test_the_environment_is_recorded_when_a_dataset_is_created(terminal: Terminal) -> None:
    terminal("datasets", "create", "animals", CONSENSUS_THRESHOLD="5", REVALIDATION_EXIT_CONFIDENCE="0.9")
    (row,) = terminal.rows("policy", "show", "animals")
    assert (row["CONSENSUS_THRESHOLD"], row["REVALIDATION_EXIT_CONFIDENCE"]) == ("5", "0.9")
    assert row["REVALIDATION_MIN_TOTAL_VOTES"] == "15"


def test_what_cannot_be_a_vote_is_shown(terminal: Terminal) -> None:
    terminal("datasets", "create", "animals", "--classes", "yes,no")
    (terminal.folder / "votes.jsonl").write_text(
        '{"external_id": "x", "solver_id": "s1", "answer": "yes"}\n'
        '{"external_id": "x", "solver_id": "s2", "answer": "maybe"}\n'
        '{"external_id": "x", "solver_id": "s1", "answer": "no"}\nnot json\n'
    )
    done = terminal(
        "votes", "import", "votes.jsonl", "--dataset", "animals", "--create-items", "--fmt", "jsonl"
    )
    counts = json.loads(done.stdout)
    assert (counts["read"], counts["accepted"], counts["quarantined"], counts["items_created"]) == (
        4,
        1,
        3,
        1,
    )
    assert "quarantined: 1 " in done.stderr
    rows = terminal.rows("votes", "quarantined", "--dataset", "animals")
    assert [row["line"] for row in rows] == [2, 3, 4]
    assert len({row["reason"] for row in rows}) == 3
    assert {row["file_name"] for row in rows} == {"votes.jsonl"}
