"""`hiveguard quality agreement` and `compare`, as a user runs them."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Terminal

FIGURES = ["percent_agreement", "cohens_kappa", "fleiss_kappa", "krippendorff_alpha", "gwet_ac1"]
VOTES = """external_id,solver_id,answer
x1,u,cat
x1,v,cat
x1,w,cat
x2,u,dog
x2,v,dog
x3,u,cat
x3,v,dog
x4,u,dog
"""


@pytest.fixture
def animals(terminal: Terminal, tmp_path: Path) -> Terminal:
    (tmp_path / "votes.csv").write_text(VOTES)
    terminal("datasets", "create", "animals")
    terminal("votes", "import", "votes.csv", "--dataset", "animals", "--create-items")
    return terminal


def test_agreement_is_one_object_of_plain_numbers(animals: Terminal) -> None:
    found = json.loads(animals("quality", "agreement", "--dataset", "animals", "--fmt", "json").stdout)
    assert (found["items"], found["paired_items"], found["solvers"], found["votes"]) == (4, 3, 3, 8)
    assert found["percent_agreement"] == pytest.approx(2 / 3)
    # u and v: cat-cat, dog-dog, cat-dog; kappa 0.4. u and w, v and w share x1 alone: undefined.
    assert found["cohens_kappa"] == pytest.approx(0.4)
    assert all(isinstance(found[name], float) for name in FIGURES)
    assert list(found["intervals"]) == FIGURES
    assert all(low < high for low, high in found["intervals"].values())
    assert list(found["per_label"]) == ["cat", "dog"]
    assert found["per_label"]["cat"]["specific_agreement"] == pytest.approx(6 / 7)
    assert found["per_label"]["dog"]["votes"] == 4


def test_every_format_says_the_same(animals: Terminal) -> None:
    asked = ("quality", "agreement", "--dataset", "animals", "--fmt")
    whole = json.loads(animals(*asked, "json").stdout)
    assert json.loads(animals(*asked, "jsonl").stdout) == whole
    rows = list(csv.DictReader(io.StringIO(animals(*asked, "csv").stdout)))
    overall = {row["figure"]: float(row["value"]) for row in rows if not row["label"]}
    assert overall == {name: whole[name] for name in FIGURES}
    table = animals(*asked, "table").stdout
    assert "0.6667" in table
    assert "specific_agreement" in table


def test_pairs_and_confusion_are_listings(animals: Terminal) -> None:
    pairs = animals.rows("quality", "agreement", "--dataset", "animals", "--pairs")
    assert [(row["first"], row["second"], row["items"]) for row in pairs] == [
        ("u", "v", 3),
        ("u", "w", 1),
        ("v", "w", 1),
    ]
    assert pairs[0]["cohens_kappa"] == pytest.approx(0.4)
    assert pairs[1]["cohens_kappa"] is pairs[1]["low"] is None
    cells = animals.rows("quality", "agreement", "--dataset", "animals", "--confusion")
    assert [(row["first"], row["second"], row["pairs"]) for row in cells] == [
        ("cat", "cat", 3),
        ("cat", "dog", 1),
        ("dog", "dog", 1),
    ]
    assert [row["share_of_disagreement"] for row in cells] == [None, 1.0, None]
    refused = animals("quality", "agreement", "--dataset", "animals", "--pairs", "--confusion", code=2)
    assert "choose one" in refused.stderr


def test_what_is_undefined_is_null_and_said_on_stderr(terminal: Terminal) -> None:
    terminal("datasets", "create", "empty")
    done = terminal("quality", "agreement", "--dataset", "empty", "--fmt", "json")
    found = json.loads(done.stdout)
    assert [found[name] for name in FIGURES] == [None] * 5
    assert (found["items"], found["votes"], found["per_label"]) == (0, 0, {})
    assert "fleiss_kappa is undefined: no item has two votes" in done.stderr
    assert terminal("quality", "agreement", "--dataset", "empty").stdout
    assert "there is no dataset 'ghost'" in terminal.refused("quality", "agreement", "--dataset", "ghost")


def test_compare_says_how_two_files_agree(terminal: Terminal, tmp_path: Path) -> None:
    a = [{"external_id": f"x{n}", "label": "cat" if n % 2 else "dog"} for n in range(10)]
    b = [{**row, "label": "cat"} if row["external_id"] == "x4" else row for row in a]
    (tmp_path / "A.json").write_text(json.dumps(a))
    (tmp_path / "B.json").write_text(json.dumps(b))
    found = json.loads(terminal("quality", "compare", "A.json", "B.json", "--fmt", "json").stdout)
    assert found["percent_agreement"] == 0.9
    assert found["cohens_kappa"] == pytest.approx(0.8)
    assert found["disagreements"] == [{"external_id": "x4", "label_a": "dog", "label_b": "cat"}]
    rows = terminal.rows("quality", "compare", "A.json", "B.json", "--disagreements", "--reason", "look")
    assert [(row["external_id"], row["reason"]) for row in rows] == [("x4", "look")]
    done = terminal("quality", "compare", "A.json", "B.json")
    assert "cohens_kappa" in done.stdout
    assert "two different labels: 1" in done.stderr
    assert "none.json" in terminal.refused("quality", "compare", "A.json", "none.json")
