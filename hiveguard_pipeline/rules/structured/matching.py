"""How near two answers are: overlap of boxes, matching of boxes, F1 of all that they mark.

Overlap is intersection over union (IoU), a box matches at 0.5 or more: Everingham et al., "The Pascal Visual
Object Classes (VOC) Challenge", IJCV 88 (2010), section 4.2. Boxes are matched by an optimal assignment
(Crouse, "On implementing 2D rectangular assignment algorithms", IEEE TAES 52 (2016), as in scipy), not one
after the other: the most pairs, and of those assignments the one with the greatest IoU in sum. Weights are
whole numbers below 2**53, so the optimum is exact. F1 as agreement of two annotators: Hripcsak and
Rothschild, "Agreement, the F-measure, and reliability in information retrieval", JAMIA 12 (2005).
"""

from bisect import bisect_left
from collections.abc import Sequence

from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.rules.structured.answer import Answer, Box

Pair = tuple[int, int, int]
"""Positions in two lists, and what the pair is worth: IoU in millionths, or a sum of such."""


def iou(first: Box, second: Box) -> int:
    """Intersection over union in millionths, ties to even; boxes without area overlap only their equals."""
    inside, union = _areas(first, second)
    return _millionths(inside, union) if union else ONE * (first.edges == second.edges)


def overlaps(first: Sequence[Box], second: Sequence[Box]) -> list[Pair]:
    """All pairs of boxes whose IoU is at least 0.5, exactly, whatever their labels."""
    order = sorted(range(len(second)), key=lambda place: second[place].edges[0])
    begins = [second[place].edges[0] for place in order]
    found = []
    for mine, box in enumerate(first):
        left, _, right, _ = box.edges
        # At 0.5 or more the other is at most twice as wide, and begins within this one's width of it.
        reach = right - left
        for theirs in order[bisect_left(begins, left - reach) : bisect_left(begins, right + 1)]:
            inside, union = _areas(box, second[theirs])
            if (2 * inside >= union > 0) or box.edges == second[theirs].edges:
                found.append((mine, theirs, _millionths(inside, union)))
    return found


def matched(first: Sequence[Box], second: Sequence[Box]) -> list[Pair]:
    """Pairs of boxes of one label, each box in one pair at most: the most pairs, then the greatest IoU."""
    pairs = [pair for pair in overlaps(first, second) if first[pair[0]].label == second[pair[1]].label]
    return assigned(pairs, most_pairs=True)


def assigned(pairs: list[Pair], *, most_pairs: bool = False) -> list[Pair]:
    """The assignment among pairs that is worth most; most_pairs: of those with the most pairs."""
    chosen: list[Pair] = []
    for group in _connected(pairs):
        chosen += group if len(group) == 1 else _best(group, most_pairs)
    return chosen


def agrees(answer: Answer, label: Answer) -> bool:
    """Whether the F1 of two answers is at least 0.5: 2 matches / (marks of both), over all that they mark."""
    matches, marks = _matches(answer, label)
    return 4 * matches >= marks


def f1(answer: Answer, label: Answer) -> int:
    """The F1 of two answers in millionths, over all that they mark; two that mark nothing have 1."""
    matches, marks = _matches(answer, label)
    return _millionths(2 * matches, marks) if marks else ONE


def _matches(answer: Answer, label: Answer) -> tuple[int, int]:
    """What two answers have in common, and how many marks both have together."""
    found, marks = 0, 0
    if answer.boxes or label.boxes:
        mine, theirs = answer.boxes or (), label.boxes or ()
        marks += len(mine) + len(theirs)
        found += len(matched(mine, theirs))
    for part in ("spans", "classes"):
        own, others = set(getattr(answer, part) or ()), set(getattr(label, part) or ())
        marks += len(own) + len(others)
        found += len(own & others)
    return found, marks


def _areas(first: Box, second: Box) -> tuple[int, int]:
    """Intersection and union, in squares of the grid."""
    left, top, right, bottom = first.edges
    left_, top_, right_, bottom_ = second.edges
    across, down = min(right, right_) - max(left, left_), min(bottom, bottom_) - max(top, top_)
    inside = across * down if across > 0 and down > 0 else 0
    return inside, (right - left) * (bottom - top) + (right_ - left_) * (bottom_ - top_) - inside


def _millionths(part: int, whole: int) -> int:
    """part / whole, ties to even; two boxes without area that are compared are equal."""
    if whole == 0:
        return ONE
    quotient, rest = divmod(part * ONE, whole)
    return quotient + (2 * rest > whole or (2 * rest == whole and quotient % 2 == 1))


def _connected(pairs: list[Pair]) -> list[list[Pair]]:
    """Pairs in groups that share no box."""
    of_first: dict[int, list[Pair]] = {}
    of_second: dict[int, list[Pair]] = {}
    for pair in pairs:
        of_first.setdefault(pair[0], []).append(pair)
        of_second.setdefault(pair[1], []).append(pair)
    groups, seen = [], set()
    for start in of_first:
        if start in seen:
            continue
        seen.add(start)
        group, waiting, columns = [], [start], set()
        while waiting:
            for pair in of_first[waiting.pop()]:
                group.append(pair)
                if pair[1] in columns:
                    continue
                columns.add(pair[1])
                new = {row for row, _, _ in of_second[pair[1]]} - seen
                seen |= new
                waiting += sorted(new)
        groups.append(group)
    return groups


def _best(group: list[Pair], most_pairs: bool) -> list[Pair]:
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    rows, columns = sorted({pair[0] for pair in group}), sorted({pair[1] for pair in group})
    at_row = {row: place for place, row in enumerate(rows)}
    at_column = {column: place for place, column in enumerate(columns)}
    worth = np.zeros((len(rows), len(columns)))
    # With this much for each pair, one pair more outweighs any sum of overlaps.
    bonus = ONE * (min(worth.shape) + 1) if most_pairs else 0
    for row, column, value in group:
        worth[at_row[row], at_column[column]] = bonus + value
    chosen = zip(*linear_sum_assignment(worth, maximize=True), strict=True)
    value_of = {(row, column): value for row, column, value in group}
    found = ((rows[row], columns[column]) for row, column in chosen)
    return [(*pair, value_of[pair]) for pair in found if pair in value_of]
