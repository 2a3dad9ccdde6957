"""Structured answers read from the design, in plain loops and fractions; nothing of the library is used.

Good for few boxes: assignments are tried out, all of them. Clusters are told by objects that lie apart.
"""

import json
from collections import Counter
from fractions import Fraction
from itertools import permutations
from statistics import median
from typing import Any

Marks = dict[str, Any]


def read(text: str) -> Marks:
    return dict(json.loads(text))


def readable(text: str) -> bool:
    return text.startswith("{") and text.endswith("}")


def agrees(text: str, label: str) -> bool:
    """A text that is no answer agrees with nothing."""
    return readable(text) and readable(label) and f1(read(text), read(label)) >= Fraction(1, 2)


def edges(box: Marks) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    x, y, w, h = (Fraction(repr(float(value))) for value in box["bbox"])
    return x, y, x + w, y + h


def iou(a: Marks, b: Marks) -> Fraction:
    left, top, right, bottom = edges(a)
    left_, top_, right_, bottom_ = edges(b)
    inside = max(min(right, right_) - max(left, left_), Fraction(0)) * max(
        min(bottom, bottom_) - max(top, top_), Fraction(0)
    )
    union = (right - left) * (bottom - top) + (right_ - left_) * (bottom_ - top_) - inside
    return inside / union


def best(a: list[Marks], b: list[Marks]) -> tuple[int, Fraction]:
    """The most pairs, and the greatest IoU, in millionths, in sum of so many: over every way to pair them."""
    if len(a) > len(b):
        a, b = b, a
    found = (0, Fraction(0))
    for chosen in permutations(range(len(b)), len(a)):
        values = [
            iou(mine, b[other])
            for mine, other in zip(a, chosen, strict=True)
            if mine["label"] == b[other]["label"]
        ]
        good = [value for value in values if value >= Fraction(1, 2)]
        millionths = [Fraction(round(value * 10**6), 10**6) for value in good]
        found = max(found, (len(good), sum(millionths, Fraction(0))))
    return found


def _keys(marks: Marks, part: str) -> set[Any]:
    return {json.dumps(mark, sort_keys=True) for mark in marks.get(part, [])}


def f1(a: Marks, b: Marks) -> Fraction:
    same = best(a.get("boxes", []), b.get("boxes", []))[0]
    every = len(a.get("boxes", [])) + len(b.get("boxes", []))
    for part in ("spans", "classes"):
        same += len(_keys(a, part) & _keys(b, part))
        every += len(_keys(a, part)) + len(_keys(b, part))
    return Fraction(2 * same, every) if every else Fraction(1)


def consensus(texts: list[str], part: str) -> tuple[Marks, Fraction]:
    """The label of n answers and its share, before that is rounded."""
    answers, n = [read(text) for text in texts if readable(text)], len(texts)
    groups: list[list[Marks]] = []
    for answer in answers:
        for box in answer.get("boxes", []):
            near = [group for group in groups if any(iou(box, other) >= Fraction(1, 2) for other in group)]
            groups = [group for group in groups if group not in near] + [
                [box, *(other for group in near for other in group)]
            ]
    label: Marks = {part: []}
    for group in groups:
        if 2 * len(group) > n:
            names = Counter(box["label"] for box in group)
            name = min(names, key=lambda one: (-names[one], one))
            sides = [[Fraction(repr(float(box["bbox"][k]))) for box in group] for k in range(4)]
            label.setdefault("boxes", []).append(
                {"label": name, "bbox": [float(median(side)) for side in sides]}
            )
    for kind in ("spans", "classes"):
        counts = Counter(key for answer in answers for key in _keys(answer, kind))
        kept = [json.loads(key) for key, count in counts.items() if 2 * count > n]
        if kept or kind == part:
            label[kind] = kept
    return label, sum((nearness(answer, label) for answer in answers), Fraction(0)) / n


def nearness(answer: Marks, label: Marks) -> Fraction:
    mine, theirs = answer.get("boxes", []), label.get("boxes", [])
    pairs, overlap = best(mine, theirs)
    parts = [(len(mine) + len(theirs), overlap, len(mine) + len(theirs) - pairs)]
    for kind in ("spans", "classes"):
        both = len(_keys(answer, kind)) + len(_keys(label, kind))
        parts.append((both, Fraction(2 * len(_keys(answer, kind) & _keys(label, kind))), both))
    weight = sum(many for many, _, _ in parts)
    if not weight:
        return Fraction(1)
    return sum((Fraction(many) * part / whole for many, part, whole in parts if whole), Fraction(0)) / weight
