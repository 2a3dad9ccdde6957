"""When the sensor asks again: the pure decision over past runs."""

import pytest

from hiveguard_pipeline.settings import Settings
from sensors.attempts import BACK_OFF_SECONDS, MOST_ATTEMPTS, PastRun, decide, has_died

NOW = 1_000_000.0


def past(*outcomes: str, ago: float = 10_000.0) -> list[PastRun]:
    """Runs newest first: + succeeded, - failed; the newest ended `ago` seconds before now."""
    return [PastRun(outcome == "+", NOW - ago - 60 * n) for n, outcome in enumerate(outcomes)]


def test_the_first_attempt_is_asked_for_at_once() -> None:
    assert decide([], 0, NOW).attempt == 1


@pytest.mark.parametrize("live", [1, 2])
@pytest.mark.parametrize("before", [[], past("+"), past("-"), past("-", "-", "-")])
def test_nothing_is_asked_while_a_run_lives(live: int, before: list[PastRun]) -> None:
    assert decide(before, live, NOW).attempt is None


def test_after_a_success_it_is_the_first_attempt_again_without_a_wait() -> None:
    assert decide(past("+", "-", "-", ago=0), 0, NOW).attempt == 1


@pytest.mark.parametrize("failures", [1, 2])
def test_after_failures_it_waits_and_then_asks(failures: int) -> None:
    wait = BACK_OFF_SECONDS[failures]
    early = decide(past(*"-" * failures, "+", ago=wait - 1), 0, NOW)
    assert early.attempt is None
    assert "tried again in 1 s" in early.reason
    assert decide(past(*"-" * failures, "+", ago=wait), 0, NOW).attempt == failures + 1


def test_the_wait_grows() -> None:
    assert list(BACK_OFF_SECONDS) == sorted(set(BACK_OFF_SECONDS))
    assert len(BACK_OFF_SECONDS) == MOST_ATTEMPTS == 3


@pytest.mark.parametrize("failures", [3, 4, 20])
def test_after_three_failures_it_is_left_to_the_night_and_says_so(failures: int) -> None:
    verdict = decide(past(*"-" * failures, ago=1e6), 0, NOW)
    assert verdict.attempt is None
    assert f"{failures} runs in a row failed" in verdict.reason
    assert "nightly" in verdict.reason


def test_older_failures_do_not_count_after_a_success() -> None:
    assert decide(past("-", "+", "-", "-", "-"), 0, NOW).attempt == 2


def test_a_run_is_dead_after_its_silence_and_not_before() -> None:
    assert Settings.from_environment({}).run_silence_seconds == 600
    assert not has_died(NOW - 600, NOW, 600)
    assert has_died(NOW - 600.1, NOW, 600)
