"""The weak model: the same for the same labels, better with more of them, and it travels through a file."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hiveguard_pipeline.learning.features import Items, source_of
from hiveguard_pipeline.learning.models import Checkpoint, load
from hiveguard_pipeline.learning.models.skops import dump_skops
from hiveguard_pipeline.learning.models.weak import MOST_WEIGHTS, buckets_of, fit_weak

SENTIMENT = {"good": "a fine and lovely thing", "bad": "what a dreadful, awful mess"}


def test_digits_are_learnt_and_more_labels_are_better() -> None:
    rows, labels = load_digits(return_X_y=True)
    rows, names = (rows / 16).astype(np.float32), [str(label) for label in labels]
    reached = []
    for count in (50, 400):
        model = fit_weak(rows[:count], names[:count], seed=0)
        right = model.classes_[model.predict_proba(rows[900:]).argmax(axis=1)] == np.array(names[900:])
        reached.append(right.mean())
    assert reached[0] > 0.7
    assert reached[1] > 0.88


def test_scale_and_offset_of_features_do_not_matter() -> None:
    rows, labels = load_digits(return_X_y=True)
    names = [str(label) for label in labels[:200]]
    one = fit_weak(rows[:200], names, seed=0).predict_proba(rows[200:300])
    other = fit_weak(rows[:200] * 1000 + 5, names, seed=0).predict_proba(rows[200:300] * 1000 + 5)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_model_is_the_same_again_and_through_its_file() -> None:
    texts = [f"{text} number {number}" for text in SENTIMENT.values() for number in range(20)]
    labels = [name for name in SENTIMENT for _ in range(20)]
    asked = Items(texts, texts, texts, [*texts])
    rows = source_of({"kind": "ngrams", "buckets": 1024}).make(asked).rows
    model, again = (fit_weak(rows, labels, seed=3) for _ in range(2))
    np.testing.assert_array_equal(model.predict_proba(rows), again.predict_proba(rows))
    loaded = load(dump_skops(model.estimator), "weak.skops", Checkpoint("weak"))
    assert loaded.classes == ("bad", "good")
    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
    assert (loaded.classes_[loaded.predict_proba(rows).argmax(axis=1)] == labels).all()


@pytest.mark.parametrize("classes", [2, 10, 33, 1000, 5000])
def test_buckets_are_a_power_of_two_that_keeps_the_model_small(classes: int) -> None:
    buckets = buckets_of(classes)
    assert buckets & (buckets - 1) == 0
    assert buckets == 1 << 10 or 2 * buckets * classes <= MOST_WEIGHTS


def test_features_that_are_all_alike_do_not_divide_by_zero() -> None:
    model = fit_weak(np.ones((4, 3), np.float32), ["a", "a", "a", "b"], seed=0)
    probabilities = model.predict_proba(np.ones((1, 3), np.float32))
    assert model.classes[probabilities.argmax()] == "a"
