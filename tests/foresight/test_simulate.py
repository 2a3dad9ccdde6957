"""Other settings on the same votes: compared with a plain reading of the rules."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.foresight.accuracy import wilson
from hiveguard_pipeline.foresight.simulate import compared, simulate
from hiveguard_pipeline.foresight.standing import Recorded
from hiveguard_pipeline.review.decisions import decide
from hiveguard_pipeline.rules.columns import Items
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, set_policy
from hiveguard_pipeline.store.ledger import apply_votes
from tests.foresight.crowds import crowd_of
from tests.rules.oracle import Item
from tests.store.voting import add_items, cast, letters, standing

Ended = list[tuple[str, int | None, int]]


def _plainly(votes: list[list[int]], policy: Policy) -> Ended:
    """State, label and applied votes of each item, one vote at a time."""
    ended: Ended = []
    for answers in votes:
        item = Item(policy)
        for number, answer in enumerate(answers, start=1):
            item.vote(number, answer)
        item.apply()
        ended.append((item.now.state, item.now.label, item.applied))
    return ended


POLICIES = st.builds(
    lambda threshold, total, batch, floor, reach: Policy(
        threshold, total, floor + reach, floor, 50_000, batch
    ),
    st.integers(1, 5),
    st.integers(3, 18),
    st.integers(1, 4),
    st.integers(0, 12).map(lambda step: step * 50_000),
    st.integers(1, 7).map(lambda step: step * 50_000),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2), max_size=24), min_size=1, max_size=12),
    POLICIES,
    POLICIES,
    st.sets(st.integers(0, 11)),
    st.sets(st.integers(0, 11)),
)
def test_it_counts_what_a_plain_reading_of_the_rules_gives(
    votes: list[list[int]], current: Policy, other: Policy, gold: set[int], decided: set[int]
) -> None:
    rows = np.array([(item, 0, answer) for item, given in enumerate(votes) for answer in given], dtype=int)
    rows = rows.reshape(-1, 3)
    count = len(votes)
    gold &= set(range(count))
    decided &= set(range(count))
    crowd = crowd_of(rows, like=np.array([[count - 1, 0, 2]]), gold=dict.fromkeys(gold, 0))
    recorded = Items.unlabeled(count)
    for item in decided:
        recorded.label[item], recorded.state[item] = 1, State.DISCARDED
    mask = np.isin(np.arange(count), list(decided))
    found = compared(crowd, Recorded(recorded, np.zeros(count, dtype=np.int64)), mask, current, other)

    now, then = _plainly(votes, current), _plainly(votes, other)
    own = [item for item in range(count) if item not in gold]
    for ended in (now, then):
        for item in decided - gold:
            ended[item] = ("discarded", 1, 0)
    pairs = Counter((now[item][0], then[item][0]) for item in own)
    assert pairs == {
        (before, after): many
        for row, before in enumerate(STATES)
        for column, after in enumerate(STATES)
        if (many := int(found.matrix[row, column]))
    }
    assert found.states_changed == sum(now[item][0] != then[item][0] for item in own)
    changes = Counter(
        "gained" if now[item][1] is None else "lost" if then[item][1] is None else "changed"
        for item in own
        if now[item][1] != then[item][1]
    )
    assert (found.labels_gained, found.labels_lost, found.labels_changed) == tuple(
        changes[name] for name in ("gained", "lost", "changed")
    )
    assert (found.applied_now, found.applied_then) == tuple(
        sum(ended[item][2] for item in own) for ended in (now, then)
    )
    for needed, ended in ((found.needed_now, now), (found.needed_then, then)):
        taken = [ended[item] for item in own if item not in decided and votes[item]]
        graduated = [applied for state, _, applied in taken if state == "graduated"]
        assert (needed.items, needed.graduated) == (len(taken), len(graduated))
        assert needed.votes == sum(applied for _, _, applied in taken)
        assert needed.an_item == (pytest.approx(needed.votes / len(taken), abs=1e-4) if taken else None)
        assert needed.a_graduated == (pytest.approx(np.mean(graduated), abs=1e-4) if graduated else None)
        assert needed.settled is None
    for export, states in (
        (found.finalized, {"in_revalidation", "graduated"}),
        (found.graduated, {"graduated"}),
    ):
        in_now, in_then = ({item for item in own if ended[item][0] in states} for ended in (now, then))
        assert (export.now, export.then) == (len(in_now), len(in_then))
        assert (export.gained, export.lost) == (len(in_then - in_now), len(in_now - in_then))
        assert export.relabelled == sum(now[item][1] != then[item][1] for item in in_now & in_then)
    gold = {item for item in gold if votes[item]}
    assert found.gold_items == len(gold)
    for on_gold, ended in ((found.gold_now, now), (found.gold_then, then)):
        if not gold:
            assert on_gold is None
            continue
        assert on_gold is not None
        labels = [ended[item] for item in gold if ended[item][1] is not None]
        assert on_gold.labelled.items == len(labels)
        assert on_gold.labelled.right == sum(label == 0 for _, label, _ in labels)
        assert on_gold.graduated.items == sum(state == "graduated" for state, _, _ in labels)


def test_intervals_of_accuracy_are_wilsons() -> None:
    # Brown, Cai and DasGupta (2001), the formula by hand for 9 of 10.
    z = 1.959963984540054
    middle = (0.9 + z**2 / 20) / (1 + z**2 / 10)
    half = z / (1 + z**2 / 10) * (0.9 * 0.1 / 10 + z**2 / 400) ** 0.5
    assert wilson(9, 10) == pytest.approx((middle - half, middle + half))
    assert wilson(10, 10)[1] == 1


FLAGGED_UNDER_065 = "aab" + "aba" + "bbb"  # 0.666667, 0.716667, then 0.566667
KEPT_UNDER_060 = "aab" + "abb"  # 0.666667, then 0.616667


def test_nothing_is_written_and_what_people_decided_stays(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, ["steady", "weak", "reviewed"])
    add_items(database, dataset, ["known"], gold="a")
    cast(
        database,
        dataset,
        letters("steady", "a" * 15)
        + letters("weak", KEPT_UNDER_060)
        + letters("reviewed", FLAGGED_UNDER_065)
        + letters("known", "aab"),
    )
    apply_votes(database, dataset.name, run_id="by-hand")
    decide(database, "reviewed", "confirm", reviewer="r", reason="t", dataset_name=dataset.name)
    before = standing(database, dataset)
    with database.read() as connection:
        found = simulate(connection, dataset, {"revalidation_confidence_threshold": "0.65"})
    assert standing(database, dataset) == before
    assert (found.items, found.decided, found.states_changed) == (3, 1, 1)
    assert found.matrix[State.IN_REVALIDATION, State.NEEDS_REVIEW] == 1
    assert (found.finalized.now, found.finalized.then, found.finalized.lost) == (3, 2, 1)
    assert (found.recorded_states_differ, found.recorded_labels_differ) == (0, 0)
    assert found.gold_now is not None
    assert (found.gold_now.labelled.right, found.gold_now.graduated.items) == (1, 0)
    with database.read() as connection, pytest.raises(BadInputError, match="must be below"):
        simulate(connection, dataset, {"REVALIDATION_CONFIDENCE_THRESHOLD": "0.9"})


def test_what_an_earlier_policy_made_is_named(database: Database, dataset: Dataset) -> None:
    add_items(database, dataset, ["weak"])
    cast(database, dataset, letters("weak", KEPT_UNDER_060))
    apply_votes(database, dataset.name, run_id="by-hand")
    set_policy(
        database, dataset.name, {"REVALIDATION_CONFIDENCE_THRESHOLD": "0.65"}, actor="a", reason="stricter"
    )
    with database.read() as connection:
        found = simulate(connection, dataset, {})
    assert (found.states_changed, found.recorded_states_differ, found.recorded_labels_differ) == (0, 1, 0)
