"""What is said of a model beside its accuracy: how it grew with labels, what it confuses, what to expect."""

from collections import Counter
from typing import Any

import numpy as np

from hiveguard_pipeline.learning.judgement import interval_of_share

ENOUGH_LABELS = 500
"""With fewer labels a model says what to expect of it."""

_PARTS = (8, 4, 2)
_LEAST = 10


def learning_curve(
    rows: Any, labels: list[str], held_rows: Any, held_labels: Any, seed: int
) -> list[dict[str, int]]:
    """Right on the held-out items after an eighth, a quarter and half of the labels, the first ones.

    Empty without held-out items. Parts that are too small to train on are left out.
    """
    from hiveguard_pipeline.learning.models.weak import fit_weak

    points = []
    for part in _PARTS if len(held_labels) else ():
        count = len(labels) // part
        if count >= _LEAST and len(set(labels[:count])) > 1:
            model = fit_weak(rows[:count], labels[:count], seed)
            said = model.classes_[model.predict_proba(held_rows).argmax(axis=1)]
            right = int((said == held_labels).sum())
            points.append({"labels": count, "right": right, "of": len(held_labels)})
    return points


def confusion(truth: Any, said: Any) -> list[list[Any]]:
    """[true label, label said, items] of the held-out items, most items first."""
    counts = Counter(zip(map(str, truth), map(str, said), strict=True))
    return [[*pair, count] for pair, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))]


def confusion_shares(counts: list[list[Any]], most: int) -> tuple[list[str], list[list[float]]]:
    """The classes with most held-out items, and of each (rows) the share that was said to be each other."""
    totals: Counter[str] = Counter()
    for true, _, count in counts:
        totals[true] += count
    names = sorted(name for name, _ in totals.most_common(most))
    place = {name: position for position, name in enumerate(names)}
    table = np.zeros((len(names), len(names)))
    for true, said, count in counts:
        if true in place and said in place:
            table[place[true], place[said]] = count / totals[true]
    return names, table.tolist()


def expectation(used: int, right: int, held_out: int, curve: list[dict[str, int]]) -> str:
    """What a model of so many labels is good for, in words; empty from ENOUGH_LABELS on."""
    if used >= ENOUGH_LABELS:
        return ""
    low, high = interval_of_share(right, held_out)
    judged = (
        f"right on {right:,} of {held_out:,} held-out items, so between {low:.0%} and {high:.0%} of all"
        if held_out
        else "not judged: no label is held out yet"
    )
    grew = ""
    if len(curve) > 1:
        before, now = curve[-2], curve[-1]
        points = 100 * (now["right"] - before["right"]) / now["of"]
        grew = f"; from {before['labels']:,} to {now['labels']:,} labels it gained {points:.0f} points"
    return (
        f"trained on {used:,} labels, fewer than {ENOUGH_LABELS}: {judged}{grew}. Use it to choose what to"
        " ask, and read its proposals with care"
    )
