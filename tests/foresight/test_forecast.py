"""The forecast of a dataset in a store."""

from datetime import UTC, datetime, timedelta

import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.foresight.forecast import curve, forecast
from hiveguard_pipeline.foresight.outlook import Interval
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from tests.foresight.crowds import put_crowd
from tests.store.voting import FIRST_VOTE, add_items, cast, standing

NOW = FIRST_VOTE + timedelta(days=2)


def test_shares_take_more_votes_the_higher_and_what_reviews_keep_back_is_never_reached(
    database: Database, dataset: Dataset
) -> None:
    put_crowd(database, dataset)
    before = standing(database, dataset)
    with database.read() as connection:
        found = forecast(connection, dataset, NOW, seed=1, draws=80)
    half, most, all_but_one = found.milestones
    assert (found.items, half.items, most.items, all_but_one.items) == (60, 30, 54, 60)
    # 60 items, 5 votes each: ten more for each item that graduates, those of the others on top.
    assert half.votes is not None
    assert half.votes_low is not None
    assert half.votes_high is not None
    assert 30 * 10 <= half.votes_low <= half.votes <= half.votes_high <= 60 * 14
    assert half.probability == 1
    assert half.days == pytest.approx(half.votes / 150, rel=0.5)  # 300 votes in two days
    assert half.date is not None
    assert half.date_low is not None
    assert time(half.date_low) <= time(half.date)
    assert (all_but_one.votes, all_but_one.days, all_but_one.date) == (None, None, None)
    assert all_but_one.probability < 0.05
    assert found.reachable is not None
    assert found.in_review is not None
    assert 0.8 < found.reachable.low <= found.reachable.median <= found.reachable.high < 1
    assert found.reachable.median + found.in_review.median == pytest.approx(1, abs=0.05)
    assert standing(database, dataset) == before


def time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_a_forecast_is_the_same_again_and_whether_or_not_a_run_has_been(
    database: Database, dataset: Dataset
) -> None:
    put_crowd(database, dataset, votes=8)
    with database.read() as connection:
        before = forecast(connection, dataset, NOW, seed=3, draws=40)
        again = forecast(connection, dataset, NOW, seed=3, draws=40)
        other = forecast(connection, dataset, NOW, seed=4, draws=40)
    apply_votes(database, dataset.name, run_id="by-hand")
    with database.read() as connection:
        after = forecast(connection, dataset, NOW, seed=3, draws=40)
    assert before.milestones == again.milestones == after.milestones
    assert before.milestones != other.milestones


def test_the_curve_rises_to_what_can_be_reached(database: Database, dataset: Dataset) -> None:
    put_crowd(database, dataset)
    with database.read() as connection:
        found = forecast(connection, dataset, NOW, seed=1, draws=40)
    assert found.outlook is not None
    assert found.reachable is not None
    points = curve(found.outlook)
    votes, shares = [at for at, _ in points], [share.median for _, share in points]
    assert votes[0] == 0
    assert votes == sorted(set(votes))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(found.reachable.median, abs=0.05)
    assert all(share.low <= share.median <= share.high for _, share in points)


def test_without_votes_there_is_no_forecast_and_without_late_ones_no_days(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, ["lonely"])
    with database.read() as connection:
        nothing = forecast(connection, dataset, NOW)
    assert (nothing.items, nothing.milestones, nothing.rate, nothing.outlook) == (1, [], None, None)
    put_crowd(database, dataset)
    with database.read() as connection:
        late = forecast(connection, dataset, NOW + timedelta(days=90), seed=1, draws=20)
    assert late.rate is None
    assert late.milestones[0].votes is not None
    assert late.milestones[0].days is None
    assert late.milestones[0].date is None


def test_a_policy_past_what_is_looked_ahead_is_refused(database: Database, dataset: Dataset) -> None:
    set_policy(database, dataset.name, {"REVALIDATION_MIN_TOTAL_VOTES": "5000"}, actor="a", reason="r")
    with database.read() as connection, pytest.raises(BadInputError, match="5,000 votes an item"):
        forecast(connection, dataset, NOW)


def test_another_rule_of_graduation_is_refused(database: Database, dataset: Dataset) -> None:
    set_policy(database, dataset.name, {"GRADUATION": "adaptive"}, actor="a", reason="r")
    with (
        database.read() as connection,
        pytest.raises(
            BadInputError,
            match=f"hiveguard policy simulate --dataset {dataset.name} --set GRADUATION=documented",
        ),
    ):
        forecast(connection, dataset, NOW)


def test_where_every_item_has_graduated_nothing_is_left_to_wait_for(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, ["a", "b"])
    cast(database, dataset, [(name, "yes") for name in ["a", "b"] * 15])
    with database.read() as connection:
        found = forecast(connection, dataset, NOW, seed=1, draws=20)
    assert [(mark.votes, mark.days, mark.probability) for mark in found.milestones] == 3 * [(0, 0.0, 1.0)]
    assert found.reachable == Interval(1.0, 1.0, 1.0)
    assert found.outlook is not None
    assert curve(found.outlook) == [(0, Interval(1.0, 1.0, 1.0))]


def test_gold_and_discarded_items_are_not_waited_for(database: Database, dataset: Dataset) -> None:
    put_crowd(database, dataset)
    add_items(database, dataset, ["known"], gold="yes")
    cast(database, dataset, [("known", "no")] * 20)
    with database.read() as connection:
        found = forecast(connection, dataset, NOW, seed=1, draws=20)
    assert found.items == 60
