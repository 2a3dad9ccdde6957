"""How many labels a strategy needs: `python -m benchmarks.measured.active WHO TASK STRATEGY BATCH UPTO SEEDS
[TRAIN]`.

WHO is `ours` or `skactiveml`. For each seed 30% of a task are held out, 20 items of the rest have labels, and
the strategy picks BATCH at a time from what is left, until there are UPTO labels. The model that picks is
trained anew when TRAIN labels came since (0: after each batch); the accuracy on what is held out is that of a
model trained on all labels. Prints the numbers of labels, and the accuracy at each by seed.
"""

import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measured.tasks import TASKS, Task

START, HELD_OUT, COMMITTEE = 20, 0.3, 5
Picker = Callable[[Task, Any, np.ndarray[Any, Any], np.ndarray[Any, Any], int, int], Any]
"""Task, fitted model, labelled items, pool, how many, seed -> positions in the pool."""


def ours(strategy: str) -> Picker:
    """A strategy of the library; `uncertainty:entropy` names the method too."""
    from hiveguard_pipeline.learning.selection import select

    name, _, method = strategy.partition(":")

    def pick(task: Task, model: Any, known: Any, pool: Any, n: int, seed: int) -> Any:
        given: dict[str, Any] = {"pool": len(pool)}
        if name in ("uncertainty", "hybrid"):
            given["probabilities"] = model.predict_proba(task.features[pool])
        if name in ("diversity", "hybrid"):
            given.update(embedding=task.places[pool], labelled_embedding=task.places[known])
        if name == "committee":
            given["committee"] = _committee(task, known, pool, seed)
        ties = np.random.default_rng(seed).permutation(len(pool))
        return select(name, n, **given, method=method or None, seed=seed, ties=ties).positions

    return pick


def skactiveml(strategy: str) -> Picker:
    """A strategy of scikit-activeml."""
    from skactiveml import pool as strategies
    from skactiveml.classifier import SklearnClassifier
    from sklearn.ensemble import BaggingClassifier

    def pick(task: Task, model: Any, known: Any, pool: Any, n: int, seed: int) -> Any:
        del model  # its strategies train their own
        every = np.concatenate([known, pool])
        classes = np.unique(task.truth)
        truth = np.concatenate([task.truth[known].astype(float), np.full(len(pool), np.nan)])
        places = task.places[every]
        classifier = SklearnClassifier(task.model(), classes=classes, random_state=seed)
        if strategy == "QueryByCommittee":
            query = strategies.QueryByCommittee(method="vote_entropy", random_state=seed)
            bagged = BaggingClassifier(task.model(), n_estimators=COMMITTEE, random_state=seed)
            ensemble = SklearnClassifier(bagged, classes=classes, random_state=seed)
            found = query.query(X=task.features[every], y=truth, ensemble=ensemble, batch_size=n)
        elif strategy == "UncertaintySampling":
            query = strategies.UncertaintySampling(method="margin_sampling", random_state=seed)
            found = query.query(X=task.features[every], y=truth, clf=classifier, batch_size=n)
        elif strategy == "Badge":
            query = strategies.Badge(random_state=seed)
            found = query.query(X=places, y=truth, clf=classifier, batch_size=n)
        else:
            query = getattr(strategies, strategy)(random_state=seed)
            found = query.query(X=places, y=truth, batch_size=n)
        return np.asarray(found) - len(known)

    return pick


def curve(
    task: Task, pick: Picker, batch: int, upto: int, seed: int, train: int = 0
) -> list[tuple[int, float]]:
    """Labels and accuracy, from the start to `upto` labels."""
    from sklearn.model_selection import train_test_split

    rest, held_out = train_test_split(
        np.arange(len(task.truth)), test_size=HELD_OUT, random_state=seed, stratify=task.truth
    )
    rest = np.random.default_rng(seed).permutation(rest)
    known, pool = rest[:START], rest[START:]
    points, picking, trained_at = [], None, 0
    while True:
        model = task.model().fit(task.features[known], task.truth[known])
        right = model.predict(task.features[held_out]) == task.truth[held_out]
        points.append((len(known), float(right.mean())))
        if len(known) >= upto:
            return points
        if picking is None or len(known) - trained_at >= train:
            picking, trained_at = model, len(known)
        chosen = pick(task, picking, known, pool, min(batch, upto - len(known)), seed)
        known, pool = np.concatenate([known, pool[chosen]]), np.delete(pool, chosen)


def _committee(task: Task, known: Any, pool: Any, seed: int) -> list[Any]:
    """The probabilities of models that each learnt from labels drawn with putting back."""
    from hiveguard_pipeline.learning.model_answers import committee_of

    random = np.random.default_rng(seed)
    models = []
    while len(models) < COMMITTEE:
        drawn = random.choice(known, len(known))
        if len(np.unique(task.truth[drawn])) > 1:
            models.append(task.model().fit(task.features[drawn], task.truth[drawn]))
    return committee_of(models, task.features[pool])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    who, name, strategy, batch, upto, seeds = sys.argv[1:7]
    task, pick = TASKS[name](), {"ours": ours, "skactiveml": skactiveml}[who](strategy)
    train = int(sys.argv[7]) if len(sys.argv) > 7 else 0
    curves = [curve(task, pick, int(batch), int(upto), seed, train) for seed in range(int(seeds))]
    labels = [count for count, _ in curves[0]]
    print(json.dumps({"labels": labels, "accuracy": [[found for _, found in one] for one in curves]}))
