"""Failed sign-ins slow further ones down, for a while, and hit the one who fails."""

from hypothesis import given
from hypothesis import strategies as st

from hiveguard_pipeline.web import csrf
from hiveguard_pipeline.web.throttle import LONGEST_WAIT, MOST_REMEMBERED, Throttle


def fail(
    throttle: Throttle, times: int, name: str = "ada", address: str = "10.0.0.1", now: float = 0.0
) -> None:
    for _ in range(times):
        throttle.failed(name, address, now)


def test_the_first_failures_are_free_and_then_each_doubles_the_wait() -> None:
    throttle = Throttle()
    fail(throttle, 4)
    assert throttle.wait("ada", "10.0.0.1", 0.0) == 0
    waits = []
    for _ in range(12):
        fail(throttle, 1)
        waits.append(throttle.wait("ada", "10.0.0.1", 0.0))
    assert waits == [min(2.0**n, LONGEST_WAIT) for n in range(1, 13)]


@given(st.integers(0, 200), st.floats(0, 100))
def test_no_wait_is_for_ever(times: int, now: float) -> None:
    throttle = Throttle()
    fail(throttle, times, now=now)
    assert throttle.wait("ada", "10.0.0.1", now + LONGEST_WAIT) == 0


def test_others_at_an_address_and_the_victim_elsewhere_are_left_alone() -> None:
    throttle = Throttle()
    throttle.succeeded("ada", "10.0.0.9")
    for attacker in range(60):
        fail(throttle, 4, address=f"10.1.0.{attacker}")
    assert throttle.wait("ada", "10.2.0.1", 0.0) > 0, "guessed at from everywhere: new addresses wait"
    assert throttle.wait("ada", "10.0.0.9", 0.0) == 0, "where ada has signed in before, she does not"
    assert throttle.wait("ben", "10.1.0.1", 0.0) == 0


def test_one_address_that_tries_many_names_waits_whatever_the_name() -> None:
    throttle = Throttle()
    for number in range(40):
        fail(throttle, 1, name=f"user-{number}")
    assert throttle.wait("another", "10.0.0.1", 0.0) > 0
    assert throttle.wait("another", "10.0.0.2", 0.0) == 0


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    throttle = Throttle()
    for host in range(40):
        fail(throttle, 1, address=f"2001:db8::{host:x}")
    assert throttle.wait("ada", "2001:db8::ffff", 0.0) > 0
    assert throttle.wait("ben", "2001:db8:0:1::1", 0.0) == 0


def test_what_is_remembered_is_bounded() -> None:
    throttle = Throttle()
    for number in range(MOST_REMEMBERED):
        throttle.failed(f"name-{number}", f"host-{number}", 0.0)
    assert len(throttle._failures) <= MOST_REMEMBERED


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_csrf_token_is_of_one_session(one: str, other: str) -> None:
    assert csrf.matches(one, csrf.token_for(one))
    assert csrf.matches(one, csrf.token_for(other)) == (
        one.encode("utf-8", "replace") == other.encode("utf-8", "replace")
    )
    assert not csrf.matches(one, one)
    assert not csrf.matches(one, "")
    assert not csrf.matches(one, None)
