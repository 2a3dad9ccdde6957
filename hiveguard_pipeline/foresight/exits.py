"""What becomes of items as more votes come: Monte Carlo over their answers, judged by the real rules.

Each item gets its own stream of further votes, drawn from the chances of its answers, and is folded. Of
this, how many votes it takes to its label and to its exit, and how the pool weighs it meanwhile, does not
hang on what other items get: the order in which votes come to items is laid over it afterwards (`order`).
"""

from dataclasses import dataclass

import numpy as np

from hiveguard_pipeline.foresight.answers import Floats
from hiveguard_pipeline.rules.arithmetic import Integers, States
from hiveguard_pipeline.rules.columns import Folded, Items, Votes
from hiveguard_pipeline.rules.fold import fold
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.selection import weights
from hiveguard_pipeline.rules.states import Kind, State

MOST_VOTES = 1_000
"""Further votes that an item is given at most; one that has not left by then is taken to stay."""

_VOTES_AT_ONCE = 256


@dataclass(slots=True)
class Pool:
    """Items of the pool as they stand after all votes there are: shapes (items,).

    waiting: each item's votes that are not applied (for an unlabeled item all it has), as slots, in
    arrival order. Labels are slots too: 0 for every item that has one.
    """

    items: Items
    waiting: Votes

    def __len__(self) -> int:
        return len(self.items.state)

    @property
    def unlabeled(self) -> States:
        """Whether an item is in tier 1; bool."""
        return np.asarray(self.items.state == State.UNLABELED)

    def only(self, chosen: Integers) -> "Pool":
        """Some of the items."""
        items = self.items
        return Pool(
            Items(
                items.label[chosen],
                items.confidence[chosen],
                items.vote_count[chosen],
                items.revalidation_vote_count[chosen],
                items.state[chosen],
            ),
            self.waiting.only(chosen),
        )


@dataclass(slots=True)
class Exits:
    """What further votes made of a pool in one draw.

    first: further votes up to the label, 0 for an item that has one; total: further votes up to the exit,
    or all that were given; state: where it ended; shapes (items,). An unlabeled item is given up at
    REVALIDATION_MIN_TOTAL_VOTES votes (reviewers find it as `no_majority`) and stays unlabeled. weight:
    the weight in tier 2 under which each vote after the label was asked for, by item, shape
    (sum of total - first,).
    """

    first: Integers
    total: Integers
    state: States
    weight: Floats


def draw_exits(
    pool: Pool, shares: Floats, policy: Policy, lumped: bool, random: np.random.Generator
) -> Exits:
    """Give each item further votes until it leaves the pool. shares: shape (items, slots), of answers."""
    count, given_up = len(pool), max(policy.revalidation_min_total_votes, policy.consensus_threshold)
    first, total = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    state = pool.items.state.copy()
    owners: list[Integers] = []
    asked: list[Floats] = []
    left, now, size = np.arange(count), pool, min(policy.revalidation_min_total_votes, _VOTES_AT_ONCE)
    while len(left):
        held = np.diff(now.waiting.offsets)
        more = np.where(now.unlabeled, np.maximum(given_up - held, 0), size)
        stream = _followed(now.waiting, more, shares[left], lumped, random)
        done = fold(stream, now.items, policy)
        after = done.items.state
        stays = (after == State.IN_REVALIDATION) | (after == State.UNLABELED)
        used = np.where(stays, more, done.applied - held)
        unlabeled = np.where(now.unlabeled, done.items.vote_count - held, 0)
        opened = np.where(after == State.UNLABELED, used, unlabeled)
        first[left] += opened
        total[left] += used
        state[left] = after
        owner, weight = _asked(now, done, held + opened, held + used, policy)
        owners.append(left[owner])
        asked.append(weight)

        goes_on = np.flatnonzero((after == State.IN_REVALIDATION) & (total[left] < MOST_VOTES))
        now = Pool(done.items, _rest(stream, done.applied)).only(goes_on)
        left, size = left[goes_on], min(2 * size, _VOTES_AT_ONCE)
    order = np.argsort(np.concatenate(owners), kind="stable") if owners else np.empty(0, dtype=np.int64)
    return Exits(first, total, state, np.concatenate(asked)[order] if asked else np.empty(0))


def _followed(
    waiting: Votes, more: Integers, shares: Floats, lumped: bool, random: np.random.Generator
) -> Votes:
    """Each item's waiting votes and `more` new ones after them."""
    held, slots = np.diff(waiting.offsets), shares.shape[1]
    upto = np.cumsum(shares, axis=1)
    item = np.repeat(np.arange(len(more)), more)
    drawn = random.random(len(item))
    answer = np.zeros(len(item), dtype=np.int32)
    for slot in range(slots - 1):
        answer += drawn > upto[item, slot]
    if lumped:  # answers without a slot of their own: no two alike
        lump = np.flatnonzero(answer == slots - 1)
        answer[lump] += np.arange(len(lump), dtype=np.int32)
    offsets = np.concatenate(([0], np.cumsum(held + more)))
    answers = np.empty(offsets[-1], dtype=np.int32)
    answers[_places(offsets[:-1], held)] = waiting.answers
    answers[_places(offsets[:-1] + held, more)] = answer
    return Votes(offsets, answers)


def _places(begins: Integers, counts: Integers) -> Integers:
    """begins[0], begins[0] + 1, ... counts[0] of them; then from begins[1]; ..."""
    return np.asarray(np.arange(counts.sum()) + np.repeat(begins - (np.cumsum(counts) - counts), counts))


def _rest(stream: Votes, applied: Integers) -> Votes:
    """The votes after each item's applied ones."""
    counts = np.diff(stream.offsets) - applied
    places = _places(stream.offsets[:-1] + applied, counts)
    return Votes(np.concatenate(([0], np.cumsum(counts))), stream.answers[places])


def _asked(
    before: Pool, done: Folded, begin: Integers, end: Integers, policy: Policy
) -> tuple[Integers, Floats]:
    """The item and weight of each vote at positions [begin, end) of its item's stream: those after the label.

    The weight is that of the item as it stood before the vote's batch.
    """
    size, ledger, after = policy.revalidation_min_votes, done.ledger, done.items
    item = np.repeat(np.arange(len(begin)), end - begin)
    opening = np.where(before.unlabeled, after.vote_count, 0)
    batch = (_places(begin, end - begin) - opening[item]) // size
    batches = (done.applied - opening) // size
    rows = np.flatnonzero(ledger.kind == Kind.REVALIDATION)
    opens = np.searchsorted(ledger.item[rows], np.arange(len(begin)))
    confidence = after.confidence[item]
    applied = np.flatnonzero(batch < batches[item])
    row = rows[(opens[item] + batch)[applied]]
    confidence[applied] = ledger.confidence_before[row]
    had = np.where(before.unlabeled, 0, before.items.vote_count + before.items.revalidation_vote_count)
    return item, weights(confidence, (had + opening)[item] + batch * size, policy)
