"""`hiveguard classes`: what there is, what was, and changes with who and why."""

import json

import pytest

from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.cli.conftest import Terminal

ON = ("--dataset", "animals")
WHO = ("--actor", "lead", "--reason", "the names were too fine")


def applied(terminal: Terminal) -> None:
    apply_votes(open_database(terminal.environment["HIVEGUARD_DATABASE_URL"]), "animals", run_id="by-hand")


@pytest.fixture
def animals(terminal: Terminal) -> Terminal:
    """`one` is a puppy, `split` was called three things, `true` is a cat for certain."""
    lines = ["external_id,solver_id,answer"]
    for item, answers in (("one", ("puppy",) * 3), ("split", ("puppy", "dog", "cat"))):
        lines += [f"{item},s{number},{answer}" for number, answer in enumerate(answers)]
    (terminal.folder / "votes.csv").write_text("\n".join(lines) + "\n")
    (terminal.folder / "gold.csv").write_text(
        "external_id,data_ref,modality,gold_label\ntrue,https://example.org/t.png,image,cat\n"
    )
    terminal("datasets", "create", "animals", "--classes", "puppy,dog,cat,kitten")
    terminal("items", "import", "gold.csv", *ON)
    terminal("votes", "import", "votes.csv", *ON, "--create-items")
    applied(terminal)
    return terminal


def test_classes_are_merged_renamed_removed_and_added_with_a_record(animals: Terminal) -> None:
    done = animals("classes", "merge", "puppy", "dog", "--into", "dog", *ON, *WHO, "--fmt", "json")
    (made,) = json.loads(done.stdout)
    assert made == {
        "dataset": "animals",
        "version": 2,
        "change": "merged",
        "classes": ["dog", "cat", "kitten"],
        "class_map": {"puppy": "dog"},
        "labels": 1,
        "gold_labels": 0,
    }
    assert "1 labels and 0 gold labels have another name" in done.stderr
    applied(animals)
    items = {row["external_id"]: row["label"] for row in animals.rows("datasets", "items", "animals")}
    assert items == {"one": "dog", "split": "dog", "true": None}
    animals("classes", "rename", "cat", "feline", *ON, *WHO)
    animals("classes", "remove", "kitten", "--into", "feline", *ON, *WHO)
    animals("classes", "add", "bird", "fish", *ON, *WHO)
    assert animals.rows("classes", "list", *ON) == [
        {"class": "dog", "labels": 2, "gold_items": 0, "former_names": ["puppy"]},
        {"class": "feline", "labels": 0, "gold_items": 1, "former_names": ["cat", "kitten"]},
        {"class": "bird", "labels": 0, "gold_items": 0, "former_names": []},
        {"class": "fish", "labels": 0, "gold_items": 0, "former_names": []},
    ]
    history = animals.rows("classes", "history", *ON)
    assert [row["change"] for row in history] == ["created", "merged", "renamed", "removed", "added"]
    assert [row["actor"] for row in history] == ["create", *["lead"] * 4]
    assert history[-1]["classes"] == ["dog", "feline", "bird", "fish"]
    table = animals("classes", "list", *ON).stdout
    assert "cat,kitten" in table
    assert "puppy -> dog" in animals("classes", "history", *ON, "--fmt", "csv").stdout
    animals("verify")


def test_explain_shows_what_was_said_and_what_it_means_now(animals: Terminal) -> None:
    assert " means " not in animals("explain", "one", *ON).stdout
    animals("classes", "rename", "puppy", "young dog", *ON, *WHO)
    votes = json.loads(animals("explain", "one", *ON, "--fmt", "json").stdout)["votes"]
    assert {(vote["answer"], vote["means"]) for vote in votes} == {("puppy", "young dog")}
    assert " means " in animals("explain", "one", *ON).stdout
    exported = animals("votes", "export", *ON, "--fmt", "csv").stdout
    assert "puppy" in exported
    assert "young dog" not in exported


def test_a_change_that_cannot_be_is_one_line_that_says_why(animals: Terminal) -> None:
    refused = animals.refused("classes", "remove", "kitten", "--into", "lion", *ON, *WHO)
    assert "'lion' is no class of animals" in refused
    animals("classes", "rename", "kitten", "cub", *ON, *WHO)
    refused = animals.refused("classes", "add", "kitten", *ON, *WHO)
    assert "'kitten' was a class of animals and means 'cub' now" in refused
    refused = animals.refused("classes", "rename", "dog", "cat", *ON, *WHO)
    assert "`hiveguard classes merge dog cat --into cat`" in refused
    animals.refused("classes", "rename", "dog", "hound", *ON, "--actor", "lead", code=2)
    animals.refused("classes", "add", *ON, *WHO, code=2)


def test_a_config_with_other_classes_names_the_command(animals: Terminal) -> None:
    (animals.folder / "config.yaml").write_text("name: animals\nclasses: [dog, cat]\n")
    assert (
        "`hiveguard classes add|rename|merge|remove`"
        in animals("init", "--config", "config.yaml", code=1).stderr
    )
