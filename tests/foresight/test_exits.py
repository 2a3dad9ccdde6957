"""Exits: by hand where answers are certain, and like one item and one vote at a time where they are not."""

import numpy as np
import pytest

from hiveguard_pipeline.foresight.exits import Exits, Pool, draw_exits
from hiveguard_pipeline.foresight.order import as_given, served
from hiveguard_pipeline.rules.columns import Items, Votes
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import STATES, State
from tests.rules.oracle import Item


def _pool(count: int, waiting: list[int], label: bool = False) -> Pool:
    """Items with the same waiting votes: unlabeled, or labelled 0 at 2 of 3."""
    items = Items.unlabeled(count)
    if label:
        items = Items(
            np.zeros(count, dtype=np.int32),
            np.full(count, 666_667),
            np.full(count, 3),
            np.zeros(count, dtype=np.int64),
            np.full(count, State.IN_REVALIDATION, dtype=np.uint8),
        )
    offsets = np.arange(count + 1) * len(waiting)
    return Pool(items, Votes(offsets, np.tile(np.array(waiting, dtype=np.int32), count)))


def _exits(pool: Pool, shares: list[float], seed: int = 1, lumped: bool = False) -> Exits:
    chances = np.tile(np.array(shares), (len(pool), 1))
    return draw_exits(pool, chances, Policy(), lumped, np.random.default_rng(seed))


def test_a_unanimous_crowd_graduates_an_item_at_its_fifteenth_vote() -> None:
    exits = _exits(_pool(2, [0, 0]), [1.0, 0.0])
    assert (exits.first.tolist(), exits.total.tolist()) == ([1, 1], [13, 13])
    assert exits.state.tolist() == [State.GRADUATED] * 2
    # Weights: 12 missing votes of 15, then 9, 6, 3.
    assert exits.weight.tolist() == pytest.approx(2 * (3 * [0.8] + 3 * [0.6] + 3 * [0.4] + 3 * [0.2]))


def test_a_crowd_that_disagrees_flags_an_item_and_votes_that_wait_count() -> None:
    exits = _exits(_pool(1, [0], label=True), [0.0, 1.0])
    # 0.67 + 0.05 - 2 * 0.05 = 0.62; the next three lead under the floor.
    assert (exits.total.tolist(), exits.state.tolist()) == ([5], [State.NEEDS_REVIEW])
    assert exits.weight.tolist() == pytest.approx(2 * [0.8] + 3 * [0.6])


def test_answers_that_no_two_share_find_no_majority() -> None:
    exits = _exits(_pool(3, []), [0.0, 1.0], lumped=True)
    assert exits.state.tolist() == [State.UNLABELED] * 3
    assert exits.first.tolist() == exits.total.tolist() == [15] * 3
    assert np.isinf(served(exits, np.zeros(3, dtype=np.int64), np.random.default_rng(1))).all()


def test_policies_of_any_size_come_to_an_end() -> None:
    for policy in (Policy(consensus_threshold=20), Policy(revalidation_min_votes=400), Policy(1, 1)):
        pool = _pool(20, [])
        exits = draw_exits(pool, np.tile([1.0, 0.0], (20, 1)), policy, False, np.random.default_rng(1))
        assert (exits.state == State.GRADUATED).all()
        assert len(exits.weight) == (exits.total - exits.first).sum()
        least = max(policy.consensus_threshold, policy.revalidation_min_total_votes)
        batches = max(0, -(-(least - exits.first[0]) // policy.revalidation_min_votes))
        assert (exits.total == exits.first + batches * policy.revalidation_min_votes).all()


@pytest.mark.parametrize("agrees", [0.55, 0.7, 0.85])
@pytest.mark.parametrize("label", [False, True])
def test_exits_are_as_likely_as_one_item_and_one_vote_at_a_time(agrees: float, label: bool) -> None:
    many, alone = 4_000, 700
    exits = _exits(_pool(many, [], label), [agrees, 1 - agrees])
    random = np.random.default_rng(2)
    ended: list[tuple[str, int]] = []
    for _ in range(alone):
        item = Item(Policy())
        for number, answer in enumerate([0, 0, 1] if label else [], start=1):
            item.vote(number, answer)
        item.apply()
        had = len(item.votes)
        while item.now.state in ("unlabeled", "in_revalidation"):
            item.vote(len(item.votes) + 1, int(random.random() >= agrees))
            item.apply()
        ended.append((item.now.state, len(item.votes) - had))
    votes = np.array([count for _, count in ended])
    spread = np.sqrt(votes.var() * (1 / alone + 1 / many))
    assert exits.total.mean() == pytest.approx(votes.mean(), abs=4 * spread)
    for state in (State.GRADUATED, State.NEEDS_REVIEW):
        share = np.mean([name == STATES[state] for name, _ in ended])
        spread = np.sqrt(max(share * (1 - share), 0.01) * (1 / alone + 1 / many))
        assert np.mean(exits.state == state) == pytest.approx(share, abs=4 * spread)


def test_votes_go_to_items_as_the_pool_draws_them_one_at_a_time() -> None:
    random = np.random.default_rng(3)
    first, after = np.array([2, 0, 1, 0, 0, 0]), np.array([3, 6, 3, 9, 2, 4])
    weight = random.choice([0.01, 0.2, 0.6, 0.8], after.sum())
    state = np.full(6, State.GRADUATED, dtype=np.uint8)
    state[5] = State.NEEDS_REVIEW
    exits = Exits(first, first + after, state, weight)
    had = np.array([0, 0, 1, 0, 0, 0])
    draws = 1_500
    ours = np.array([served(exits, had, random) for _ in range(draws)])

    opens = np.cumsum(after) - after
    theirs = np.empty((draws, 6))
    for draw in range(draws):
        got, place = np.zeros(6, dtype=int), 3  # three votes of tier 1 come first
        while (got < after).any():
            going = np.flatnonzero(got < after)
            chances = weight[(opens + got)[going]]
            item = random.choice(going, p=chances / chances.sum())
            got[item] += 1
            place += 1
            theirs[draw, item] = place
    spread = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / draws)
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) <= 4 * spread + 1e-9).all()
    assert np.allclose(np.quantile(ours, 0.9, axis=0), np.quantile(theirs, 0.9, axis=0), atol=1.01)


def test_votes_in_a_given_order_settle_an_item_at_its_last_one() -> None:
    state = np.array([State.GRADUATED, State.NEEDS_REVIEW, State.GRADUATED, State.UNLABELED], dtype=np.uint8)
    exits = Exits(np.zeros(4, dtype=int), np.array([2, 1, 3, 1]), state, np.ones(7))
    place = as_given(exits, np.array([0, -1, 2, 1, 0, 0, 2, 3]))
    assert place.tolist() == [5, 4, np.inf, np.inf]
