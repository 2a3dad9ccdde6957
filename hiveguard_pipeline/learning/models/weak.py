"""The weak model: logistic regression on the features of a dataset, the same for the same labels and seed.

It needs no download and no graphics card, and its probabilities are good enough to choose by. What it is not
is a model to deploy.
"""

from typing import Any

import numpy as np

from hiveguard_pipeline.learning.extras import needed
from hiveguard_pipeline.learning.models.loaded import Loaded

PENALTY = 1.0
"""scikit-learn's C for dense features; n-grams of unit length take more."""
PENALTY_OF_NGRAMS = 20.0

LENGTH = 64
"""On digits, 16 to 256 come out alike; 4 and 1,024 do worse."""

MOST_ITERATIONS = 100
TOLERANCE = 1e-3
"""Of the gradient: a weak model needs no more."""

MOST_WEIGHTS = 1 << 22
MOST_BUCKETS, LEAST_BUCKETS = 1 << 16, 1 << 10


def buckets_of(classes: int) -> int:
    """How many buckets each half of the n-grams gets, so that weights stay within 32 MB: a power of two."""
    fitting = MOST_WEIGHTS // (2 * max(classes, 1))
    return max(LEAST_BUCKETS, min(MOST_BUCKETS, 1 << (fitting.bit_length() - 1)))


def fit_weak(rows: Any, labels: list[str], seed: int) -> Loaded:
    """A model of these labels. rows: dense or sparse, shape (n, d); at least two different labels."""
    from scipy.sparse import issparse

    # Measured: on n-grams two threads take three times the processor time of one.
    with needed("threadpoolctl").threadpool_limits(1):
        if issparse(rows):
            linear = _fitted_to_seen(rows, np.array(labels), seed)
            steps = []
        else:
            scaler = _scaled(rows)
            linear = _logistic(PENALTY, seed).fit(scaler.transform(rows), np.array(labels))
            steps = [("scaled", scaler)]
    model = needed("sklearn.pipeline").Pipeline([*steps, ("linear", linear)])
    return Loaded(tuple(map(str, linear.classes_)), model.predict_proba, model)


def _fitted_to_seen(rows: Any, labels: Any, seed: int) -> Any:
    """Logistic regression over the columns that these rows have at all: the weights of all others are 0.

    That is what the penalty makes of them anyway, and of hashed n-grams few buckets are met.
    """
    seen = np.unique(rows.indices)
    linear = _logistic(PENALTY_OF_NGRAMS, seed).fit(rows[:, seen], labels)
    weights = np.zeros((len(linear.coef_), rows.shape[1]), dtype=np.float32)
    weights[:, seen] = linear.coef_
    linear.coef_, linear.n_features_in_ = weights, rows.shape[1]
    return linear


def _logistic(penalty: float, seed: int) -> Any:
    return needed("sklearn.linear_model").LogisticRegression(
        C=penalty, max_iter=MOST_ITERATIONS, tol=TOLERANCE, random_state=seed
    )


def _scaled(rows: Any) -> Any:
    """Columns with mean 0, all scaled as one, so that the mean square length of a row is LENGTH.

    One scale for all: to scale each column by itself makes the dead pixels of a margin as loud as the rest.
    """
    scaler = needed("sklearn.preprocessing").StandardScaler().fit(rows)
    scaler.scale_ = np.full_like(scaler.scale_, np.sqrt(scaler.var_.sum() / LENGTH) or 1.0)
    return scaler
