"""The labelling queue: chosen by a strategy, served first, and never passed off as fresh."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.candidates import DIMENSIONS, embedding_of, vote_counts
from hiveguard_pipeline.learning.choosing import select_items
from hiveguard_pipeline.learning.items import items_in
from hiveguard_pipeline.learning.models.folder import ModelFolder
from hiveguard_pipeline.learning.queue import queue_of
from hiveguard_pipeline.learning.recorded import ready
from hiveguard_pipeline.learning.selection import STRATEGIES, most_uncertain, uncertainty_scores
from hiveguard_pipeline.learning.served import NotServedError
from hiveguard_pipeline.learning.settings import ActiveSettings, set_active_settings
from hiveguard_pipeline.learning.training import train_weak_model
from hiveguard_pipeline.pool import sample
from hiveguard_pipeline.retraction import exclude
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, set_policy
from hiveguard_pipeline.store.tables import item_uuid
from tests.learning.world import label, named, rows_of, text_dataset
from tests.store.voting import add_items, cast

TOTAL, LABELLED = 160, 60


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "models")


@pytest.fixture
def topics(database: Database) -> tuple[Dataset, list[str]]:
    dataset, labels = text_dataset(database, TOTAL)
    label(database, dataset, named(labels, range(LABELLED)))
    return dataset, labels


def test_uncertainty_picks_what_the_accepted_model_is_least_sure_of(
    database: Database, topics: Any, root: str
) -> None:
    model = train_weak_model(database, "topics", root)
    made = select_items(database, "topics", root, strategy="uncertainty", n=7)
    loaded = ready(ModelFolder(root), model, ActiveSettings())
    texts = {row["item_id"]: row["content"] for row in rows_of(database, t.item_details)}
    with database.read() as connection:
        ids = items_in(connection, topics[0], "unlabeled").to_pylist()
    from hiveguard_pipeline.learning.features import Items

    found = loaded.source.make(Items(ids, ids, ids, [texts[item_id] for item_id in ids]))
    expected = most_uncertain(uncertainty_scores(loaded.model.predict_proba(found.rows)), 7, ties=ids)
    assert [row.item_id for row in made.rows] == [ids[position] for position in expected.positions]
    assert [row.rank for row in made.rows] == list(range(1, 8))
    np.testing.assert_allclose([row.score for row in made.rows], expected.scores)
    assert made.model_id == model.model_id
    assert made.uncertainty_mean == pytest.approx(expected.uncertainty_mean, abs=1e-6)
    assert (made.pool_size, made.labelled, made.stale) == (TOTAL - LABELLED, LABELLED, "")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_fills_the_queue_anew_and_the_same_again(
    database: Database, topics: Any, root: str, strategy: str
) -> None:
    train_weak_model(database, "topics", root)
    select_items(database, "topics", root, strategy="random", n=20, seed=9)
    first, again = (select_items(database, "topics", root, strategy=strategy, n=5, seed=3) for _ in range(2))
    assert [row.item_id for row in first.rows] == [row.item_id for row in again.rows]
    queue = rows_of(database, t.labeling_queue)
    assert {row["item_id"] for row in queue} == {row.item_id for row in again.rows}
    assert {row["selection_id"] for row in queue} == {again.selection_id}
    assert len(rows_of(database, t.selections)) == 3
    unlabeled = {item_uuid("topics", f"t{number}") for number in range(LABELLED, TOTAL)}
    assert {row.item_id for row in again.rows} <= unlabeled


def test_a_choice_whose_model_is_old_or_has_not_seen_the_labels_says_so(
    database: Database, topics: Any, root: str
) -> None:
    dataset, labels = topics
    train_weak_model(database, "topics", root)
    made = select_items(database, "topics", root, n=10)
    assert made.stale == ""
    label(database, dataset, named(labels, range(LABELLED, LABELLED + 30)))
    with database.read() as connection:
        listed = queue_of(connection, dataset)
    assert listed is not None
    assert "30 labels came since" in listed.stale
    assert all(int(row.external_id[1:]) >= LABELLED + 30 for row in listed.rows)
    by_stale = select_items(database, "topics", root, n=10)
    assert any("30 labels came since" in note for note in by_stale.notes)
    train_weak_model(database, "topics", root)
    with database.read() as connection:
        listed = queue_of(connection, dataset)
    assert listed is not None
    assert "model is 2 now" in listed.stale
    fresh = select_items(database, "topics", root, n=4)
    assert fresh.stale == ""
    assert not any("came since" in note for note in fresh.notes)


def test_a_query_too_large_for_the_pool_or_the_labels_gets_a_note(
    database: Database, topics: Any, root: str
) -> None:
    train_weak_model(database, "topics", root)
    made = select_items(database, "topics", root, strategy="uncertainty", n=40)
    assert any("of the pool of 100" in note and "60 labelled" in note for note in made.notes)
    everything = select_items(database, "topics", root, strategy="diversity", n=1000)
    assert len(everything.rows) == TOTAL - LABELLED
    assert any("1,000 were wanted" in note for note in everything.notes)


def test_the_crowds_own_votes_are_a_committee(database: Database, topics: Any, root: str) -> None:
    dataset, _ = topics
    set_policy(database, "topics", {"CONSENSUS_THRESHOLD": "9"}, actor="a", reason="r")
    split, near, sure = "t150", "t151", "t152"
    cast(
        database,
        dataset,
        [
            *[(split, "sport"), (split, "food"), (split, "music")],
            *[(near, "sport"), (near, "sport"), (near, "food")],
            *[(sure, "sport")] * 3,
        ],
    )
    made = select_items(database, "topics", root, strategy="committee", n=2)
    assert [row.external_id for row in made.rows] == [split, near]
    assert [row.votes for row in made.rows] == [3, 3]
    with database.read() as connection:
        ids = items_in(connection, dataset, "unlabeled")
        counts = vote_counts(connection, dataset, ids)
    assert sorted(counts[ids.to_pylist().index(item_uuid("topics", near))].tolist()) == [0, 1, 2]
    dissenter = [row["solver_id"] for row in rows_of(database, t.votes) if row["answer"] == "food"][-1]
    exclude(database, "topics", [dissenter], actor="a", reason="r")
    made = select_items(database, "topics", root, strategy="committee", n=2)
    assert made.rows[0].external_id == split
    assert made.rows[1].score == 0


def test_scores_of_ones_own_choose_among_boxes_too(database: Database, root: str, tmp_path: Path) -> None:
    dataset = create_dataset(database, "cars", Policy(), classes=("car",), task_type="bbox")
    ids = add_items(database, dataset, ["a", "b", "c", "d"])
    with pytest.raises(NotServedError, match="--scores"):
        select_items(database, "cars", root)
    jsonl = tmp_path / "scores.jsonl"
    jsonl.write_text(
        "\n".join(
            json.dumps(row)
            for row in [
                {"external_id": "a", "score": 0.2},
                {"item_id": ids["b"], "score": 0.9},
                {"external_id": "c", "score": 0.2},
                {"external_id": "elsewhere", "score": 1},
            ]
        )
    )
    made = select_items(database, "cars", root, scores=jsonl, n=2)
    tied = min(["a", "c"], key=ids.__getitem__)
    assert [row.external_id for row in made.rows] == ["b", tied]
    assert made.strategy == "scores"
    assert any("1 items of" in note for note in made.notes)
    assert any("1 unlabeled items have no score" in note for note in made.notes)
    table = tmp_path / "scores.csv"
    table.write_text("external_id,score\nd,3\na,1\n")
    assert [row.external_id for row in select_items(database, "cars", root, scores=table).rows] == ["d", "a"]
    for text, why in (("external_id,score\na,x\n", "line 2"), ("external_id,score\na,1\na,2\n", "second")):
        table.write_text(text)
        with pytest.raises(BadInputError, match=why):
            select_items(database, "cars", root, scores=table)
    with pytest.raises(BadInputError, match="leave one"):
        select_items(database, "cars", root, scores=jsonl, strategy="hybrid")
    assert [row["item_id"] for row in rows_of(database, t.labeling_queue)] == sorted([ids["a"], ids["d"]])


def test_without_a_model_hybrid_spreads_and_uncertainty_says_what_is_missing(
    database: Database, topics: Any, root: str
) -> None:
    with pytest.raises(NotServedError, match="active train"):
        select_items(database, "topics", root, strategy="uncertainty")
    made = select_items(database, "topics", root, strategy="hybrid", n=5)
    assert made.model_id is None
    assert any("no model" in note for note in made.notes)


def test_a_pool_larger_than_is_looked_at_is_drawn_from_and_that_is_said(
    database: Database, topics: Any, root: str
) -> None:
    set_active_settings(database, "topics", {"pool_size": "30"})
    made = select_items(database, "topics", root, strategy="diversity", n=5)
    assert made.pool_size == 30
    assert any("30 of 100 unlabeled items" in note for note in made.notes)


def test_the_queue_is_served_first_but_for_one_draw_in_ten(
    database: Database, topics: Any, root: str
) -> None:
    dataset, _ = topics
    made = select_items(database, "topics", root, strategy="random", n=30)
    ranked = [row.item_id for row in made.rows]
    others = 0
    for seed in range(40):
        with database.read() as connection:
            drawn = sample(connection, dataset, 20, seed)
        queued = [item.queue_rank for item in drawn if item.queue_rank is not None]
        in_order = [item for item in drawn if item.item_id in ranked[:20]]
        others += 20 - len(in_order)
        assert all(item.queue_rank == ranked.index(item.item_id) + 1 for item in drawn if item.queue_rank)
        assert len(queued) >= 12
        assert drawn[0].tier == 1
    # One in ten of 800 is at random; some of those are of the queue's head by chance.
    assert 30 < others < 110


def test_queued_items_with_votes_enough_come_behind_and_contested_ones_lose_their_place(
    database: Database, topics: Any, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hiveguard_pipeline.rules import selection

    monkeypatch.setattr(selection, "RANDOM_SHARE", 0.0)
    dataset, _ = topics
    set_policy(
        database,
        "topics",
        {"CONSENSUS_THRESHOLD": "3", "REVALIDATION_MIN_TOTAL_VOTES": "6"},
        actor="a",
        reason="r",
    )
    made = select_items(database, "topics", root, strategy="random", n=4)
    names = [row.external_id for row in made.rows]
    cast(database, dataset, [(names[0], answer) for answer in ["sport", "food", "music"]])
    cast(database, dataset, [(names[1], answer) for answer in ["sport", "food", "music"] * 2])
    with database.read() as connection:
        drawn = [item.external_id for item in sample(connection, dataset, 3, 0)]
        whole = [item.external_id for item in sample(connection, dataset, 1000, 0)]
    assert drawn == [names[2], names[3], names[0]]
    assert whole.index(names[1]) == TOTAL - LABELLED - 1


def test_two_datasets_have_queues_of_their_own(database: Database, topics: Any, root: str) -> None:
    text_dataset(database, 30, name="other")
    select_items(database, "topics", root, strategy="random", n=5)
    select_items(database, "other", root, strategy="random", n=6)
    select_items(database, "topics", root, strategy="random", n=7)
    counted = Counter(row["dataset_id"] for row in rows_of(database, t.labeling_queue))
    assert sorted(counted.values()) == [6, 7]


def test_wide_features_become_short_vectors_that_keep_distances() -> None:
    from scipy.sparse import csr_matrix

    rows = np.random.default_rng(0).normal(size=(40, 5000)).astype(np.float32)
    short = embedding_of(rows)
    assert short.shape == (40, DIMENSIONS)
    before, after = (np.linalg.norm(array[:, None] - array[None], axis=2) for array in (rows, short))
    apart = ~np.eye(40, dtype=bool)
    ratio = after[apart] / before[apart]
    assert 0.7 < ratio.min() < ratio.max() < 1.3
    np.testing.assert_allclose(embedding_of(csr_matrix(rows)), short, rtol=1e-3, atol=1e-2)
    narrow = rows[:, :5]
    np.testing.assert_array_equal(embedding_of(narrow), narrow)
