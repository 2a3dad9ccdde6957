"""A store's datasets as the pools of an ActiveLearner."""

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from hiveguard_pipeline.errors import BadInputError, HiveGuardError
from hiveguard_pipeline.learning import ActiveLearner
from hiveguard_pipeline.learning.own_pools import StorePools
from hiveguard_pipeline.learning.pool import Pool, Pools
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.store.tables import item_uuid
from tests.learning.world import label, named, text_dataset, texts_of


def test_a_learner_asks_the_datasets_own_pool_and_sends_what_it_chose(database: Database) -> None:
    dataset, labels = text_dataset(database, 60)
    label(database, dataset, named(labels, range(20)))
    sent: list[tuple[str, Sequence[str], int | None]] = []

    def push(*given: object) -> int:
        sent.append(given)  # type: ignore[arg-type]
        return 3

    pools: Pools = StorePools(database, push)
    texts, truth = texts_of(60)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts[:20], truth[:20])
    learner = ActiveLearner(model=model, strategy="uncertainty", pools=pools)
    with pytest.warns(UserWarning, match="5% of the pool"):
        positions = learner.query(n_instances=3)
    pool: Pool = pools.pool("topics")
    ids = sorted(item_uuid("topics", f"t{number}") for number in range(20, 60))
    assert pool.item_ids.tolist() == ids
    by_id = {item_uuid("topics", f"t{number}"): text for number, text in enumerate(texts)}
    assert pool.features() == [by_id[item_id] for item_id in ids]
    assert sorted(pool.labelled()) == sorted(texts[:20])
    p = np.sort(model.predict_proba(pool.features()), axis=1)
    least = np.lexsort((ids, p[:, -1] - p[:, -2]))[:3]
    assert positions.tolist() == least.tolist()
    assert learner.export_to_label_studio(positions, project_id=7) == 3
    assert sent == [("topics", [ids[position] for position in positions], 7)]


def test_a_learner_without_more_asks_the_store_that_the_environment_names(
    environment: dict[str, str],
) -> None:
    text_dataset(open_database(environment["HIVEGUARD_DATABASE_URL"]), 20)
    learner = ActiveLearner(strategy="random")
    picks = learner.query(n_instances=1)
    assert 0 <= picks[0] < 20
    with pytest.raises(HiveGuardError, match="HIVEGUARD_LABEL_STUDIO_URL"):
        learner.export_to_label_studio(picks)


def test_items_without_a_text_are_not_in_the_pool(database: Database) -> None:
    from hiveguard_pipeline.store import tables as t

    text_dataset(database, 20)
    with database.write() as connection:
        connection.execute(
            t.item_details.delete().where(t.item_details.c.item_id == item_uuid("topics", "t3"))
        )
    pools = StorePools(database)
    assert pools.datasets() == ["topics"]
    pool = pools.pool("topics")
    assert len(pool.item_ids) == len(pool.features()) == 19
    with pytest.raises(BadInputError, match="no dataset"):
        pools.pool("other")
