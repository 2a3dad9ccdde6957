"""The rate of late: which votes it counts, over which window, and how sure it is."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from hiveguard_pipeline.foresight.arrivals import LONG_DAYS, Rate, rate_from, rate_of_late
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, now_text
from hiveguard_pipeline.store.tables import item_uuid, time_text
from tests.store.voting import add_items

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


def _counts(*recent: int, older: int = 0) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([*recent, *(LONG_DAYS - len(recent)) * [0], older])


def test_seven_days_are_enough_where_they_hold_a_hundred_votes() -> None:
    rate = rate_from(_counts(*7 * [20], *7 * [500]), 14.0)
    assert rate is not None
    assert (rate.votes, rate.days, rate.per_day) == (140, 7.0, 20.0)
    # No day differs from the mean; one more that differs by 20 is taken along.
    assert rate.variance == pytest.approx(20**2 / 8)


def test_a_quiet_week_widens_the_window_to_28_days() -> None:
    rate = rate_from(_counts(*7 * [1], *21 * [3], older=10_000), 400.0)
    assert rate is not None
    assert (rate.votes, rate.days) == (70, 28.0)


@pytest.mark.parametrize(("oldest", "days"), [(0.1, 1.0), (2.5, 2.5)])
def test_a_young_dataset_has_a_window_as_long_as_itself_and_a_day_at_least(
    oldest: float, days: float
) -> None:
    rate = rate_from(_counts(300), oldest)
    assert rate is not None
    assert rate.days == days


def test_without_votes_in_28_days_there_is_no_rate() -> None:
    assert rate_from(_counts(older=5_000), 300.0) is None


def test_days_hold_what_a_bursty_crowd_then_does() -> None:
    random = np.random.default_rng(1)
    held, tries = 0, 300
    for _ in range(tries):
        days = random.poisson(random.gamma(2.0, 50.0, 7 + 60))  # mean 100 a day, bursty
        rate = rate_from(_counts(*days[:7].tolist()), 7.0)
        assert rate is not None
        true = float(np.searchsorted(np.cumsum(days[7:]), 1_000) + 1)
        low, high = np.quantile(rate.days_for(np.full(400, 1_000.0), random), [0.05, 0.95])
        held += int(low - 1 <= true <= high + 1)
    assert held / tries >= 0.85


def test_no_votes_take_no_days_and_votes_that_never_come_take_for_ever() -> None:
    drawn = Rate(700, 7.0, 100.0).days_for(np.array([0.0, 100.0, np.inf]), np.random.default_rng(1))
    assert drawn[0] == 0
    assert 0 < drawn[1] < 10
    assert np.isinf(drawn[2])


def test_votes_on_gold_of_excluded_solvers_and_of_tomorrow_do_not_count(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, ["a"])
    add_items(database, dataset, ["gold"], gold="x")
    with database.write() as connection:
        for number in range(200):
            connection.execute(
                t.votes.insert().values(
                    item_id=item_uuid(dataset.name, "gold" if number % 10 == 0 else "a"),
                    solver_id=f"s{number}",
                    answer="x",
                    created_at=time_text(NOW - timedelta(hours=number - 2)),
                )
            )
        connection.execute(
            t.exclusions.insert().values(
                solver_id="s11", dataset_id=dataset.dataset_id, reason="r", actor="a", created_at=now_text()
            )
        )
    with database.read() as connection:
        rate = rate_of_late(connection, dataset, NOW)
        later = rate_of_late(connection, dataset, NOW + timedelta(days=60))
    # Hours 0 to 167 back are votes 2 to 169: 168 of them, less 16 on gold and one excluded.
    assert rate is not None
    assert (rate.votes, rate.days) == (151, 7.0)
    assert later is None


def test_a_time_in_sqlites_own_form_counts_as_well(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, ["a"])
    with database.write() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO votes (item_id, solver_id, answer, created_at) VALUES (:item, 's', 'x', :at)"
            ),
            {
                "item": item_uuid(dataset.name, "a"),
                "at": "2026-11-20 11:00:00+00"[: 19 if _sqlite(database) else 22],
            },
        )
    with database.read() as connection:
        rate = rate_of_late(connection, dataset, NOW)
    assert rate is not None
    assert rate.votes == 1


def _sqlite(database: Database) -> bool:
    return database.engine.dialect.name == "sqlite"
