"""ActiveLearner with real models, and over the datasets of a store that is only a dict here."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning import ActiveLearner
from hiveguard_pipeline.learning.selection import SelectionWarning, select

X, Y = load_digits(return_X_y=True)
X = X / 16.0
KNOWN, POOL = np.arange(400), np.arange(400, 1797)
TEXTS = [f"{word} {other}" for word in ("bus", "tree", "cat", "sea") for other in "abcdefghij"]


def _model(rows: Any = KNOWN) -> LogisticRegression:
    return LogisticRegression(max_iter=200).fit(X[rows], Y[rows])


@pytest.fixture(scope="module")
def model() -> LogisticRegression:
    return _model()


def test_five_lines_pick_what_the_selector_picks(model: LogisticRegression) -> None:
    learner = ActiveLearner(model=model, strategy="uncertainty")
    picks = learner.query(n_instances=60, X=X[POOL], labelled=X[KNOWN])
    rows = model.predict_proba(X[POOL])
    assert picks.tolist() == select("uncertainty", 60, probabilities=rows).positions.tolist()
    margin = np.diff(np.sort(rows[picks], axis=1)[:, -2:]).ravel()
    assert learner.last_uncertainty_mean == pytest.approx((1 - margin).mean())


@pytest.mark.parametrize("strategy", ["uncertainty", "committee", "diversity", "hybrid", "random"])
def test_every_strategy_answers_with_different_positions_and_the_same_ones_again(
    model: LogisticRegression, strategy: str
) -> None:
    asked = [model, _model(np.arange(200))] if strategy == "committee" else model
    picks = [ActiveLearner(asked, strategy, seed=4).query(20, X[POOL], X[KNOWN]).tolist() for _ in range(2)]
    assert picks[0] == picks[1]
    assert len(set(picks[0])) == 20
    assert 0 <= min(picks[0]) <= max(picks[0]) < len(POOL)


def test_the_default_is_hybrid_and_starts_without_a_model_or_with_one_that_is_not_fitted() -> None:
    first = ActiveLearner().query(20, X[POOL])
    unfitted = ActiveLearner(model=make_pipeline(LogisticRegression()))
    assert unfitted.query(20, X[POOL], X[:0]).tolist() == first.tolist()
    assert unfitted.last_uncertainty_mean is None
    assert "no model and no labelled items" in unfitted.last_selection.notes[-1]  # type: ignore[union-attr]
    for strategy in ("uncertainty", "committee"):
        with pytest.raises(BadInputError, match="none was fitted: for the first batch use hybrid"):
            ActiveLearner(LogisticRegression(), strategy).query(5, X[POOL])


def test_a_large_pool_is_sampled_and_it_is_said(model: LogisticRegression) -> None:
    learner = ActiveLearner(model, "uncertainty", pool_size=300)
    picks = learner.query(10, X[POOL])
    assert learner.last_selection.notes[-1] == "300 of 1397 items of the pool, drawn at random, were scored"  # type: ignore[union-attr]
    drawn = np.sort(np.random.default_rng(0).choice(len(POOL), 300, replace=False))
    best = select("uncertainty", 10, probabilities=model.predict_proba(X[POOL][drawn])).positions
    assert picks.tolist() == drawn[best].tolist()


def test_a_committee_brings_together_models_that_know_different_classes() -> None:
    low, all_ten = np.flatnonzero(Y[:400] < 5), KNOWN
    learner = ActiveLearner([_model(low), _model(all_ten)], "committee")
    with pytest.warns(SelectionWarning, match="of the pool"):
        picks = learner.query(200, X[POOL])
    assert (Y[POOL][picks] >= 5).mean() > 0.9
    with pytest.raises(BadInputError, match="two or more"):
        ActiveLearner([_model(low)], "committee").query(5, X[POOL])


def test_texts_and_sparse_features_are_taken() -> None:
    labels = np.repeat(["bus", "tree", "cat", "sea"], 10)
    words = make_pipeline(TfidfVectorizer(token_pattern=r"\w+"), LogisticRegression())
    words.fit(TEXTS[::2], labels[::2])
    assert len(set(ActiveLearner(words).query(1, TEXTS[1::2], TEXTS[::2]).tolist())) == 1
    features = TfidfVectorizer(analyzer="char", ngram_range=(1, 4)).fit_transform(TEXTS)
    assert features.shape[1] > 128
    assert len(set(ActiveLearner().query(4, features).tolist())) == 4
    with pytest.raises(BadInputError, match=r"these are not numbers.*embed\(X\)"):
        ActiveLearner().query(2, TEXTS)


def test_a_model_with_an_embedding_places_the_items() -> None:
    class Placed:
        def predict_proba(self, texts: Any) -> Any:
            return np.full((len(texts), 2), 0.5)

        def embed(self, texts: Any) -> Any:
            return np.array([[len(text)] for text in texts], dtype=float)

    texts = ["a", "aa", "a" * 50, "b", "bb", "b" * 51]
    picks = ActiveLearner(Placed()).query(2, texts * 10)
    assert sorted(len((texts * 10)[pick]) > 10 for pick in picks) == [False, True]


def test_a_query_that_is_too_large_warns_with_the_reason(model: LogisticRegression) -> None:
    with pytest.warns(
        SelectionWarning, match=r"a query of 100 is more than 5% of the pool of 1397: the picks are"
    ):
        ActiveLearner(model, "uncertainty").query(100, X[POOL], X[KNOWN])
    with pytest.warns(SelectionWarning, match="more than 25% of the 40 labelled items"):
        ActiveLearner(model).query(20, X[POOL], X[:40])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ActiveLearner(model).query(20, X[POOL], X[KNOWN])


def test_a_model_that_was_not_fitted_since_warns_and_one_that_was_does_not() -> None:
    model = _model()
    learner = ActiveLearner(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picks = learner.query(20, X[POOL], X[KNOWN])
        again = learner.query(20, X[POOL], X[KNOWN])  # no label came: nothing is stale
        assert picks.tolist() == again.tolist()
    known, pool = np.concatenate([KNOWN, POOL[picks]]), np.delete(POOL, picks)
    with pytest.warns(
        SelectionWarning, match="20 labels came since the last query, and the model answers as"
    ):
        learner.query(20, X[pool], X[known])
    model.fit(X[known], Y[known])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        more = np.concatenate([known, pool[:20]])
        learner.query(20, X[pool[20:]], X[more])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "best"}, "no strategy 'best': there are uncertainty"),
        ({"pool_size": 0}, "pool_size is 0"),
    ],
)
def test_what_it_cannot_be_made_of_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        ActiveLearner(**arguments)


def test_it_asks_for_no_more_than_there_is_and_a_model_must_answer_for_each_item() -> None:
    class Short:
        def predict_proba(self, rows: Any) -> Any:
            return np.full((1, 2), 0.5)

    with pytest.raises(BadInputError, match="30 items wanted, and the pool has 20"):
        ActiveLearner().query(30, X[:20])
    with pytest.raises(BadInputError, match=r"predict_proba gave shape \(1, 2\) for 20 items"):
        ActiveLearner(Short()).query(3, X[:20])


class _Pool:
    """A pool in memory that keeps what is pushed."""

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = np.array(rows)
        self.pushed: list[tuple[list[str], int | None]] = []

    @property
    def item_ids(self) -> Any:
        return np.array([f"item-{row:04d}" for row in self.rows])

    def features(self) -> Any:
        return X[self.rows]

    def labelled(self) -> Any:
        return X[KNOWN]

    def push_to_label_studio(self, item_ids: Sequence[str], project_id: int | None) -> int:
        self.pushed.append((list(item_ids), project_id))
        return len(item_ids)


class _Pools:
    def __init__(self, **pools: _Pool) -> None:
        self.pools = pools

    def datasets(self) -> Sequence[str]:
        return list(self.pools)

    def pool(self, dataset: str) -> _Pool:
        return self.pools[dataset]


def test_without_x_the_only_dataset_is_asked_and_its_items_can_be_exported(model: LogisticRegression) -> None:
    digits = _Pool(POOL.tolist())
    learner = ActiveLearner(model, pools=_Pools(digits=digits))
    picks = learner.query(20)
    assert picks.tolist() == ActiveLearner(model).query(20, X[POOL], X[KNOWN]).tolist()
    assert learner.export_to_label_studio(picks[:3], project_id=7) == 3
    assert digits.pushed == [([f"item-{POOL[pick]:04d}" for pick in picks[:3]], 7)]


def test_several_datasets_none_or_an_unknown_one_are_refused_by_name(model: LogisticRegression) -> None:
    two = _Pools(cats=_Pool([500]), dogs=_Pool([501]))
    with pytest.raises(BadInputError, match="there are cats, dogs: name one with dataset="):
        ActiveLearner(model, pools=two).query(1)
    with pytest.raises(BadInputError, match="no dataset 'birds': there are cats, dogs"):
        ActiveLearner(model, dataset="birds", pools=two).query(1)
    with pytest.raises(BadInputError, match="there is no dataset"):
        ActiveLearner(model, pools=_Pools()).query(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SelectionWarning)
        assert ActiveLearner(model, "random", dataset="dogs", pools=two).query(1).tolist() == [0]


def test_positions_that_are_not_of_the_datasets_own_pool_are_not_exported(model: LogisticRegression) -> None:
    digits = _Pool(POOL.tolist())
    learner = ActiveLearner(model, pools=_Pools(digits=digits))
    with pytest.raises(BadInputError, match="not of a dataset's own pool"):
        learner.export_to_label_studio([0])
    picks = learner.query(20)
    other = next(position for position in range(len(POOL)) if position not in picks)
    with pytest.raises(BadInputError, match=f"position {other} was not returned"):
        learner.export_to_label_studio([picks[0], other])
    with pytest.raises(BadInputError, match="expected a list of positions"):
        learner.export_to_label_studio([0.5])
    digits.rows = np.delete(digits.rows, picks)  # they were labelled: others stand at their positions now
    newer = learner.query(20)
    stale = next(pick for pick in picks.tolist() if pick not in newer)
    with pytest.raises(BadInputError, match=f"position {stale} was not returned"):
        learner.export_to_label_studio([stale])
    learner.query(20, X[POOL])
    with pytest.raises(BadInputError, match="the last query was given X"):
        learner.export_to_label_studio(newer)
    assert digits.pushed == []
