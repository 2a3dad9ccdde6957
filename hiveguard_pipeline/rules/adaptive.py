"""Adaptive graduation: an item leaves the pool when the calibrated probability of its label says so.

After each vote from the ADAPTIVE_MIN_VOTES-th on, in order: at ADAPTIVE_TARGET_PROBABILITY the item
graduates; where not even ADAPTIVE_MAX_VOTES votes could be expected to bring it there it goes to review;
else it waits for the next vote. Where the calibration lets no item reach the target, items go to review at
ADAPTIVE_MAX_VOTES alone. (A sequential test in the sense of Wald 1945, Sequential tests of
statistical hypotheses, Annals of Mathematical Statistics 16, with the expected course of the votes to come
in place of his second limit.)

The label is the likeliest class at each step. Under one calibration the outcome depends on the votes and
their order alone: each vote is a row of the ledger, but for the first ones, which make one row.
"""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.rules.arithmetic import Codes, Integers, Mask, States, share
from hiveguard_pipeline.rules.calibrated import Calibrator, Reals, after_each_vote, opinions
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE, NO_LABEL, Items, Votes
from hiveguard_pipeline.rules.policy import ONE, Policy
from hiveguard_pipeline.rules.states import Kind, State


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a calibration knows of a dataset but for single solvers.

    log_prior: ln P(class), shape (classes,). log_pooled: ln P(answer | class) of the whole crowd, shape
    (answers, classes).
    """

    calibrator: Calibrator
    log_prior: Reals
    log_pooled: Reals


@dataclass(slots=True)
class Steps:
    """Where an item stands after each vote; all of shape (votes,).

    label: the likeliest class, the first of equals. probability: of it, in millionths. agree: how many of
    the votes so far give it; confidence: their share, in millionths. state: what the policy makes of it;
    UNLABELED while there are too few votes.
    """

    label: Codes
    probability: Integers
    agree: Integers
    confidence: Integers
    state: States


@dataclass(slots=True)
class AdaptiveLedger:
    """Rows that the fold adds to the ledger, by item, then in order; as columns.Ledger has them.

    first, last: positions in Votes.answers. agree, disagree: of the row's own votes, with its label.
    probability: in millionths.
    """

    item: Integers
    kind: States
    first: Integers
    last: Integers
    agree: Integers
    disagree: Integers
    label: Codes
    confidence_before: Integers
    confidence_after: Integers
    state_after: States
    probability: Integers
    opens: Mask

    def __len__(self) -> int:
        return len(self.item)


@dataclass(slots=True)
class AdaptivelyFolded:
    """What a fold did: the items after it, the ledger rows, and how many votes of each item it applied."""

    items: Items
    ledger: AdaptiveLedger
    applied: Integers


def adaptive_fold(
    votes: Votes, items: Items, evidence: Reals, knowledge: Knowledge, policy: Policy
) -> AdaptivelyFolded:
    """Apply to each item of the pool the votes after those that were applied, up to its exit.

    votes: all votes of each item, from its first one on. evidence: ln P(this vote | class), shape (votes,
    classes). Items out of the pool are left alone. Folding a stream in parts gives the same items and
    ledger as folding it whole.
    """
    taken = items.vote_count + items.revalidation_vote_count
    found = steps(votes, evidence, knowledge, policy)
    starts = votes.offsets[:-1] + taken
    begin = np.maximum(starts, votes.offsets[:-1] + policy.adaptive_min_votes - 1)
    end = first_exit(votes, found.state, begin)
    in_pool = (items.state == State.UNLABELED) | (items.state == State.IN_REVALIDATION)
    several = evidence.shape[1] > 1  # of one class alone nothing can be told
    rows = np.where(in_pool & several, np.maximum(end - begin + 1, 0), 0)
    ledger = _rows(votes, items, found, starts, begin, rows)
    return _folded(items, ledger, found, rows, end, votes)


def settle(
    votes: Votes, items: Items, evidence: Reals, knowledge: Knowledge, policy: Policy
) -> AdaptivelyFolded:
    """Decide items that are to go to a person once more, from all their votes; graduates what that settles.

    What is not settled stays as it is, and its waiting votes wait. A row may take no votes: then its first
    lies one past its last, the newest vote that was applied before.
    """
    found = steps(votes, evidence, knowledge, policy)
    taken = items.vote_count + items.revalidation_vote_count
    last = votes.offsets[1:] - 1
    flagged = np.flatnonzero((items.state == State.NEEDS_REVIEW) & (last >= votes.offsets[:-1]))
    item = flagged[found.state[last[flagged]] == State.GRADUATED]
    end, first = last[item], votes.offsets[item] + taken[item]
    agree = _agreeing(votes, first, end + 1, found.label[end])
    ledger = AdaptiveLedger(
        item=item,
        kind=np.full(len(item), Kind.SETTLED, dtype=np.uint8),
        first=first,
        last=end,
        agree=agree,
        disagree=end - first + 1 - agree,
        label=found.label[end],
        confidence_before=items.confidence[item],
        confidence_after=found.confidence[end],
        state_after=found.state[end],
        probability=found.probability[end],
        opens=np.zeros(len(item), dtype=bool),
    )
    rows = np.bincount(item, minlength=len(taken))
    return _folded(items, ledger, found, rows, last, votes)


def _rows(
    votes: Votes, items: Items, found: Steps, starts: Integers, begin: Integers, rows: Integers
) -> AdaptiveLedger:
    item = np.repeat(np.arange(len(rows)), rows)
    opening = np.cumsum(rows) - rows
    last = np.repeat(begin - opening, rows) + np.arange(len(item))
    first = last.copy()
    heads = np.flatnonzero(rows)
    first[opening[heads]] = starts[heads]
    label = found.label[last]
    agree = (votes.answers[last] == label).astype(np.int64)
    head = opening[heads]
    agree[head] = _agreeing(votes, starts[heads], begin[heads] + 1, label[head])
    before = np.empty(len(item), dtype=np.int64)
    before[1:] = found.confidence[last[:-1]]
    before[head] = items.confidence[heads]
    opens = np.zeros(len(item), dtype=bool)
    opens[head] = items.label[heads] == NO_LABEL
    return AdaptiveLedger(
        item=item,
        kind=np.full(len(item), Kind.ADAPTIVE, dtype=np.uint8),
        first=first,
        last=last,
        agree=agree,
        disagree=last - first + 1 - agree,
        label=label,
        confidence_before=before,
        confidence_after=found.confidence[last],
        state_after=found.state[last],
        probability=found.probability[last],
        opens=opens,
    )


def _folded(
    items: Items, ledger: AdaptiveLedger, found: Steps, rows: Integers, end: Integers, votes: Votes
) -> AdaptivelyFolded:
    moved = np.flatnonzero(rows)
    final = end[moved]
    after = Items(
        label=items.label.copy(),
        confidence=items.confidence.copy(),
        vote_count=items.vote_count.copy(),
        revalidation_vote_count=items.revalidation_vote_count.copy(),
        state=items.state.copy(),
    )
    after.label[moved], after.confidence[moved] = found.label[final], found.confidence[final]
    after.state[moved] = found.state[final]
    head = np.cumsum(rows)[moved] - rows[moved]
    before = items.vote_count[moved] + items.revalidation_vote_count[moved]
    applied = np.zeros(len(rows), dtype=np.int64)
    applied[moved] = final + 1 - votes.offsets[moved] - before
    first_ones = np.where(before == 0, ledger.last[head] - ledger.first[head] + 1, 0)
    after.vote_count[moved] += first_ones
    after.revalidation_vote_count[moved] += applied[moved] - first_ones
    return AdaptivelyFolded(after, ledger, applied)


def _agreeing(votes: Votes, start: Integers, end: Integers, label: Codes) -> Integers:
    """How many votes of start:end give a label; shapes (n,)."""
    counts = end - start
    row = np.repeat(np.arange(len(start)), counts)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts) + start[row]
    return np.bincount(row[votes.answers[place] == label[row]], minlength=len(start)).astype(np.int64)


def steps(votes: Votes, evidence: Reals, knowledge: Knowledge, policy: Policy) -> Steps:
    """Judge items after each of their votes. votes: all votes of each item, from its first one on.

    evidence: ln P(this vote | class), shape (votes, classes).
    """
    likelihood, counts = after_each_vote(votes.offsets, votes.answers, evidence)
    rows = np.arange(len(votes.answers))
    many = rows + 1 - np.repeat(votes.offsets[:-1], np.diff(votes.offsets))
    if evidence.shape[1] < 2:  # no choice has been seen yet: nothing is known
        none = np.zeros(len(rows), dtype=np.int64)
        blank = np.full(len(rows), NO_CONFIDENCE)
        return Steps(np.full(len(rows), NO_LABEL, np.int32), none, none, blank, none.astype(np.uint8))
    label, probability = knowledge.calibrator.likeliest(opinions(likelihood, knowledge.log_prior, counts))
    held = np.rint(probability * ONE).astype(np.int64)
    agree = counts[rows, label].astype(np.int64)
    state = np.full(len(rows), State.IN_REVALIDATION, dtype=np.uint8)
    short = np.flatnonzero((held < policy.adaptive_target_probability) & (many >= policy.adaptive_min_votes))
    best = _expected(likelihood[short], counts[short], many[short], label[short], knowledge, policy)
    hopeless = best < policy.adaptive_target_probability
    # A target that no votes reach under this calibration says nothing of an item: it waits for a better one.
    if not _within_reach(knowledge, policy):
        hopeless = many[short] >= policy.adaptive_max_votes
    state[short[hopeless]] = State.NEEDS_REVIEW
    state[held >= policy.adaptive_target_probability] = State.GRADUATED
    state[many < policy.adaptive_min_votes] = State.UNLABELED
    return Steps(label, held, agree, share(agree, many), state)


def _expected(
    likelihood: Reals, counts: Reals, many: Integers, label: Codes, knowledge: Knowledge, policy: Policy
) -> Integers:
    """The label's probability after ADAPTIVE_MAX_VOTES votes, in millionths, if it is right.

    The votes to come are those that the whole crowd gives on its class, as shares of a vote.
    """
    left = np.maximum(policy.adaptive_max_votes - many, 0)
    coming = np.exp(knowledge.log_pooled)[:, label].T * left[:, None]
    probability = knowledge.calibrator.probability(
        opinions(likelihood + coming @ knowledge.log_pooled, knowledge.log_prior, counts + coming)
    )
    return np.asarray(np.rint(probability[np.arange(len(label)), label] * ONE).astype(np.int64))


def _within_reach(knowledge: Knowledge, policy: Policy) -> bool:
    """Whether ADAPTIVE_MAX_VOTES votes that all agree would bring an item of any class to the target."""
    classes = len(knowledge.log_prior)
    counts = np.eye(classes) * policy.adaptive_max_votes
    agreed = opinions(counts @ knowledge.log_pooled, knowledge.log_prior, counts)
    _, probability = knowledge.calibrator.likeliest(agreed)
    return bool(np.rint(probability.max() * ONE) >= policy.adaptive_target_probability)


def first_exit(votes: Votes, state: States, begin: Integers) -> Integers:
    """The position at which each item leaves the pool, or that of its last vote; shape (items,).

    begin: of each item, the position of the first vote that may decide, from its first vote on.
    """
    decides = (state == State.GRADUATED) | (state == State.NEEDS_REVIEW)
    place = np.append(np.flatnonzero(decides), len(state))
    found = place[np.searchsorted(place[:-1], begin)]
    return np.asarray(np.minimum(found, votes.offsets[1:] - 1))
