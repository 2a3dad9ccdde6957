"""`hiveguard init --config`: a dataset described by a YAML file, whose every value is text."""

from pathlib import Path

import pytest

from hiveguard_pipeline.snapshots.settings import export_settings
from hiveguard_pipeline.store.datasets import get_dataset
from hiveguard_pipeline.store.schema import open_database
from tests.cli.conftest import Terminal

CONFIG = """\
name: answers
task_type: yes_or_no
modality: text
classes: [yes, no, 01, null, 1e3]
CONSENSUS_THRESHOLD: 5
REVALIDATION_EXIT_CONFIDENCE: 0.90
"""


def write(home: Terminal, text: str | bytes) -> None:
    (home.folder / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())


def test_classes_stay_the_text_they_are(home: Terminal) -> None:
    write(home, CONFIG)
    assert "dataset   answers (created)" in home("init", "--config", "config.yaml").stderr
    (row,) = home.rows("datasets", "list")
    assert row["classes"] == ["yes", "no", "01", "null", "1e3"]
    assert (row["task_type"], row["modality"]) == ("yes_or_no", "text")
    (policy,) = home.rows("policy", "show", "answers")
    assert (policy["CONSENSUS_THRESHOLD"], policy["REVALIDATION_EXIT_CONFIDENCE"]) == ("5", "0.9")


def test_the_same_config_again_changes_nothing(home: Terminal) -> None:
    write(home, CONFIG)
    home("init", "--config", "config.yaml")
    assert "dataset   answers (there already)" in home("init", "--config", "config.yaml").stderr
    assert len(home.rows("policy", "show", "answers")) == 1


def test_other_classes_of_a_dataset_that_is_there_are_refused_with_their_line(home: Terminal) -> None:
    write(home, CONFIG)
    home("init", "--config", "config.yaml")
    write(home, CONFIG.replace("yes, no", "no, yes"))
    done = home("init", "--config", "config.yaml", code=1)
    assert "config.yaml, line 4: dataset answers is there with other classes" in done.stderr


def test_a_config_wins_over_the_environment(home: Terminal) -> None:
    write(home, CONFIG)
    home("init", "--config", "config.yaml", CONSENSUS_THRESHOLD="7", REVALIDATION_MIN_VOTES="4")
    (policy,) = home.rows("policy", "show", "answers")
    assert (policy["CONSENSUS_THRESHOLD"], policy["REVALIDATION_MIN_VOTES"]) == ("5", "4")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CONFIG + "treshold: 3\n", "line 7: treshold is no key"),
        (CONFIG.replace("name: answers\n", ""), "names no dataset"),
        (CONFIG.replace("[yes, no, 01, null, 1e3]", "yes"), "line 4: classes must be a list"),
        (CONFIG.replace("null", '"a,b"'), "line 4: the name of a class must have no comma: 'a,b'"),
        (CONFIG.replace("null", '" a"'), "line 4: the name of a class must not begin or end with white"),
        (CONFIG.replace("null", '"a\\n"'), "line 4: the name of a class must not begin or end with white"),
        (CONFIG.replace("null", "''"), "line 4: the name of a class must not be empty"),
        (CONFIG.replace("answers", "[answers]"), "line 1: name must be one value"),
        (CONFIG.replace("answers", "Answers"), "cannot name a dataset"),
        (CONFIG.replace("0.90", "0.9000001"), "more than six decimals"),
        (CONFIG.replace("0.90", "0.60"), "must be below"),
        (CONFIG.replace("modality: text", "modality: smell"), "'smell' is no modality"),
        (CONFIG + "modality: text\n", "line 7: the key modality is there already, in line 3"),
        (CONFIG + "export:\n  salt: a\n  salt: b\n", "line 9: the key salt is there already"),
        (CONFIG.replace("0.90", "!!float 0.90"), "line 6: a YAML tag"),
        (CONFIG + "export:\n  formats: [huggingface, csv, csv]\n", "line 8: formats names csv twice"),
        ("name: [answers\n", "is not YAML"),
        ("just a text\n", "holds no keys"),
        ("", "holds no keys"),
        (b"name: \xff\xfe\n", "not UTF-8"),
    ],
)
def test_a_config_that_cannot_be_taken_is_refused_and_makes_no_dataset(
    text: str | bytes, said: str, home: Terminal
) -> None:
    write(home, text)
    done = home("init", "--config", "config.yaml", code=1)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("hiveguard:")]
    assert "config.yaml" in line
    assert said in line
    assert home.rows("datasets", "list") == []


def test_a_config_that_is_not_there_is_named(home: Terminal) -> None:
    assert "nowhere.yaml: No such file" in home("init", "--config", "nowhere.yaml", code=1).stderr


def test_active_learning_is_set_by_a_config(home: Terminal) -> None:
    write(home, CONFIG + "active_learning:\n  strategy: diversity\n  query_batch_size: 40\n")
    home("init", "--config", "config.yaml")
    found = {row["setting"]: row["value"] for row in home.rows("active", "settings", "--dataset", "answers")}
    assert (found["strategy"], found["query_batch_size"], found["seed"]) == ("diversity", 40, 0)
    write(home, CONFIG + "active_learning:\n  query_batch_size: 50\n")
    home("init", "--config", "config.yaml")
    found = {row["setting"]: row["value"] for row in home.rows("active", "settings", "--dataset", "answers")}
    assert (found["strategy"], found["query_batch_size"]) == ("diversity", 50)


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("  strategy: hybrid\n  colour: red\n", "line 9: colour is no key of active_learning"),
        ("  blind_share: 2\n", "line 8: blind_share must lie between 0 and 1"),
        ("  seed: [1]\n", "line 8: active_learning.seed must be one value"),
        ("  strategy: hybrid\n  strategy: random\n", "line 9: the key strategy is there already"),
    ],
)
def test_active_learning_that_cannot_be_is_refused_with_its_line(
    home: Terminal, section: str, why: str
) -> None:
    write(home, CONFIG + "active_learning:\n" + section)
    assert why in home("init", "--config", "config.yaml", code=1).stderr
    assert home.rows("datasets", "list") == []


def test_every_key_of_the_example_drives_what_it_names(home: Terminal) -> None:
    example = Path(__file__).parents[2] / "config.example.yaml"
    changed = {
        "CONSENSUS_THRESHOLD: 3": "CONSENSUS_THRESHOLD: 4",
        "REVALIDATION_MIN_TOTAL_VOTES: 15": "REVALIDATION_MIN_TOTAL_VOTES: 16",
        "REVALIDATION_EXIT_CONFIDENCE: 0.85": "REVALIDATION_EXIT_CONFIDENCE: 0.9",
        "REVALIDATION_CONFIDENCE_THRESHOLD: 0.60": "REVALIDATION_CONFIDENCE_THRESHOLD: 0.5",
        "REVALIDATION_DELTA: 0.05": "REVALIDATION_DELTA: 0.06",
        "REVALIDATION_MIN_VOTES: 3": "REVALIDATION_MIN_VOTES: 2",
        "min_annotators_per_sample: 3": "min_annotators_per_sample: 4",
        "agreement_threshold: 0.8": "agreement_threshold: 0.7",
        "strategy: hybrid": "strategy: diversity",
        "query_batch_size: 100": "query_batch_size: 7",
        "uncertainty_method: margin": "uncertainty_method: entropy",
        "retrain_every: 500": "retrain_every: 50",
        "pool_size: 100000": "pool_size: 99",
        "seed: 0": "seed: 5",
        "blind_share: 0.1": "blind_share: 0.3",
        "formats: [huggingface]": "formats: [huggingface, parquet]",
        "train_val_split: 0.85": "train_val_split: 0.8",
        "split: hash": "split: exact",
    }
    text = example.read_text()
    for key, other in changed.items():
        assert text.count(key) == 1, key
        text = text.replace(key, other)
    write(home, text)
    home("init", "--config", "config.yaml")
    (row,) = home.rows("datasets", "list")
    assert (row["task_type"], row["modality"], row["classes"]) == (
        "image_classification",
        "image",
        ["cat", "dog", "owl"],
    )
    policy = home.rows("policy", "show", "animals")[-1]
    assert {
        "CONSENSUS_THRESHOLD": "4",
        "REVALIDATION_MIN_TOTAL_VOTES": "16",
        "REVALIDATION_EXIT_CONFIDENCE": "0.9",
        "REVALIDATION_CONFIDENCE_THRESHOLD": "0.5",
        "REVALIDATION_DELTA": "0.06",
        "REVALIDATION_MIN_VOTES": "2",
    }.items() <= policy.items()
    stages = {row["stage"]: row for row in home.rows("workflow", "show", "animals")}
    assert stages["review_gate"]["who"] == "experts"
    assert "0.7" in str(stages["review_gate"])
    assert {
        (row["group"], row["solver_id"]) for row in home.rows("people", "list", "--dataset", "animals")
    } == {
        ("experts", "ann"),
        ("experts", "bo"),
    }
    settings = {
        row["setting"]: str(row["value"]) for row in home.rows("active", "settings", "--dataset", "animals")
    }
    assert {
        "strategy": "diversity",
        "query_batch_size": "7",
        "uncertainty_method": "entropy",
        "retrain_every": "50",
        "pool_size": "99",
        "seed": "5",
        "blind_share": "0.3",
    }.items() <= settings.items()
    database = open_database(f"sqlite:///{home.folder / 'home' / 'hiveguard.db'}")
    with database.read() as connection:
        exports = export_settings(connection, get_dataset(connection, "animals"))
    assert (exports.formats, exports.train_val_split, exports.split) == (
        ("huggingface", "parquet"),
        800_000,
        "exact",
    )


def test_a_key_below_project_and_at_the_top_is_refused_with_its_line(home: Terminal) -> None:
    write(home, "name: a\nproject:\n  name: b\n")
    assert "line 3: name stands at the top too" in home("init", "--config", "config.yaml", code=1).stderr


def test_beside_quality_a_workflow_holds_people_alone(home: Terminal) -> None:
    text = "project: {name: a}\nquality: {review_gate: true}\nworkflow: {people: {experts: []}, stages: []}\n"
    write(home, text)
    assert "line 2: quality is short for the stages" in home("init", "--config", "config.yaml", code=1).stderr
