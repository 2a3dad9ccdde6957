"""A crowd that answers what the real pool serves takes as many votes as was forecast."""

import numpy as np
import pytest

from hiveguard_pipeline.foresight.outlook import interval, look_ahead
from hiveguard_pipeline.foresight.standing import read_recorded, standing_of
from hiveguard_pipeline.pool import sample
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.crowd import read_crowd
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.status import funnel
from tests.store.voting import add_items, cast

ITEMS = 120
AT_ONCE = 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_votes_to_graduate_are_as_forecast(database: Database, dataset: Dataset, seed: int) -> None:
    random = np.random.default_rng(seed)
    names = [f"item-{number:03d}" for number in range(ITEMS)]
    rate = dict(zip(names, random.beta(8, 2, ITEMS), strict=True))

    def answered(served: list[str]) -> list[tuple[str, str]]:
        return [(name, "yes" if random.random() < rate[name] else "no") for name in served]

    add_items(database, dataset, names)
    cast(database, dataset, answered(names * 3))
    apply_votes(database, dataset.name, run_id="first")
    with database.read() as connection:
        crowd = read_crowd(connection, dataset)
        standing = standing_of(crowd, read_recorded(connection, dataset, crowd), Policy())
    outlook = look_ahead(standing, Policy(), seed=1)
    took: dict[int, int] = {}
    votes, wanted = 0, [ITEMS // 4, ITEMS // 2, ITEMS * 3 // 5]
    while len(took) < len(wanted):
        with database.read() as connection:
            served = [drawn.external_id for drawn in sample(connection, dataset, AT_ONCE, seed=votes)]
        cast(database, dataset, answered(served), first=votes)
        votes += len(served)
        apply_votes(database, dataset.name, run_id="next")
        with database.read() as connection:
            graduated = funnel(connection, dataset)["graduated"]
        for many in wanted:
            if graduated >= many:
                took.setdefault(many, votes)
    for many in wanted:
        found = interval(outlook.votes_until(many))
        print(many, took[many], found)
        assert 0.95 * found.low <= took[many] <= 1.05 * found.high
        assert found.high < 1.4 * found.low
