"""`hiveguard workflow`, `tasks`, `people`, and the keys of a config that describe a workflow."""

import pytest

from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.cli.conftest import Terminal

CONFIG = """\
name: pets
classes: [cat, dog]
REVALIDATION_MIN_VOTES: 2
workflow:
  people:
    experts: [ann, bo, cy]
  stages:
    - name: first
      who: crowd
      answers: 3
      on_fail: review
    - name: again
      who: crowd
      answers: 5
      on_pass: done
      on_fail: review
    - name: review
      who: experts
      answers: 2
      agreement: {share: 0.75}
      on_pass: done
      on_fail: settle
      timeout: 48
      on_timeout: again
    - name: settle
      who: experts
      on_pass: done
    - name: spot
      who: annotators
      gate: {state: graduated, random: 1, class: cat}
"""
VOTES = "external_id,solver_id,answer\n" + "".join(
    f"{name},s{number},{'cat' if letter == 'c' else 'dog'}\n"
    for name, letters in (("a", "ccccc"), ("b", "ccddddd"), ("c", "ddddd"))
    for number, letter in enumerate(letters)
)


@pytest.fixture
def pets(home: Terminal) -> Terminal:
    (home.folder / "config.yaml").write_text(CONFIG)
    (home.folder / "votes.csv").write_text(VOTES)
    home("init", "--config", "config.yaml")
    home("votes", "import", "votes.csv", "--dataset", "pets", "--create-items")
    apply_votes(open_database(f"sqlite:///{home.folder / 'home' / 'hiveguard.db'}"), "pets", run_id="by-hand")
    home("workflow", "advance", "pets")
    return home


def test_a_config_makes_the_workflow_its_people_and_its_numbers(pets: Terminal) -> None:
    assert [row["solver_id"] for row in pets.rows("people", "list")] == ["ann", "bo", "cy"]
    newest = pets.rows("policy", "show", "pets")[-1]
    assert (newest["CONSENSUS_THRESHOLD"], newest["REVALIDATION_MIN_TOTAL_VOTES"]) == ("3", "5")
    stages = {row["stage"]: row for row in pets.rows("workflow", "show", "pets")}
    assert {name: row["items"] for name, row in stages.items()} == {
        "first": 0,
        "again": 0,
        "review": 1,
        "settle": 0,
        "spot": 1,
    }
    assert stages["spot"]["gate"] == "graduated, class cat, a random 1.0"
    text = pets("workflow", "show", "pets").stdout
    assert "timeout after 48 h --> again" in text
    assert "[done]" in text
    pets("init", "--config", "config.yaml")
    assert len(pets.rows("workflow", "history", "pets")) == 1


def test_a_dataset_without_one_shows_the_documented_life_cycle(home: Terminal) -> None:
    home("datasets", "create", "plain")
    shown = home("workflow", "show", "plain")
    assert "the documented life cycle" in shown.stderr
    assert "confidence 0.85 or more, fails under 0.6" in shown.stdout
    assert home.rows("workflow", "history", "plain") == []
    assert "no workflow" in home("workflow", "advance", "plain").stderr


def test_people_take_tasks_answer_them_and_give_them_back(pets: Terminal) -> None:
    (task,) = pets.rows("tasks", "next", "--solver", "ann", "--n", "5")
    assert (task["external_id"], task["stage"]) == ("b", "review")
    said = pets("tasks", "answer", task["lease_id"], "--answer", "dog", "--reason", "a tail").stderr
    assert "stage review goes on" in said
    (other,) = pets.rows("tasks", "next", "--solver", "bo")
    assert "is no class" in pets("tasks", "answer", other["lease_id"], "--answer", "cow", code=1).stderr
    assert (
        "of ann" in pets("tasks", "answer", other["lease_id"], "--discard", "--solver", "ann", code=1).stderr
    )
    pets("tasks", "answer", other["lease_id"], code=2)
    pets("tasks", "return", other["lease_id"])
    (third,) = pets.rows("tasks", "next", "--solver", "cy")
    assert "pass; it is graduated" in pets("tasks", "answer", third["lease_id"], "--answer", "dog").stderr
    assert [row["ending"] for row in pets.rows("tasks", "list", "--all")] == [
        "answered",
        "returned",
        "answered",
    ]
    assert pets.rows("tasks", "list") == []
    ways = pets.rows("workflow", "transitions", "pets", "--item", "b")
    assert [(way["outcome"], way["to_stage"]) for way in ways] == [("fail", "review"), ("pass", "done")]
    explained = pets("explain", "b", "--dataset", "pets").stdout
    assert "ann: dog; cy: dog" in explained
    assert "0 differences" in pets("verify").stderr


def test_the_review_list_says_which_stage_holds_an_item(pets: Terminal) -> None:
    rows = {row["external_id"]: (row["reason"], row["stage"]) for row in pets.rows("review", "list")}
    assert rows == {"a": ("held", "spot"), "b": ("low_confidence", "review")}
    (waiting,) = pets.rows("workflow", "items", "pets", "--stage", "spot")
    assert (waiting["external_id"], waiting["answers"]) == ("a", 0)


def test_a_change_can_be_tried_first(pets: Terminal) -> None:
    tried = pets(
        "workflow", "set", "pets", "--documented", "--actor", "lead", "--reason", "back", "--dry-run"
    )
    assert "nothing was changed" in tried.stderr
    assert [line.split() for line in tried.stdout.splitlines()] == [
        ["from", "to", "items"],
        ["review", "review", "1"],
        ["spot", "review", "1"],
    ]
    assert len(pets.rows("workflow", "history", "pets")) == 1
    pets("workflow", "set", "pets", "--documented", "--actor", "lead", "--reason", "back")
    assert [row["stage"] for row in pets.rows("workflow", "items", "pets")] == ["review", "review"]
    pets("workflow", "set", "pets", "--actor", "lead", "--reason", "both", code=2)


@pytest.mark.parametrize(
    ("line", "why", "old", "new"),
    [
        (
            16,
            "no stage 'revew'",
            "      on_fail: review\n    - name: review",
            "      on_fail: revew\n    - name: review",
        ),
        (17, "two stages again", "- name: review", "- name: again"),
        (19, "wants 4 of the experts", "answers: 2", "answers: 4"),
        (20, "under a half", "share: 0.75", "share: 0.2"),
        (28, "nothing leads to stage spot", "      gate: {state: graduated, random: 1, class: cat}\n", ""),
        (30, "'cow' is no class", "class: cat", "class: cow"),
        (30, "no key of a gate", "random: 1", "randomly: 1"),
        (6, "no group", "experts: [ann", "wizards: [ann"),
        (3, "CONSENSUS_THRESHOLD is 5 here", "REVALIDATION_MIN_VOTES: 2", "CONSENSUS_THRESHOLD: 5"),
        (1, "leave one of them", "name: pets", "quality: {review_gate: true}\nname: pets"),
    ],
)
def test_a_workflow_that_cannot_be_is_refused_with_its_line_and_makes_no_dataset(
    home: Terminal, line: int, why: str, old: str, new: str
) -> None:
    assert old in CONFIG
    (home.folder / "config.yaml").write_text(CONFIG.replace(old, new))
    refused = home("init", "--config", "config.yaml", code=1).stderr
    assert f"config.yaml, line {line}: " in refused
    assert why in refused
    assert home.rows("datasets", "list") == []


def test_quality_of_a_config_is_shown_as_the_stages_that_it_is_short_for(home: Terminal) -> None:
    (home.folder / "config.yaml").write_text(
        "name: pets\nquality:\n  min_annotators_per_sample: 5\n  agreement_threshold: 0.8\n"
        "  review_gate: true\n  auto_flag_low_confidence: false\n"
    )
    home("init", "--config", "config.yaml")
    stages = {row["stage"]: row for row in home.rows("workflow", "show", "pets")}
    assert list(stages) == ["first_pass", "revalidation", "review", "review_gate"]
    assert stages["review_gate"]["gate"] == "graduated, the dataset's mean kappa below 0.8"
    newest = home.rows("policy", "show", "pets")[-1]
    assert (newest["CONSENSUS_THRESHOLD"], newest["REVALIDATION_CONFIDENCE_THRESHOLD"]) == ("5", "0.0")
    (home.folder / "config.yaml").write_text("name: other\nquality:\n  review_gate: maybe\n")
    assert "line 3: review_gate is true or false" in home("init", "--config", "config.yaml", code=1).stderr
