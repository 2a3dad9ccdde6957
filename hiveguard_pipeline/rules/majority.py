"""The first pass: the earliest majority among an item's votes."""

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers, share
from hiveguard_pipeline.rules.columns import NO_LABEL, FirstPasses, Votes


def first_pass(votes: Votes, threshold: int, era: Integers | None = None) -> FirstPasses:
    """The earliest prefix of n >= threshold votes in which one answer holds more than half.

    Where a judge says what agreeing means, it says what a first label is as well; era: of each item.
    """
    if votes.judge is not None:
        return votes.judge.first_passes(votes, threshold, era)
    starts, counts = votes.offsets[:-1], np.diff(votes.offsets)
    prefix = np.zeros(len(counts), dtype=np.int64)
    label = np.full(len(counts), NO_LABEL, dtype=np.int32)
    agree = np.zeros(len(counts), dtype=np.int64)

    ready = np.flatnonzero(counts >= threshold)
    candidate, held = _majority_candidate(votes.answers, starts[ready], threshold)
    won = 2 * held > threshold
    decided = ready[won]
    prefix[decided], label[decided], agree[decided] = threshold, candidate[won], held[won]

    waiting = ready[~won & (counts[ready] > threshold)]
    if len(waiting):
        _later_majority(votes, waiting, threshold, prefix, label, agree)
    return FirstPasses(prefix, label, agree, share(agree, np.maximum(prefix, 1)))


def _majority_candidate(answers: Codes, starts: Integers, length: int) -> tuple[Codes, Integers]:
    """The one answer that can hold more than half of `length` votes, and how many it holds.

    Boyer and Moore, "MJRTY: a fast majority vote algorithm" (1981), over all items a vote at a time.
    """
    prefix = answers.take(starts + np.arange(length)[:, np.newaxis])
    candidate = prefix[0]
    lead = np.ones(len(starts), dtype=np.int32)
    for answer in prefix[1:]:
        candidate = np.where(lead == 0, answer, candidate)
        lead += np.where(answer == candidate, np.int32(1), np.int32(-1))
    return candidate, (prefix == candidate).sum(axis=0, dtype=np.int64)


def _later_majority(
    votes: Votes, items: Integers, threshold: int, prefix: Integers, label: Codes, agree: Integers
) -> None:
    """First passes that end beyond the threshold; fills prefix, label and agree at `items`.

    Where a prefix of n - 1 votes has no majority, only the n-th vote's answer can hold one at n: it is
    reached at the first vote whose running count of its own answer is more than half its position.
    """
    counts = votes.offsets[items + 1] - votes.offsets[items]
    item = np.repeat(np.arange(len(items)), counts)
    begin = np.repeat(np.cumsum(counts) - counts, counts)
    position = np.arange(len(item)) - begin
    answer = votes.answers[np.repeat(votes.offsets[items], counts) + position]

    group = item * (int(answer.max()) + 1) + answer
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    opens = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    sizes = np.diff(np.append(opens, len(ordered)))
    running = np.empty(len(order), dtype=np.int64)
    running[order] = np.arange(len(order)) - np.repeat(opens, sizes) + 1

    hits = np.flatnonzero((position >= threshold) & (2 * running > position + 1))
    reached, first = np.unique(item[hits], return_index=True)
    hit = hits[first]
    prefix[items[reached]] = position[hit] + 1
    label[items[reached]] = answer[hit]
    agree[items[reached]] = running[hit]
