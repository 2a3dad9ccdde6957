"""The rate of late: how many votes a day a dataset gets, and how sure that is.

Counted are the votes that can move labels (not on gold items, not of excluded solvers) of the last 7 days;
of the last 28 where those 7 hold fewer than 100. The window begins with the dataset's first vote if that
is younger, and is a day at least.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import sqlalchemy as sa

from hiveguard_pipeline.foresight.answers import Floats
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.crowd import NOT_EXCLUDED
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.tables import full_time, time_text

SHORT_DAYS = 7
LONG_DAYS = 28
ENOUGH_VOTES = 100


@dataclass(frozen=True, slots=True)
class Rate:
    """Votes that came in a window of `days` up to now. variance: of the votes of one day."""

    votes: int
    days: float
    variance: float

    @property
    def per_day(self) -> float:
        """Votes a day."""
        return self.votes / self.days

    def days_for(self, votes: Floats, random: np.random.Generator) -> Floats:
        """Days until so many votes have come, drawn: one for each entry of `votes`, inf for inf.

        The rate to come is a gamma variable around that of the window. Its variance is that of a day's
        votes, once over the days of the window and once over the days that the votes take.
        """
        ahead = np.maximum(votes, 1) / self.per_day
        variance = self.variance / self.days + self.variance / np.maximum(ahead, 1.0)
        shape = self.per_day**2 / variance
        drawn = random.gamma(shape) / shape * self.per_day
        return np.where(votes > 0, votes / np.maximum(drawn, 1e-9), 0.0)


def rate_of_late(connection: sa.Connection, dataset: Dataset, now: datetime) -> Rate | None:
    """The rate of the votes up to `now`, by the hour; None where the last 28 days hold no vote."""
    created = full_time(connection, "v.created_at")
    if connection.dialect.name == "sqlite":
        hour, upto = f"substr({created}, 1, 13)", f"{created} <= :now"
    else:
        hour = "to_char(date_trunc('hour', v.created_at AT TIME ZONE 'UTC'), 'YYYY-MM-DD\"T\"HH24')"
        upto = "v.created_at <= CAST(:now AS timestamptz)"
    found = read_columns(
        connection,
        f"SELECT {hour} AS hour, count(*) AS votes FROM items i JOIN votes v ON v.item_id = i.item_id"
        f" WHERE i.dataset_id = :dataset AND i.gold_label IS NULL AND {upto} AND {NOT_EXCLUDED} GROUP BY 1",
        {"dataset": dataset.dataset_id, "now": time_text(now)},
        {"hour": str, "votes": int},
    )
    if not len(found["votes"]):
        return None
    hours = np.array(found["hour"].to_pylist(), dtype="datetime64[h]")
    age = (np.datetime64(time_text(now)[:13], "h") - hours).astype(np.int64)
    days = np.minimum(age // 24, LONG_DAYS)
    counts = np.bincount(days, found["votes"], LONG_DAYS + 1).astype(np.int64)
    return rate_from(counts, (float(age.max()) + 1) / 24)


def rate_from(counts: Floats, oldest: float) -> Rate | None:
    """The rate, from votes by age in whole days and the age in days of the oldest vote.

    counts: shape (LONG_DAYS + 1,), the last one all that is older. The variance of a day is taken with
    one more day that differs from the mean by as much as that is: a window of one day says nothing of it.
    """
    window = SHORT_DAYS if counts[:SHORT_DAYS].sum() >= ENOUGH_VOTES else LONG_DAYS
    votes = int(counts[:window].sum())
    if not votes:
        return None
    days = float(min(max(oldest, 1.0), window))
    whole = max(int(days), 1)
    mean = votes / days
    apart = float(((counts[:whole] - mean) ** 2).sum())
    return Rate(votes, days, max((apart + mean**2) / (whole + 1), mean))
