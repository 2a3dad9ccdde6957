"""Which items are served next: unlabeled ones first, then the doubtful, and the same for the same seed."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from hiveguard_pipeline.pool import Drawn, pool_counts, sample, sample_some
from hiveguard_pipeline.review import decide
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.schema import open_database
from tests.store.voting import add_items, cast, letters

STANDS = {
    "none": "",
    "one": "x",
    "contested": "xyzxyz",
    "fresh": "xxx",
    "sure": "x" * 12,
    "doubt": "xyx",
    "graduated": "x" * 15,
    "flagged": "xxyyyy",
    "discarded": "xxyyyy",
}


def filled(database: Database, dataset: Dataset) -> None:
    """Items in all states, named after them."""
    add_items(database, dataset, STANDS)
    add_items(database, dataset, ["gold"], gold="x")
    cast(database, dataset, [vote for name, answers in STANDS.items() for vote in letters(name, answers)])
    apply_votes(database, dataset.name, run_id="run")
    decide(database, "discarded", "discard", dataset_name=dataset.name, reviewer="r", reason="r")


def drawn(database: Database, dataset: Dataset, n: int, seed: int | None = None) -> list[Drawn]:
    with database.read() as connection:
        return sample(connection, dataset, n, seed)


def test_only_items_of_the_pool_are_drawn_each_once_tier_one_first(
    database: Database, dataset: Dataset
) -> None:
    filled(database, dataset)
    for seed in range(10):
        found = drawn(database, dataset, 100, seed)
        assert [item.tier for item in found] == [1, 1, 1, 2, 2, 2]
        assert {item.external_id for item in found[:3]} == {"none", "one", "contested"}
        assert {item.external_id for item in found[3:]} == {"fresh", "sure", "doubt"}


def test_what_is_drawn_says_what_to_serve_and_why(database: Database, dataset: Dataset) -> None:
    filled(database, dataset)
    found = {item.external_id: item for item in drawn(database, dataset, 100, 1)}
    contested, sure, doubt = found["contested"], found["sure"], found["doubt"]
    assert (contested.votes, contested.weight, contested.confidence) == (6, None, None)
    assert (sure.votes, sure.confidence) == (12, 1_000_000)
    assert sure.weight == pytest.approx(3 / 15)
    assert (doubt.votes, doubt.confidence) == (3, 666_667)
    assert doubt.weight == pytest.approx(12 / 15)
    assert (sure.data_ref, sure.modality) == ("https://example.org/sure.png", "image")


def test_the_same_seed_draws_the_same_and_another_seed_another(database: Database, dataset: Dataset) -> None:
    names = [f"i{number}" for number in range(200)]
    add_items(database, dataset, names)
    cast(database, dataset, [vote for name in names[:150] for vote in letters(name, "xxx")])
    apply_votes(database, dataset.name, run_id="run")
    first = drawn(database, dataset, 80, seed=5)
    assert len({item.item_id for item in first}) == 80
    assert [item.tier for item in first] == [1] * 50 + [2] * 30
    assert drawn(database, dataset, 80, seed=5) == first
    assert drawn(database, dataset, 80, seed=6) != first
    assert drawn(database, dataset, 80) != drawn(database, dataset, 80)


def test_the_same_seed_draws_the_same_on_either_database(
    tmp_path: Path, new_postgres: Callable[..., str]
) -> None:
    draws = []
    for url in (f"sqlite:///{tmp_path / 'hiveguard.db'}", new_postgres()):
        database = open_database(url)
        dataset = create_dataset(database, "animals", Policy())
        names = [f"i{number}" for number in range(120)]
        add_items(database, dataset, names)
        random = Random(2)
        cast(database, dataset, [(random.choice(names), random.choice("xxy")) for _ in range(500)])
        apply_votes(database, dataset.name, run_id="run")
        draws.append(drawn(database, dataset, 70, seed=9))
    assert draws[0] == draws[1]


def test_items_with_fewer_votes_come_first_but_one_draw_in_ten(database: Database, dataset: Dataset) -> None:
    names = [f"i{number}" for number in range(100)]
    add_items(database, dataset, names)
    cast(database, dataset, [vote for name in names[:60] for vote in letters(name, "xy")])
    found = [item for seed in range(10) for item in drawn(database, dataset, 20, seed)]
    without_votes = sum(item.votes == 0 for item in found)
    assert 0.85 * len(found) < without_votes < len(found)


def test_nothing_is_drawn_from_an_empty_pool(database: Database, dataset: Dataset) -> None:
    assert drawn(database, dataset, 5) == []
    filled(database, dataset)
    assert drawn(database, dataset, 0) == []


def test_the_tiers_are_counted(database: Database, dataset: Dataset) -> None:
    filled(database, dataset)
    with database.read() as connection:
        assert pool_counts(connection, dataset) == {"tier_1": 3, "tier_2": 3}


def test_a_draw_changes_nothing(database: Database, dataset: Dataset) -> None:
    filled(database, dataset)

    def everything() -> list[object]:
        with database.read() as connection:
            return [
                connection.execute(sa.text(f"SELECT * FROM {table} ORDER BY 1")).all()
                for table in ("items", "votes", "labels", "batches", "dataset_progress")
            ]

    before = everything()
    drawn(database, dataset, 5, seed=1)
    assert everything() == before


def test_a_draw_from_some_items_is_one_from_the_pool(database: Database, dataset: Dataset) -> None:
    filled(database, dataset)
    names = {item.item_id: item.external_id for item in drawn(database, dataset, 100)}
    with database.read() as connection:
        for _ in range(10):
            found = [names[item] for item in sample_some(connection, dataset, 100, 50)]
            assert set(found[:3]) == {"none", "one", "contested"}, "tier 1 first"
            assert sorted(found[3:]) == ["doubt", "fresh", "sure"], "more are looked at than there are"
        seen: Counter[str] = Counter()
        for _ in range(200):
            some = sample_some(connection, dataset, 2, 3)
            assert len(some) == len(set(some)) <= 2
            seen.update(names[item] for item in some)
    assert set(seen) == set(names.values()), "wherever ids begin, none is left out"
