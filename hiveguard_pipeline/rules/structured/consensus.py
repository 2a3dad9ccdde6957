"""What n structured answers say together, and how far they agree with it.

Matching what several people drew and merging each match: Braylan, Marabella, Alonso and Lease, "A general
model for aggregating annotations across simple, complex, and multi-object annotation tasks", JAIR 78 (2023).
Boxes of all annotators are put into clusters, one box a person at most, so that the overlaps of 0.5 or more
within clusters are great in sum: each annotator's boxes in turn are assigned to the clusters of the others,
optimally, until nothing more is won (the optimum over three and more people at once is NP-hard: Karp,
"Reducibility among combinatorial problems", 1972). A cluster that more than half of the n drew is a box: the
median of its x, y, width and height, the label that most of them gave (of a tie the first as text), and
segmentation and attributes of the one with that label which overlaps the median most. Spans stand that more
than half marked alike, as a whole: the segment-level majority of Rodrigues, Pereira and Ribeiro, "Sequence
labeling with multiple annotators", Machine Learning 95 (2014). Classes likewise.

The result hangs on the answers, not on the order in which they came: they are taken in the order of their
texts.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.rules.structured.answer import Answer, Box, answer_text, ordered
from hiveguard_pipeline.rules.structured.matching import Pair, assigned, iou, matched, overlaps

_MOST_ROUNDS = 20


def consensus(answers: Sequence[Answer | None], part: str) -> tuple[Answer, int]:
    """What n answers say together, and their share: how far they agree with that, in millionths.

    None: an answer that cannot be read; it is one of the n, and marks nothing. part: what answers of the
    task type always speak of, `boxes` or `spans`.
    """
    readable = sorted((answer for answer in answers if answer is not None), key=answer_text)
    n = len(answers)

    boxes, spans, classes = (
        [getattr(answer, name) or () for answer in readable] for name in ("boxes", "spans", "classes")
    )
    label = ordered(_common_boxes(boxes, n), _majority(spans, n), _majority(classes, n)).of_task(part)
    return label, round(sum((_nearness(answer, label) for answer in readable), Fraction()) / n * ONE)


def _majority(marks: list[tuple[Any, ...]], n: int) -> list[Any]:
    counts = Counter(mark for own in marks for mark in own)
    return [mark for mark, count in counts.items() if 2 * count > n]


def _common_boxes(boxes: list[tuple[Box, ...]], n: int) -> list[Box]:
    return [_box_of(cluster) for cluster in _clusters(boxes) if 2 * len(cluster) > n]


def _clusters(boxes: list[tuple[Box, ...]]) -> list[list[Box]]:
    """Clusters of boxes, each with one of an annotator at most. boxes: those of each annotator."""
    near = _neighbours(boxes)
    cluster_of: dict[tuple[int, int], int] = {}
    free = 0
    for turn in range(_MOST_ROUNDS):
        moved = False
        for person, own in enumerate(boxes):
            mine = [(person, place) for place in range(len(own))]
            worth = _worth(mine, near, cluster_of)
            best = assigned(worth)
            if turn:
                now = {(place, cluster_of[mine[place]]) for place in range(len(mine))}
                if sum(value for *pair, value in worth if tuple(pair) in now) >= sum(w for _, _, w in best):
                    continue
                moved = True
            chosen = {place: cluster for place, cluster, _ in best}
            for place, box in enumerate(mine):
                cluster_of[box] = chosen.get(place, free)
                free += place not in chosen
        if turn and not moved:
            break
    found: dict[int, list[Box]] = {}
    for (person, place), cluster in cluster_of.items():
        found.setdefault(cluster, []).append(boxes[person][place])
    return list(found.values())


def _neighbours(boxes: list[tuple[Box, ...]]) -> dict[tuple[int, int], list[tuple[tuple[int, int], int]]]:
    """For each box, by annotator and place, the boxes of others that overlap it by 0.5 or more."""
    near: dict[tuple[int, int], list[tuple[tuple[int, int], int]]] = {}
    for first in range(len(boxes)):
        for second in range(first + 1, len(boxes)):
            for mine, theirs, overlap in overlaps(boxes[first], boxes[second]):
                near.setdefault((first, mine), []).append(((second, theirs), overlap))
                near.setdefault((second, theirs), []).append(((first, mine), overlap))
    return near


def _worth(
    mine: list[tuple[int, int]],
    near: dict[tuple[int, int], list[tuple[tuple[int, int], int]]],
    cluster_of: dict[tuple[int, int], int],
) -> list[Pair]:
    """What each of an annotator's boxes adds to each cluster of the others' boxes."""
    found: Counter[tuple[int, int]] = Counter()
    for place, box in enumerate(mine):
        for other, overlap in near.get(box, ()):
            if other in cluster_of:
                found[place, cluster_of[other]] += overlap
    return [(place, cluster, value) for (place, cluster), value in sorted(found.items())]


def _box_of(cluster: list[Box]) -> Box:
    counts = Counter(box.label for box in cluster)
    label = min(counts, key=lambda name: (-counts[name], name))
    x, y, width, height = (_median(side) for side in zip(*(box.bbox for box in cluster), strict=True))
    middle = Box(label, (x, y, width, height))
    alike = [box for box in cluster if box.label == label]
    nearest = min(alike, key=lambda box: (-iou(box, middle), box.text))
    return Box(label, middle.bbox, nearest.rest)


def _median(values: Sequence[float]) -> float:
    """The middle value; of two in the middle their mean, as exact as decimals are."""
    order = sorted(values)
    half = len(order) // 2
    if len(order) % 2:
        return order[half]
    return float((Decimal(repr(order[half - 1])) + Decimal(repr(order[half]))) / 2)


def _nearness(answer: Answer, label: Answer) -> Fraction:
    """How near an answer is to the consensus: 1 for the same, 0 for nothing in common.

    Of boxes the mean IoU of the matched ones, each that is not matched, on either side, counted as 0; of
    spans and classes the F1. Where there are several, each weighs as many as both mark of it.
    """
    parts: list[tuple[int, Fraction]] = []
    if answer.boxes or label.boxes:
        mine, theirs = answer.boxes or (), label.boxes or ()
        pairs = matched(mine, theirs)
        both = len(mine) + len(theirs)
        overlap = sum(value for _, _, value in pairs)
        parts.append((both, Fraction(overlap, ONE * (both - len(pairs)))))
    of_marks: list[Callable[[Answer], tuple[Any, ...] | None]] = [lambda a: a.spans, lambda a: a.classes]
    for marks in of_marks:
        own, others = set(marks(answer) or ()), set(marks(label) or ())
        if both := len(own) + len(others):
            parts.append((both, Fraction(2 * len(own & others), both)))
    whole = sum(weight for weight, _ in parts)
    return sum((weight * value for weight, value in parts), Fraction()) / whole if whole else Fraction(1)
