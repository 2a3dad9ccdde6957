"""Stages as they are written: what is taken, what cannot be satisfied, and where the refusal points."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiveguard_pipeline.rules.spot_checks import chosen, words_of
from hiveguard_pipeline.rules.stage_answers import fleiss_kappa, majorities, pairs
from hiveguard_pipeline.rules.stage_checks import quorum_fault
from hiveguard_pipeline.store.tables import item_uuid
from hiveguard_pipeline.workflow.documented import LIFE_CYCLE, policy_settings
from hiveguard_pipeline.workflow.parse import StageError, parse_stages
from hiveguard_pipeline.workflow.shorthand import stages_of_quality
from tests.workflow.plain import is_drawn
from tests.workflow.world import WORKFLOWS

CROWD = {"name": "first", "who": "crowd", "on_fail": "look"}
AGAIN = {"name": "again", "who": "crowd", "on_pass": "done", "on_fail": "look"}
LOOK = {"name": "look", "who": "experts", "on_pass": "again"}


def stages(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    """The three stages above, with some keys of some changed; None takes a key away."""
    found = []
    for stage in (CROWD, AGAIN, LOOK):
        changed = {**stage, **changes.get(str(stage["name"]), {})}
        found.append({key: value for key, value in changed.items() if value is not None})
    return found


@pytest.mark.parametrize("written", [*WORKFLOWS, [stage.values() for stage in LIFE_CYCLE]])
def test_stages_read_back_as_they_were_written(written: list[dict[str, Any]]) -> None:
    found = parse_stages(written)
    assert parse_stages([stage.values() for stage in found]) == found


def test_what_passes_goes_on_to_the_next_stage_and_from_the_last_to_done() -> None:
    found = parse_stages([CROWD, AGAIN, {"name": "look", "who": "experts"}])
    assert [stage.on_pass for stage in found] == ["again", "done", "done"]


REFUSED = [
    ("stages.2.name", "two stages again", stages(look={"name": "again"})),
    ("stages.0.on_fail", "no stage 'lok'", stages(first={"on_fail": "lok"})),
    ("stages.2", "needs who", stages(look={"who": None})),
    ("stages.2.who", "'expert'", stages(look={"who": "expert"})),
    ("stages.2.name", "'Look'", stages(look={"name": "Look"})),
    ("stages.2.name", "done is no name", stages(look={"name": "done"})),
    ("stages.2.colour", "colour is no key", stages(look={"colour": "red"})),
    ("stages.2.answers", "from 1", stages(look={"answers": "0"})),
    ("stages.2.answers", "whole number", stages(look={"answers": "1.5"})),
    ("stages.2.agreement", "share", stages(look={"agreement": {"votes": "0.8"}})),
    ("stages.2.agreement.share", "1.2", stages(look={"agreement": {"share": "1.2"}})),
    ("stages.2.agreement.share", "under a half", stages(look={"agreement": {"share": "0.4"}})),
    ("stages.2.agreement", "kappa wants two", stages(look={"agreement": {"kappa": "0.4"}})),
    ("stages.2.agreement", "share or kappa", stages(look={"agreement": {"probability": "0.9"}})),
    ("stages.0.agreement", "more than half", stages(first={"agreement": {"share": "0.8"}})),
    ("stages.1.agreement", "gate", stages(again={"agreement": {"kappa": "0.8"}})),
    ("stages.2", "on_fail names", stages(look={"answers": "2"})),
    ("stages.2.on_timeout", "go together", stages(look={"on_timeout": "again"})),
    ("stages.2.timeout", "go together", stages(look={"timeout": "1"})),
    ("stages.2.timeout", "hours above 0", stages(look={"timeout": "0", "on_timeout": "again"})),
    ("stages.2.gate", "needs a condition", stages(look={"gate": {}})),
    ("stages.2.gate.state", "discarded", stages(look={"gate": {"state": "discarded"}})),
    (
        "stages.2.gate.confidence",
        "nothing lies",
        stages(look={"gate": {"confidence": {"above": "0.9", "below": "0.7"}}}),
    ),
    ("stages.2.gate.random", "above 0", stages(look={"gate": {"random": "0"}})),
    ("stages.2.gate.random", "a number", stages(look={"gate": {"random": "often"}})),
    ("stages.2.gate.kappa.above", "no key", stages(look={"gate": {"kappa": {"above": "0.9"}}})),
    ("stages.0.gate", "no gate", stages(first={"gate": {"random": "0.1"}})),
    ("stages.0.on_pass", "its second, again", stages(first={"on_pass": "look"})),
    ("stages.1.on_fail", "not first", stages(again={"on_fail": "first"})),
    ("stages.2", "nothing leads to stage look", stages(first={"on_fail": None}, again={"on_fail": None})),
    ("stages.2.on_pass", "leads to itself", stages(look={"on_pass": "look"})),
    ("stages.2.on_timeout", "nobody agreed", stages(look={"on_timeout": "done", "timeout": "1"})),
    (
        "stages.0.on_pass",
        "no way leads from stage first",
        [{"name": "first", "who": "crowd"}, {"name": "again", "who": "crowd", "on_pass": "look"}, LOOK],
    ),
    (
        "stages.1",
        "nothing leads",
        [{"name": "first", "who": "crowd", "on_pass": "done"}, {"name": "a", "who": "experts"}],
    ),
    (
        "stages.0.on_fail",
        "back to itself",
        [
            {
                "name": "m",
                "who": "model",
                "agreement": {"probability": "0.9"},
                "on_pass": "done",
                "on_fail": "n",
            },
            {
                "name": "n",
                "who": "model",
                "agreement": {"probability": "0.8"},
                "on_pass": "done",
                "on_fail": "m",
            },
        ],
    ),
    ("stages.0.agreement", "{probability", [{"name": "m", "who": "model", "on_fail": "done"}]),
    (
        "stages.2.who",
        "two stages at most",
        [CROWD, AGAIN | {"on_pass": "third"}, {"name": "third", "who": "crowd", "on_pass": "done"}, LOOK],
    ),
    ("stages", "a list", {"first": CROWD}),
    ("stages", "a list", []),
]


@pytest.mark.parametrize(("key", "why", "written"), REFUSED)
def test_what_cannot_be_is_refused_with_its_place(key: str, why: str, written: Any) -> None:
    with pytest.raises(StageError) as refused:
        parse_stages(written)
    assert (refused.value.key, why in str(refused.value)) == (key, True), (
        refused.value.key,
        str(refused.value),
    )


def test_a_class_that_there_is_not_is_refused() -> None:
    written = stages(look={"gate": {"class": ["cat", "cow"]}})
    assert parse_stages(written)
    with pytest.raises(StageError, match="'cow'"):
        parse_stages(written, ["cat", "dog"])


def test_a_quorum_counts_those_whom_the_stages_before_it_asked() -> None:
    found = parse_stages(WORKFLOWS[1])
    assert quorum_fault(found, {"experts": 3}) is None
    assert quorum_fault(found, {}) is None
    for there, stage in ((2, 3), (1, 2)):
        fault = quorum_fault(found, {"experts": there})
        assert fault is not None
        assert (fault.stage, fault.key) == (stage, "answers")


def test_crowd_stages_say_the_numbers_of_the_policy() -> None:
    two = stages(first={"answers": "5"}, again={"answers": "9", "agreement": {"share": "0.9"}})
    assert policy_settings(parse_stages(two)) == {
        "CONSENSUS_THRESHOLD": "5",
        "REVALIDATION_MIN_TOTAL_VOTES": "9",
        "REVALIDATION_EXIT_CONFIDENCE": "0.9",
        "GRADUATION": "documented",
    }
    by_probability = stages(again={"answers": "4", "agreement": {"probability": "0.97"}})
    assert policy_settings(parse_stages(by_probability)) == {
        "GRADUATION": "adaptive",
        "ADAPTIVE_TARGET_PROBABILITY": "0.97",
        "ADAPTIVE_MIN_VOTES": "4",
    }
    one = [
        {
            "name": "ask",
            "who": "crowd",
            "answers": "5",
            "agreement": {"share": "0.8"},
            "on_pass": "done",
            "on_fail": "look",
        },
        {"name": "look", "who": "experts", "on_pass": "done"},
    ]
    assert policy_settings(parse_stages(one)) == {
        "CONSENSUS_THRESHOLD": "5",
        "REVALIDATION_MIN_TOTAL_VOTES": "5",
        "REVALIDATION_EXIT_CONFIDENCE": "0.8",
        "REVALIDATION_CONFIDENCE_THRESHOLD": "0.799999",
        "GRADUATION": "documented",
    }
    assert policy_settings(LIFE_CYCLE) == {}


def test_quality_is_short_for_stages() -> None:
    found, settings = stages_of_quality(
        {
            "min_annotators_per_sample": "4",
            "agreement_threshold": "0.75",
            "review_gate": "true",
            "auto_flag_low_confidence": "false",
        }
    )
    assert [stage.name for stage in found] == ["first_pass", "revalidation", "review", "review_gate"]
    assert parse_stages([stage.values() for stage in found]) == found
    assert policy_settings(found) == {"CONSENSUS_THRESHOLD": "4"}
    assert settings == {"REVALIDATION_CONFIDENCE_THRESHOLD": "0"}
    gate = found.by_name["review_gate"].gate
    assert gate is not None
    assert (gate.states, gate.kappa_below) == (("graduated",), 750_000)
    assert stages_of_quality({"review_gate": "false", "auto_flag_low_confidence": "true"}) == (LIFE_CYCLE, {})


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("quality.colour", {"colour": "red"}),
        ("quality.min_annotators_per_sample", {"min_annotators_per_sample": "0"}),
        ("quality.review_gate", {"review_gate": "maybe"}),
        ("quality.agreement_threshold", {"agreement_threshold": "1.5", "review_gate": "true"}),
        ("quality.agreement_threshold", {"agreement_threshold": "0.7"}),
        ("quality.auto_flag_low_confidence", {"auto_flag_low_confidence": "2"}),
    ],
)
def test_quality_that_cannot_be_is_refused_with_its_key(key: str, given: dict[str, str]) -> None:
    with pytest.raises(StageError) as refused:
        stages_of_quality(given)
    assert refused.value.key == key


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=8))
def test_a_majority_is_what_counting_gives(answers: list[list[int]]) -> None:
    flat = np.array([answer for given in answers for answer in given])
    offsets = np.concatenate(([0], np.cumsum([len(given) for given in answers])))
    first, second = pairs(offsets)
    support = np.bincount(first[flat[first] == flat[second]], minlength=len(flat))
    found = majorities(offsets, support)
    for row, each in enumerate(answers):
        best = max(each, key=each.count)
        assert flat[found.answer[row]] == best
        assert (found.agree[row], found.answers[row]) == (each.count(best), len(each))
        share = Fraction(each.count(best), len(each))
        assert found.reaches(None)[row] == (share > Fraction(1, 2))
        assert found.reaches(800_000)[row] == (share >= Fraction(4, 5))


def test_kappa_is_that_of_fleiss_paper() -> None:
    """The worked example that is often reprinted: 10 subjects, 14 raters, 5 categories, kappa 0.210."""
    table = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    item = np.repeat(np.arange(10), 14)
    answer = np.concatenate([np.repeat(np.arange(5), row) for row in table])
    found = fleiss_kappa(item, answer.astype(np.int32))
    assert found == pytest.approx(0.210, abs=0.0005)
    assert fleiss_kappa(np.arange(3), np.zeros(3, dtype=np.int32)) is None
    assert fleiss_kappa(np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int32)) is None


def test_a_random_share_is_the_same_for_whoever_asks_and_another_for_each_stage() -> None:
    ids = [item_uuid("d", f"i{number}") for number in range(20_000)]
    taken = chosen(words_of(ids), "spot", 50_000)
    assert taken.tolist()[:500] == [is_drawn(item, "spot", Fraction(1, 20)) for item in ids[:500]]
    assert 900 < taken.sum() < 1100
    other = chosen(words_of(ids), "other", 50_000)
    assert 20 < (taken & other).sum() < 85
    larger = chosen(words_of(ids), "spot", 100_000)
    assert (larger | ~taken).all()
