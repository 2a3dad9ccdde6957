"""Adaptive graduation: what a calibrated probability makes of a stream of votes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.rules.adaptive import AdaptivelyFolded, Knowledge, adaptive_fold, steps
from hiveguard_pipeline.rules.calibrated import Calibrator, after_each_vote, first_of_equals, opinions
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE, Items, Votes
from hiveguard_pipeline.rules.policy import ADAPTIVE, ONE, Policy
from hiveguard_pipeline.rules.states import Kind, State

LINE = Calibrator((0.2, 1.0), (0.005, 0.995), (0.005, 0.995))

streams = st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=12), max_size=6)
"""Of each item its votes: (answer, solver)."""

policies = st.builds(
    Policy,
    graduation=st.just(ADAPTIVE),
    adaptive_target_probability=st.integers(400_000, 990_000),
    adaptive_min_votes=st.integers(1, 4),
    adaptive_max_votes=st.integers(4, 15),
)


def _known(skills: list[float]) -> tuple[Knowledge, np.ndarray]:
    """Of solvers who are right so often: what is known of the crowd, and ln P(answer | class) of each."""
    skill = np.array(skills)[:, None, None]
    each = np.where(np.eye(3, dtype=bool), skill, (1 - skill) / 2)
    pooled = np.log(each.mean(axis=0))
    return Knowledge(LINE, np.log(np.full(3, 1 / 3)), pooled), np.log(each)


KNOWLEDGE, ERRORS = _known([0.9, 0.8, 0.7, 0.5, 0.34])


def _votes(items: list[list[tuple[int, int]]]) -> tuple[Votes, np.ndarray]:
    flat = [vote for item in items for vote in item]
    offsets = np.concatenate(([0], np.cumsum([len(item) for item in items]))).astype(np.int64)
    answer = np.array([answer for answer, _ in flat], dtype=np.int32)
    solver = np.array([solver for _, solver in flat], dtype=np.int32)
    return Votes(offsets, answer), ERRORS[solver, answer] if len(flat) else np.empty((0, 3))


def _fold(items: list[list[tuple[int, int]]], before: Items, policy: Policy) -> AdaptivelyFolded:
    votes, evidence = _votes(items)
    return adaptive_fold(votes, before, evidence, KNOWLEDGE, policy)


def _by_hand(item: list[tuple[int, int]], policy: Policy) -> tuple[list[tuple[int, ...]], int]:
    """Rows (votes, label, probability, state) of one item, a vote at a time; and how many votes they took."""
    rows, taken = [], 0
    for many in range(policy.adaptive_min_votes, len(item) + 1):
        score = np.log(np.full(3, 1 / 3)) + sum(ERRORS[solver, answer] for answer, solver in item[:many])
        counts = np.bincount([answer for answer, _ in item[:many]], minlength=3)

        def chance(score: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, int]:
            posterior = score - np.log(np.exp(score).sum())
            share = np.log((counts + 0.5) / (counts.sum() + 1.5))
            weighed = 0.2 * (posterior - posterior.mean()) + (share - share.mean())
            found = np.exp(weighed - weighed.max())
            found /= found.sum()
            top = int((found >= found.max() - 1e-9).argmax())
            moved = float(np.clip(found[top], 0.005, 0.995))
            rest = found * (1 - moved) / (1 - found[top])
            rest[top] = moved
            return rest, top

        now, label = chance(score, counts)
        held = round(float(now[label]) * ONE)
        coming = np.exp(KNOWLEDGE.log_pooled)[:, label] * max(policy.adaptive_max_votes - many, 0)
        later, _ = chance(score + coming @ KNOWLEDGE.log_pooled, counts + coming)
        hopeless = round(float(later[label]) * ONE) < policy.adaptive_target_probability
        agreed = []
        for top in range(3):
            whole = KNOWLEDGE.log_pooled[top] * policy.adaptive_max_votes + np.log(1 / 3)
            held_then, best = chance(whole, np.eye(3)[top] * policy.adaptive_max_votes)
            agreed.append(round(float(held_then[best]) * ONE))
        if max(agreed) < policy.adaptive_target_probability:
            hopeless = many >= policy.adaptive_max_votes
        state = State.IN_REVALIDATION
        if held >= policy.adaptive_target_probability:
            state = State.GRADUATED
        elif hopeless:
            state = State.NEEDS_REVIEW
        rows.append((many - taken, label, held, int(state)))
        taken = many
        if state != State.IN_REVALIDATION:
            break
    return rows, taken


@given(streams, policies)
@settings(max_examples=150, deadline=None)
def test_the_fold_is_the_rule_a_vote_at_a_time(items: list[list[tuple[int, int]]], policy: Policy) -> None:
    found = _fold(items, Items.unlabeled(len(items)), policy)
    rows: list[list[tuple[int, ...]]] = [[] for _ in items]
    ledger = found.ledger
    for n in range(len(ledger)):
        took = int(ledger.last[n] - ledger.first[n] + 1)
        assert took == ledger.agree[n] + ledger.disagree[n]
        rows[ledger.item[n]].append(
            (took, int(ledger.label[n]), int(ledger.probability[n]), int(ledger.state_after[n]))
        )
    for item, votes in enumerate(items):
        expected, taken = _by_hand(votes, policy)
        assert [(row[0], row[1], row[3]) for row in rows[item]] == [(r[0], r[1], r[3]) for r in expected]
        assert all(abs(a[2] - b[2]) <= 1 for a, b in zip(rows[item], expected, strict=True))
        assert found.applied[item] == taken
        counted = found.items.vote_count[item] + found.items.revalidation_vote_count[item]
        assert counted == taken


@given(streams, policies, st.data())
@settings(max_examples=100, deadline=None)
def test_folding_in_parts_is_folding_whole(
    items: list[list[tuple[int, int]]], policy: Policy, data: st.DataObject
) -> None:
    whole = _fold(items, Items.unlabeled(len(items)), policy)
    cuts = [data.draw(st.integers(0, len(votes))) for votes in items]
    first = _fold(
        [votes[:cut] for votes, cut in zip(items, cuts, strict=True)], Items.unlabeled(len(items)), policy
    )
    second = _fold(items, first.items, policy)
    for name in ("label", "confidence", "vote_count", "revalidation_vote_count", "state"):
        assert getattr(second.items, name).tolist() == getattr(whole.items, name).tolist()
    for item in range(len(items)):

        def rows(folded: AdaptivelyFolded, item: int = item) -> list[tuple[int, ...]]:
            ledger = folded.ledger
            own = np.flatnonzero(ledger.item == item)
            columns = (
                ledger.agree,
                ledger.disagree,
                ledger.label,
                ledger.confidence_before,
                ledger.confidence_after,
                ledger.state_after,
                ledger.probability,
                ledger.opens,
            )
            return [tuple(int(column[n]) for column in columns) for n in own]

        assert rows(first) + rows(second) == rows(whole)


def test_agreeing_solvers_graduate_an_item_and_the_first_row_opens_it() -> None:
    policy = Policy(graduation=ADAPTIVE, adaptive_target_probability=900_000, adaptive_min_votes=3)
    found = _fold([[(1, 0), (1, 1), (1, 2), (1, 0)]], Items.unlabeled(1), policy)
    assert found.items.label[0] == 1
    assert found.items.state[0] == State.GRADUATED
    assert found.ledger.kind.tolist() == [Kind.ADAPTIVE] * len(found.ledger)
    assert found.ledger.opens.tolist()[0] is True
    assert found.ledger.confidence_before[0] == NO_CONFIDENCE
    assert found.items.confidence[0] == ONE


def test_an_item_that_more_votes_cannot_settle_goes_to_review() -> None:
    policy = Policy(
        graduation=ADAPTIVE,
        adaptive_target_probability=900_000,
        adaptive_min_votes=2,
        adaptive_max_votes=9,
    )
    contested = [(number % 3, 4) for number in range(8)]
    found = _fold([contested, [(1, 0)] * 8], Items.unlabeled(2), policy)
    assert found.items.state.tolist() == [State.NEEDS_REVIEW, State.GRADUATED]
    assert 2 <= found.applied[0] < 9


def test_items_out_of_the_pool_are_left_alone() -> None:
    before = Items.unlabeled(2)
    before.state[:] = [State.NEEDS_REVIEW, State.GRADUATED]
    found = _fold([[(0, 0)] * 6, [(0, 0)] * 6], before, Policy(graduation=ADAPTIVE))
    assert len(found.ledger) == 0
    assert found.items.state.tolist() == before.state.tolist()


def test_a_dataset_of_one_answer_is_never_settled() -> None:
    votes = Votes(np.array([0, 6]), np.zeros(6, dtype=np.int32))
    alone = Knowledge(LINE, np.zeros(1), np.zeros((1, 1)))
    found = steps(votes, np.zeros((6, 1)), alone, Policy(graduation=ADAPTIVE))
    assert set(found.state.tolist()) == {int(State.UNLABELED)}


def test_an_answer_that_is_no_class_counts_for_none() -> None:
    offsets, answers = np.array([0, 3]), np.array([0, -1, 0], dtype=np.int32)
    evidence = np.log(np.array([[0.9, 0.1], [1.0, 1.0], [0.8, 0.2]]))
    likelihood, counts = after_each_vote(offsets, answers, evidence)
    assert counts.tolist() == [[1, 0], [1, 0], [2, 0]]
    assert likelihood[-1] == pytest.approx(evidence.sum(axis=0))


@given(st.lists(st.lists(st.floats(-30, 0), min_size=3, max_size=3), min_size=1, max_size=8))
def test_probabilities_sum_to_one_and_the_curve_moves_the_likeliest(scores: list[list[float]]) -> None:
    curve = Calibrator((1.0, 1.0), (0.3, 0.6, 0.9), (0.35, 0.5, 0.8))
    likelihood = np.array(scores)
    counts = np.zeros_like(likelihood)
    found = curve.probability(opinions(likelihood, np.zeros(3), counts))
    assert found.sum(axis=1) == pytest.approx(np.ones(len(scores)))
    assert (found >= 0).all()
    top = first_of_equals(likelihood)
    assert (found[np.arange(len(top)), top] <= 0.8 + 1e-12).all()
    assert Calibrator.parse(curve.text()) == curve


def test_where_no_item_can_reach_the_target_only_the_most_votes_send_one_to_review() -> None:
    capped = Knowledge(
        Calibrator((0.2, 1.0), (0.005, 0.995), (0.005, 0.8)), KNOWLEDGE.log_prior, KNOWLEDGE.log_pooled
    )
    policy = Policy(
        graduation=ADAPTIVE,
        adaptive_target_probability=900_000,
        adaptive_min_votes=2,
        adaptive_max_votes=6,
    )
    votes, evidence = _votes([[(0, 4), (1, 4), (2, 4), (0, 4), (1, 4), (2, 4)]])
    found = steps(votes, evidence, capped, policy)
    waits, review = int(State.IN_REVALIDATION), int(State.NEEDS_REVIEW)
    assert found.state.tolist() == [int(State.UNLABELED), waits, waits, waits, waits, review]
