"""Votes and days until shares of a dataset's items have graduated."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.foresight.answers import Floats
from hiveguard_pipeline.foresight.arrivals import Rate, rate_of_late
from hiveguard_pipeline.foresight.exits import MOST_VOTES
from hiveguard_pipeline.foresight.outlook import DRAWS, Interval, Outlook, interval, look_ahead
from hiveguard_pipeline.foresight.standing import read_recorded, standing_of
from hiveguard_pipeline.rules.states import STATES
from hiveguard_pipeline.store.crowd import read_crowd
from hiveguard_pipeline.store.datasets import Dataset, current_policy
from hiveguard_pipeline.store.structured import refuse_structured
from hiveguard_pipeline.store.tables import time_text

SHARES = (0.5, 0.9, 0.99)

LONGEST_DAYS = 365_000.0
"""A day further away than this is no date that a calendar has."""


@dataclass(frozen=True, slots=True)
class Milestone:
    """When a share of the items will have graduated. None: not in the draws that its place stands for.

    probability: the share of the draws that get there at all without reviews.
    """

    share: float
    items: int
    votes: int | None
    votes_low: int | None
    votes_high: int | None
    days: float | None
    days_low: float | None
    days_high: float | None
    date: str | None
    date_low: str | None
    date_high: str | None
    probability: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where a dataset's items stand and when they will have graduated.

    items: those that can graduate, not gold, not discarded; states: how many stand where after all votes
    there are. reachable, in_review: shares of the items that graduate in the end without reviews, and that
    end in review. outlook None: there is no vote to learn from, and so no milestone.
    """

    items: int
    states: dict[str, int]
    rate: Rate | None
    milestones: list[Milestone]
    reachable: Interval | None
    in_review: Interval | None
    outlook: Outlook | None


def forecast(
    connection: sa.Connection,
    dataset: Dataset,
    now: datetime,
    seed: int | None = None,
    draws: int = DRAWS,
) -> Forecast:
    """What to expect of a dataset from now on under its current policy. Writes nothing.

    The same votes, time and seed give the same forecast. Raises BadInputError for a policy that asks for
    more votes than are looked ahead, and for an adaptive one: calibrations to come change more than the
    draws of a Monte Carlo under today's do.
    """
    refuse_structured(dataset, "a forecast")
    policy = current_policy(connection, dataset).policy
    if policy.is_adaptive:
        raise BadInputError(
            f"a forecast knows the documented rule alone, and {dataset.name} graduates by probability: when"
            " hangs on calibrations that are still to be made; `hiveguard policy simulate --dataset"
            f" {dataset.name} --set GRADUATION=documented` says what either rule took of the votes there are"
        )
    most = max(policy.revalidation_min_total_votes, policy.consensus_threshold)
    if most > MOST_VOTES:
        raise BadInputError(
            f"{dataset.name} asks for {most:,} votes an item; a forecast looks {MOST_VOTES:,} votes ahead"
        )
    crowd = read_crowd(connection, dataset)
    standing = standing_of(crowd, read_recorded(connection, dataset, crowd), policy)
    rate = rate_of_late(connection, dataset, now)
    items = len(standing.state)
    counts = np.bincount(standing.state, minlength=len(STATES))
    states = {name: int(count) for name, count in zip(STATES[:4], counts[:4], strict=True)}
    if standing.model is None:
        return Forecast(items, states, rate, [], None, None, None)

    outlook = look_ahead(standing, policy, seed, draws)
    random = np.random.default_rng(None if seed is None else [seed, 1])
    milestones = [_milestone(outlook, share, rate, now, random) for share in SHARES]
    ends = np.array([len(done) for done in outlook.leaves]) * outlook.stands_for + outlook.graduated
    return Forecast(
        items,
        states,
        rate,
        milestones,
        _share(interval(ends), items),
        _share(outlook.ends_in_review(), items),
        outlook,
    )


def _milestone(
    outlook: Outlook, share: float, rate: Rate | None, now: datetime, random: np.random.Generator
) -> Milestone:
    items = int(np.ceil(share * outlook.items - 1e-9))
    votes = outlook.votes_until(items)
    days = rate.days_for(votes, random) if rate else np.full(len(votes), np.inf)
    asked, takes = interval(votes), interval(days)
    return Milestone(
        share=share,
        items=items,
        votes=_whole(asked.median),
        votes_low=_whole(asked.low),
        votes_high=_whole(asked.high),
        days=_days(takes.median),
        days_low=_days(takes.low),
        days_high=_days(takes.high),
        date=_date(now, takes.median),
        date_low=_date(now, takes.low),
        date_high=_date(now, takes.high),
        probability=float(np.isfinite(votes).mean()),
    )


def _whole(number: float) -> int | None:
    return int(np.ceil(number)) if np.isfinite(number) else None


def _days(number: float) -> float | None:
    return round(number, 2) if np.isfinite(number) else None


def _date(now: datetime, days: float) -> str | None:
    return time_text(now + timedelta(days=days)) if days < LONGEST_DAYS else None


def _share(counted: Interval, items: int) -> Interval:
    return Interval(counted.median / items, counted.low / items, counted.high / items)


def curve(outlook: Outlook, points: int = 20) -> list[tuple[int, Interval]]:
    """The share of the items that has graduated after more and more votes: (votes, share), ascending.

    Up to where the median draw graduates its last item.
    """
    ends: Floats = np.array([done[-1] if len(done) else 0.0 for done in outlook.leaves])
    grid = np.unique(np.ceil(np.linspace(0, float(np.median(ends)), points)).astype(np.int64))
    return [(int(votes), _share(outlook.graduated_after(float(votes)), outlook.items)) for votes in grid]
