"""What the property tests are fed: policies, crowds of votes, and how many examples are tried."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.rules.columns import Votes
from hiveguard_pipeline.rules.policy import ONE, Policy

Stream = list[int]
"""The answers to one item, in arrival order."""

MORE = 6
"""How many times as many examples the slow variant of a property tries."""


def holds(examples: int, *strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Make a test of a property: over so many examples, and, marked slow, over MORE times as many."""

    def made_a_test(body: Callable[..., None]) -> Any:
        @pytest.mark.parametrize("times", [1, pytest.param(MORE, marks=pytest.mark.slow)])
        def test(times: int) -> None:
            tried = settings(
                max_examples=examples * times,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            )
            tried(given(*strategies)(body))()

        test.__name__, test.__qualname__, test.__doc__ = body.__name__, body.__qualname__, body.__doc__
        return test

    return made_a_test


SHARES = sorted({round(ONE * part / whole) for whole in range(1, 16) for part in range(whole + 1)})
"""Every share that up to 15 votes can reach: limits among these are hit exactly."""

_shares = st.sampled_from(SHARES)
_six_decimals = st.integers(0, ONE)


@st.composite
def policies(draw: st.DrawFn, thresholds: Sequence[int] = (1, 2, 3, 3, 4, 5, 15)) -> Policy:
    floor, exit_ = sorted(draw(st.lists(_shares | _six_decimals, min_size=2, max_size=2, unique=True)))
    return Policy(
        consensus_threshold=draw(st.sampled_from(thresholds)),
        revalidation_min_total_votes=draw(st.integers(1, 20)),
        revalidation_exit_confidence=exit_,
        revalidation_confidence_threshold=floor,
        revalidation_delta=draw(st.sampled_from([50_000, 1, 123_457, 333_333, ONE]) | st.integers(1, ONE)),
        revalidation_min_votes=draw(st.sampled_from([1, 2, 3, 3, 4, 5, 15])),
    )


def a_stream(random: Random, classes: int, skill: float, length: int) -> Stream:
    truth = random.randrange(classes)
    return [truth if random.random() < skill else random.randrange(classes) for _ in range(length)]


@st.composite
def _small_crowds(draw: st.DrawFn) -> list[Stream]:
    """A byte is a vote, so that a failure shrinks to the few votes that make it."""
    classes = draw(st.integers(1, 4))
    skill = draw(st.integers(0, 256))
    streams = draw(st.lists(st.binary(max_size=40), max_size=12))
    return [[0 if byte < skill else byte % classes for byte in stream] for stream in streams]


@st.composite
def _large_crowds(draw: st.DrawFn) -> list[Stream]:
    random = Random(draw(st.integers(0, 2**32)))
    classes = draw(st.integers(2, 5))
    longest = draw(st.sampled_from([4, 20, 60]))
    return [
        a_stream(random, classes, random.choice([0.0, 0.3, 0.7, 0.95]), random.randint(0, longest))
        for _ in range(draw(st.integers(50, 200)))
    ]


def crowds() -> st.SearchStrategy[list[Stream]]:
    """Streams of up to 200 items: none, empty ones, ties, splits, agreement and doubt."""
    return _small_crowds() | _large_crowds()


def columns(streams: Sequence[Sequence[int]]) -> Votes:
    """Streams as the library takes them."""
    counts = [len(stream) for stream in streams]
    return Votes(
        offsets=np.concatenate(([0], np.cumsum(counts, dtype=np.int64))),
        answers=np.array([answer for stream in streams for answer in stream], dtype=np.int32),
    )
