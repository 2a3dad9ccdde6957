"""The pool of a server: what is drawn is what the store holds at that moment, however it got there."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hiveguard_pipeline.intake.items import import_items
from hiveguard_pipeline.pool import served
from hiveguard_pipeline.pool.next_items import NOTHING_NEW, NOTHING_THERE, Next, next_items
from hiveguard_pipeline.pool.served import Marks, ServedPool, read_pool, refresh
from hiveguard_pipeline.retraction import exclude
from hiveguard_pipeline.review import correct, decide
from hiveguard_pipeline.rules.selection import weights
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, now_text, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from hiveguard_pipeline.store.tables import item_uuid
from tests.store.voting import add_items, cast, letters

ANY = np.random.default_rng(1)


def names(found: Next) -> list[str]:
    return [item.external_id for item in found.items]


def ask(database: Database, pool: ServedPool, n: int, gold: int = 0, solver: str | None = None) -> Next:
    return next_items(database, pool, n, gold, solver, ANY)


def voted(database: Database, dataset: Dataset, **answers: str) -> None:
    cast(database, dataset, [vote for name, given in answers.items() for vote in letters(name, given)])
    apply_votes(database, dataset.name, run_id="run")


def content(pool: ServedPool) -> tuple[object, ...]:
    """What a pool holds, in comparable form."""
    return (
        pool._ids.tolist(),
        pool._levels.level.tolist(),
        pool._weights.weight.tolist(),
        pool._gold.tolist(),
    )


def brought_up(database: Database, pool: ServedPool, marks: Marks) -> Marks:
    """Refresh a pool, which must then be as one that is read now."""
    now = refresh(database, pool, marks)
    assert now is not None
    assert content(pool) == content(read_pool(database, pool.dataset)[0])
    return now


def test_unlabeled_items_come_first_then_those_in_revalidation_and_gold_among_them(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, ["a", "b", "c", "d"])
    add_items(database, dataset, ["g1", "g2"], gold="x")
    voted(database, dataset, a="xxx", b="xxx")
    pool, _ = read_pool(database, dataset)
    assert pool.tiers == (2, 2, 2)
    assert set(names(ask(database, pool, 2))) == {"c", "d"}
    assert [set(names(ask(database, pool, 4))[place]) for place in (0, 1)] != [{"a"}, {"b"}]
    assert set(names(ask(database, pool, 4))[2:]) == {"a", "b"}
    places = Counter(
        place
        for _ in range(60)
        for place, name in enumerate(names(ask(database, pool, 3, gold=1)))
        if name.startswith("g")
    )
    assert set(places) == {0, 1, 2, 3}
    assert sum(places.values()) == 60


def test_items_are_drawn_by_the_weights_of_the_rules(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, ["sure", "less", "new"])
    voted(database, dataset, sure="x" * 12, less="xxxxxx" + "xyy", new="xxx")
    pool, _ = read_pool(database, dataset)
    drawn = Counter(names(ask(database, pool, 1))[0] for _ in range(600))
    with database.read() as connection:
        rows = connection.execute(
            t.labels.select().join(t.items, t.items.c.item_id == t.labels.c.item_id).add_columns(t.items)
        ).all()
    weight = {
        row.external_id: float(
            weights(
                np.array([row.confidence]),
                np.array([row.vote_count + row.revalidation_vote_count]),
                pool._policy,
            )[0]
        )
        for row in rows
    }
    for name, given in weight.items():
        share = given / sum(weight.values())
        assert abs(drawn[name] / 600 - share) < 5 * (share * (1 - share) / 600) ** 0.5


def test_a_solver_is_asked_nothing_twice_and_is_told_when_all_is_answered(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, [f"i{n}" for n in range(30)])
    add_items(database, dataset, ["g"], gold="x")
    pool, _ = read_pool(database, dataset)
    answered: set[str] = set()
    for _ in range(31):
        found = ask(database, pool, 1, gold=1, solver="ann")
        fresh = set(names(found)) - answered
        assert len(fresh) == len(found.items) > 0
        name = sorted(fresh)[0]
        answered.add(name)
        with database.write() as connection:
            connection.execute(
                t.votes.insert().values(item_id=item_uuid(dataset.name, name), solver_id="ann", answer="x")
            )
    assert ask(database, pool, 1, gold=1, solver="ann").reason == NOTHING_NEW
    assert len(ask(database, pool, 1, gold=1, solver="ben").items) == 2


def test_without_an_item_of_the_pool_gold_takes_their_place_and_without_gold_there_is_a_reason(
    database: Database, dataset: Dataset
) -> None:
    pool, _ = read_pool(database, dataset)
    assert ask(database, pool, 3, gold=1).reason == NOTHING_THERE
    add_items(database, dataset, ["g1", "g2", "g3"], gold="x")
    pool, _ = read_pool(database, dataset)
    assert len(ask(database, pool, 2, gold=1).items) == 2


def test_the_labelling_queue_is_followed_by_rank_until_its_items_have_the_votes_they_want(
    database: Database, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "RANDOM_SHARE", 0.0)
    ids = add_items(database, dataset, "abcdef")
    with database.write() as connection:
        selection = connection.execute(
            t.selections.insert().values(
                dataset_id=dataset.dataset_id,
                strategy="margin",
                wanted=2,
                pool_size=6,
                labelled=0,
                seed=1,
                notes={},
                created_at=now_text(),
            )
        ).inserted_primary_key[0]
        for rank, name in enumerate("ec", start=1):
            connection.execute(
                t.labeling_queue.insert().values(
                    item_id=ids[name],
                    dataset_id=dataset.dataset_id,
                    selection_id=selection,
                    rank=rank,
                    score=1.0,
                )
            )
    cast(database, dataset, letters("e", "x"))
    pool, _ = read_pool(database, dataset)
    # A first label wants three votes: e has one already.
    asked = [names(ask(database, pool, 1))[0] for _ in range(6)]
    assert asked[:5] == ["e", "e", "c", "c", "c"]
    assert asked[5] not in "ec"


def test_a_pool_follows_what_happens_in_the_store(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, "abcd")
    pool, marks = read_pool(database, dataset)
    cast(database, dataset, letters("a", "xx") + letters("b", "x"))
    marks = brought_up(database, pool, marks)
    voted(database, dataset, a="x", b="xy", c="xxxxxx")
    marks = brought_up(database, pool, marks)
    voted(database, dataset, b="yyyxyy")
    marks = brought_up(database, pool, marks)
    decide(database, "b", "confirm", reviewer="ann", reason="looked at it", dataset_name=dataset.name)
    marks = brought_up(database, pool, marks)
    correct(database, "c", "y", reviewer="ann", reason="looked at it", dataset_name=dataset.name)
    marks = brought_up(database, pool, marks)
    assert refresh(database, pool, marks) == marks


def test_what_changes_every_item_has_the_pool_read_anew(
    database: Database, dataset: Dataset, tmp_path: Path
) -> None:
    add_items(database, dataset, "ab")
    voted(database, dataset, a="xxx")
    pool, marks = read_pool(database, dataset)
    set_policy(database, dataset.name, {"REVALIDATION_MIN_TOTAL_VOTES": "20"}, actor="ann", reason="more")
    assert refresh(database, pool, marks) is None
    pool, marks = read_pool(database, dataset)
    with database.read() as connection:
        solver = connection.execute(t.votes.select().limit(1)).one().solver_id
    exclude(database, dataset.name, [solver], actor="ann", reason="a bot")
    assert refresh(database, pool, marks) is None
    pool, marks = read_pool(database, dataset)
    assert pool.tiers == (2, 0, 0)
    items = tmp_path / "items.csv"
    items.write_text("external_id,data_ref,modality,gold_label\nb,b.png,image,x\nnew,n.png,image,\n")
    import_items(database, dataset.name, items)
    assert refresh(database, pool, marks) is None
    assert read_pool(database, dataset)[0].tiers == (2, 0, 1)


def test_an_item_that_has_left_the_pool_is_not_served_before_the_pool_knows_of_it(
    database: Database, dataset: Dataset
) -> None:
    add_items(database, dataset, "ab")
    voted(database, dataset, a="xxy", b="xxx")
    pool, _ = read_pool(database, dataset)
    voted(database, dataset, a="yyy")  # under the floor: needs_review
    assert {names(ask(database, pool, 2))[0] for _ in range(20)} == {"b"}
    assert {len(ask(database, pool, 2).items) for _ in range(5)} == {1}


def test_the_first_items_of_a_large_dataset_are_a_pool_already(
    database: Database, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "ITEMS_AT_ONCE", 7)
    add_items(database, dataset, [f"i{n}" for n in range(20)])
    pool, _ = read_pool(database, dataset, most=7)
    assert (pool.is_whole, len(pool)) == (False, 7)
    pool, _ = read_pool(database, dataset)
    assert (pool.is_whole, len(pool)) == (True, 20)
    assert sorted(pool.draw(99, ANY)) == sorted(item_uuid(dataset.name, f"i{n}") for n in range(20))
