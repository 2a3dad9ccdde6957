"""From Label Studio's files through the command line to graduated labels; every engine and command agrees."""

import json
from pathlib import Path
from random import Random
from typing import Any

from hiveguard_pipeline.recount.job import Request, recount_votes
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from tests.cli.conftest import Terminal
from tests.store.voting import add_items, cast

WHO = ("--reviewer", "ann", "--reason", "looked")


def put_boxes(path: Path, item: str, solvers: int, box: list[float], label: str = "car") -> Path:
    answer = {"boxes": [{"label": label, "bbox": box}]}
    rows = [{"external_id": item, "solver_id": f"p{k}", "answer": answer} for k in range(solvers)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_label_studio_boxes_of_two_annotations_become_a_graduated_label(
    terminal: Terminal, shared_cases: Path, tmp_path: Path
) -> None:
    terminal("datasets", "create", "cars", "--task-type", "bbox", "--classes", "car,zebra")
    source = shared_cases / "label-studio" / "bbox_two_annotators.JSON.txt"
    words = ("annotations", "import", source, "--dataset", "cars", "--from", "label-studio")
    first = terminal.rows(*words, "--create-items")[0]
    # Both annotations of the first task are of user 1, who counts once an item.
    assert (first["items"], first["answers"], first["accepted"], first["quarantined"]) == (3, 4, 3, 1)
    assert terminal.rows("votes", "quarantined", "--dataset", "cars")[0]["reason"] == "duplicate_vote"
    again = terminal.rows(*words)[0]
    assert (again["accepted"], again["quarantined"], again["already_known"]) == (0, 0, 4)
    votes = {row["external_id"]: row for row in terminal_votes(terminal)}
    assert votes["task-0"]["solver_id"] == "1"
    assert int(votes["task-0"]["duration_ms"]) == 1500

    own = [64.0, 96.0, 192.0, 192.0]  # 10, 20, 30 and 40 percent of 640 x 480
    rows = put_boxes(tmp_path / "votes.jsonl", "task-0", 14, [own[0] + 4, *own[1:]])
    terminal("votes", "import", rows, "--dataset", "cars")
    flagged = put_boxes(tmp_path / "other.jsonl", "task-1", 5, own, "zebra")
    terminal("votes", "import", flagged, "--dataset", "cars")
    done = terminal("run", "--dataset", "cars", "--fmt", "jsonl")
    funnel = json.loads(done.stdout.splitlines()[-1])
    assert (funnel["graduated"], funnel["unlabeled"]) == (1, 1)
    item = {row["external_id"]: row for row in terminal.rows("datasets", "items", "cars")}
    label = json.loads(item["task-0"]["label"])
    assert label["boxes"][0]["bbox"] == [68.0, 96.0, 192.0, 192.0]
    assert item["task-0"]["state"] == "graduated"
    exported = terminal("labels", "export", "--fmt", "jsonl", "--graduated").stdout.splitlines()
    assert [json.loads(json.loads(line)["label"]) for line in exported] == [label]
    terminal("verify", "--dataset", "cars")
    assert terminal("explain", "task-0", "--dataset", "cars").stdout

    wrong = terminal.refused(
        "labels",
        "correct",
        "task-1",
        '{"boxes":[{"label":"cat","bbox":[0,0,1,1]}]}',
        "--dataset",
        "cars",
        *WHO,
    )
    assert "'cat', no class of cars" in wrong
    assert "no answer of cars" in terminal.refused(
        "labels", "correct", "task-1", "zebra", "--dataset", "cars", *WHO
    )
    better = json.dumps({"boxes": [{"bbox": own, "label": "zebra"}]}, indent=1)
    terminal("labels", "correct", "task-1", better, "--dataset", "cars", *WHO)
    item = {row["external_id"]: row for row in terminal.rows("datasets", "items", "cars")}
    assert item["task-1"]["label"] == '{"boxes":[{"bbox":[64.0,96.0,192.0,192.0],"label":"zebra"}]}'
    terminal("run", "--dataset", "cars")
    terminal("verify", "--dataset", "cars")

    figures = terminal.rows("quality", "agreement", "--dataset", "cars")[0]
    assert figures["items"] == 2
    assert 0 < figures["mean_f1"] <= 1
    people = {row["solver_id"]: row for row in terminal.rows("quality", "solvers", "--dataset", "cars")}
    assert people["p0"]["label_agreement"] == 1.0
    for words in (("quality", "posterior"), ("quality", "calibrate"), ("forecast",)):
        assert "structured (bbox)" in terminal.refused(*words, "--dataset", "cars")


def terminal_votes(terminal: Terminal) -> list[dict[str, Any]]:
    lines = terminal("votes", "export", "--dataset", "cars", "--fmt", "jsonl").stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_label_studio_texts_and_classes_come_as_spans_and_names(
    terminal: Terminal, shared_cases: Path
) -> None:
    folder = shared_cases / "label-studio"
    terminal("datasets", "create", "people", "--task-type", "ner")
    for name in ("lsx_ner.json", "ner_emoji_parent_prediction.json"):
        words = ("annotations", "import", folder / name, "--dataset", "people", "--from", "label-studio")
        done = terminal.rows(*words, "--create-items")[0]
        assert (done["accepted"], done["quarantined"]) == (done["answers"], 0)
    terminal("policy", "set", "people", "CONSENSUS_THRESHOLD=1", "--actor", "a", "--reason", "r")
    terminal("run", "--dataset", "people")
    items = {row["external_id"]: row for row in terminal.rows("datasets", "items", "people")}
    assert items["t0"]["label"] == '{"spans":[{"end":14,"label":"PER","start":2}]}'  # after an emoji
    assert items["task-3"]["state"] == "unlabeled"  # nobody has looked at it
    terminal("datasets", "create", "moods", "--task-type", "text_classification")
    words = ("annotations", "import", folder / "lsx_text_classification.json", "--dataset", "moods")
    assert terminal.rows(*words, "--from", "label-studio", "--create-items")[0]["accepted"] == 3
    answers = terminal("votes", "export", "--dataset", "moods", "--fmt", "jsonl").stdout.splitlines()
    assert {json.loads(line)["answer"] for line in answers} <= {"pos", "neg", "positive", "negative", "neu"}


def test_a_recount_of_structured_votes_finds_what_the_runs_made(database: Database, tmp_path: Path) -> None:
    dataset = create_dataset(database, "boxes", Policy(), task_type="bbox")
    add_items(database, dataset, [f"i{k}" for k in range(8)])
    random = Random(3)
    casts = [
        (
            f"i{random.randrange(8)}",
            json.dumps(
                {
                    "boxes": [
                        {
                            "label": random.choice("aab"),
                            "bbox": [x + random.randint(0, 3), 0, 20, 20 + random.randint(0, 5)],
                        }
                        for x in (0, 100)
                        if random.random() < 0.9
                    ]
                }
            )
            if random.random() < 0.97
            else "not an answer",
        )
        for _ in range(150)
    ]
    for start in range(0, len(casts), 40):
        cast(database, dataset, casts[start : start + 40], first=start)
        apply_votes(database, "boxes", run_id="run")
    request = Request(
        "local", "recount", dataset_name="boxes", into_database=True, output=str(tmp_path / "out")
    )
    written = recount_votes(request, database, lambda *_: None, lambda _: None).written
    assert written is not None
    assert (written.extended, written.new_generations, written.ledger_rows) == (0, 0, 0)
    assert written.unchanged == 8
