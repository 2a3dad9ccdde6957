"""The settings: what is taken, what is refused, and how they are written."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import ALL_SETTINGS, ONE, SETTINGS, Policy, decimal_text

from .crowds import holds, policies

COUNTS = ("CONSENSUS_THRESHOLD", "REVALIDATION_MIN_TOTAL_VOTES", "REVALIDATION_MIN_VOTES")
SHARES = ("REVALIDATION_EXIT_CONFIDENCE", "REVALIDATION_CONFIDENCE_THRESHOLD", "REVALIDATION_DELTA")


def test_the_defaults_are_those_of_the_design() -> None:
    assert Policy().settings() == {
        "CONSENSUS_THRESHOLD": "3",
        "REVALIDATION_MIN_TOTAL_VOTES": "15",
        "REVALIDATION_EXIT_CONFIDENCE": "0.85",
        "REVALIDATION_CONFIDENCE_THRESHOLD": "0.6",
        "REVALIDATION_DELTA": "0.05",
        "REVALIDATION_MIN_VOTES": "3",
    }
    assert tuple(Policy().settings()) == SETTINGS


@holds(200, policies())
def test_a_policy_comes_back_from_its_settings(policy: Policy) -> None:
    assert Policy().replaced(policy.settings()) == policy
    assert Policy().replaced({name.lower(): value for name, value in policy.settings().items()}) == policy


@pytest.mark.parametrize("value", ["0.07", " 0.07\n", 0.07, "0.070000", "7e-2", ".07", Decimal("0.07")])
def test_a_share_is_taken_as_text_or_number(value: object) -> None:
    assert Policy().replaced({"REVALIDATION_DELTA": value}).revalidation_delta == 70_000


@pytest.mark.parametrize("value", [5, "5", " 5 ", 5.0, "5.0", Decimal(5)])
def test_a_count_is_taken_as_text_or_number(value: object) -> None:
    assert Policy().replaced({"CONSENSUS_THRESHOLD": value}).consensus_threshold == 5


def test_what_is_not_named_stays() -> None:
    changed = Policy().replaced({"REVALIDATION_DELTA": "0.1"}).replaced({"CONSENSUS_THRESHOLD": 5})
    assert changed == Policy(consensus_threshold=5, revalidation_delta=100_000)
    assert changed.replaced({}) == changed


@holds(100, st.integers(1, ONE))
def test_six_decimals_are_taken_exactly(millionths: int) -> None:
    text = f"{Decimal(millionths).scaleb(-6):f}"
    assert Policy().replaced({"REVALIDATION_DELTA": text}).revalidation_delta == millionths


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize(
    "value",
    [
        "0.7000001",
        0.7000001,
        "0.1234567",
        "1e-7",
        "0.70000000000000000000000000000000000001",
        "0.69999999999999999999999999999999999999",
        "1e-9999999",
    ],
)
def test_a_seventh_decimal_is_refused(name: str, value: object) -> None:
    with pytest.raises(BadInputError, match=f"{name} has more than six decimals"):
        Policy().replaced({name: value})


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("value", ["-0.1", "1.000001", 2, "1e999999", "1.00000000000000000000000000000001"])
def test_a_share_outside_0_and_1_is_refused(name: str, value: object) -> None:
    with pytest.raises(BadInputError, match=name):
        Policy().replaced({name: value})


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, "0", -1, 2.5, "2.5", "1e999999", 1_000_001, "1e-9999999"])
def test_a_count_that_is_no_whole_number_of_votes_is_refused(name: str, value: object) -> None:
    with pytest.raises(BadInputError, match=f"{name} must be a whole number"):
        Policy().replaced({name: value})


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(
    "value",
    ["NaN", "sNaN", float("nan"), "inf", "-Infinity", float("inf"), True, False, "three", "", None, "0x1"],
)
def test_what_is_no_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(BadInputError, match=f"{name} must be a number"):
        Policy().replaced({name: value})


@pytest.mark.parametrize(("floor", "exit_"), [("0.85", "0.85"), ("0.86", "0.85"), ("0", "0"), ("1", "1")])
def test_a_floor_that_is_not_below_the_exit_is_refused(floor: str, exit_: str) -> None:
    with pytest.raises(BadInputError, match=r"REVALIDATION_CONFIDENCE_THRESHOLD .* must be below"):
        Policy().replaced({"REVALIDATION_CONFIDENCE_THRESHOLD": floor, "REVALIDATION_EXIT_CONFIDENCE": exit_})


def test_the_limits_may_move_together_past_where_each_alone_would_be_refused() -> None:
    moved = Policy().replaced(
        {"REVALIDATION_CONFIDENCE_THRESHOLD": 0.9, "REVALIDATION_EXIT_CONFIDENCE": "1.0"}
    )
    assert (moved.revalidation_confidence_threshold, moved.revalidation_exit_confidence) == (900_000, ONE)


def test_a_floor_of_0_is_taken_and_a_delta_of_0_is_refused() -> None:
    assert Policy().replaced({"REVALIDATION_CONFIDENCE_THRESHOLD": 0}).revalidation_confidence_threshold == 0
    with pytest.raises(BadInputError, match="REVALIDATION_DELTA must be above 0"):
        Policy().replaced({"REVALIDATION_DELTA": "0.0"})


@pytest.mark.parametrize("field", [name.lower() for name in COUNTS])
def test_a_policy_cannot_be_made_with_a_count_of_0(field: str) -> None:
    with pytest.raises(BadInputError, match=field.upper()):
        Policy(**{field: 0})


def test_an_unknown_setting_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(BadInputError, match=r"REVALIDATION_DELTAS' is not a setting; .*REVALIDATION_DELTA,"):
        Policy().replaced({"REVALIDATION_DELTAS": 1})


@pytest.mark.parametrize(
    ("millionths", "text"),
    [(0, "0.0"), (1, "0.000001"), (600_000, "0.6"), (850_000, "0.85"), (666_667, "0.666667"), (ONE, "1.0")],
)
def test_a_confidence_is_written_as_the_shortest_decimal(millionths: int, text: str) -> None:
    assert decimal_text(millionths) == text


@holds(200, st.integers(0, ONE))
def test_a_written_confidence_is_exact_and_has_no_needless_digit(millionths: int) -> None:
    text = decimal_text(millionths)
    assert Fraction(text) == Fraction(millionths, ONE)
    decimals = text.split(".")[1]
    assert decimals == "0" or not decimals.endswith("0")
    assert text == repr(float(text)) or millionths < 100


def test_the_settings_of_adaptive_graduation_are_written_where_they_matter() -> None:
    assert set(Policy().settings(whole=True)) == set(ALL_SETTINGS)
    adaptive = Policy().replaced({"GRADUATION": "Adaptive", "ADAPTIVE_TARGET_PROBABILITY": "0.9"})
    assert adaptive.is_adaptive
    assert adaptive.settings() == Policy().settings() | {
        "GRADUATION": "adaptive",
        "ADAPTIVE_TARGET_PROBABILITY": "0.9",
        "ADAPTIVE_MIN_VOTES": "5",
        "ADAPTIVE_MAX_VOTES": "30",
    }
    assert "ADAPTIVE_MIN_VOTES" in Policy(adaptive_min_votes=4).settings()


def test_a_graduation_that_there_is_not_is_refused() -> None:
    with pytest.raises(BadInputError, match="GRADUATION must be documented or adaptive, not 'fast'"):
        Policy().replaced({"GRADUATION": "fast"})
    with pytest.raises(BadInputError, match=r"ADAPTIVE_MAX_VOTES \(4\) must not be below"):
        Policy().replaced({"ADAPTIVE_MAX_VOTES": 4})
