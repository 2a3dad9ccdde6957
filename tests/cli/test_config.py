"""`hiveguard init --config`: a dataset described by a YAML file, whose every value is text."""

import pytest

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
