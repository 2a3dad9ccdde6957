"""The fold against the oracle, and what must not matter to it."""

from collections.abc import Sequence
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import strategies as st

from hiveguard_pipeline.rules import fold as fold_module
from hiveguard_pipeline.rules.arithmetic import share
from hiveguard_pipeline.rules.columns import NO_LABEL, Folded, Items
from hiveguard_pipeline.rules.fold import fold
from hiveguard_pipeline.rules.policy import ONE, Policy, decimal_text
from hiveguard_pipeline.rules.states import STATES, Kind, State

from . import oracle
from .crowds import Stream, columns, crowds, holds, policies
from .sessions import Session, sessions
from .table import Table, fraction, plain, standings

DEFAULT = Policy()


def read_plainly(streams: Sequence[Stream], policy: Policy) -> list[oracle.Item]:
    """The oracle's items after the streams; vote ids are the positions in the columns."""
    items, vote_id = [], 0
    for stream in streams:
        item = oracle.Item(policy)
        for answer in stream:
            item.vote(vote_id, answer)
            vote_id += 1
        item.apply()
        items.append(item)
    return items


def folded(streams: Sequence[Stream], policy: Policy) -> Folded:
    return fold(columns(streams), Items.unlabeled(len(streams)), policy)


def only(streams: Sequence[Stream], policy: Policy = DEFAULT) -> list[oracle.Standing]:
    """Where items stand after one fold of these streams."""
    return standings(folded(streams, policy).items)


ROWS = (
    "item",
    "kind",
    "first",
    "last",
    "agree",
    "disagree",
    "label",
    "confidence_before",
    "confidence_after",
    "state_after",
)


def same(one: object, other: object) -> bool:
    """Two records of arrays, equal in every column and its type."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in type(one).__slots__  # type: ignore[attr-defined]
    )


@holds(150, crowds(), policies(), st.integers(1, 9))
def test_how_many_votes_are_folded_at_once_does_not_matter(
    streams: list[Stream], policy: Policy, votes_at_once: int
) -> None:
    whole = folded(streams, policy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold_module, "VOTES_AT_ONCE", votes_at_once)
        sliced = folded(streams, policy)
    assert same(sliced.items, whole.items)
    assert np.array_equal(sliced.applied, whole.applied)
    for name in ROWS:
        assert np.array_equal(getattr(sliced.ledger, name), getattr(whole.ledger, name)), name


@holds(250, crowds(), policies())
def test_every_item_and_ledger_row_is_what_the_rules_say(streams: list[Stream], policy: Policy) -> None:
    result, items = folded(streams, policy), read_plainly(streams, policy)
    assert standings(result.items) == [item.now for item in items]
    assert result.applied.tolist() == [item.applied for item in items]
    rows = result.ledger
    assert rows.item.tolist() == [at for at, item in enumerate(items) for _ in item.rows]
    expected = [row for item in items for row in item.rows]
    assert [("first_pass", "revalidation")[kind] for kind in rows.kind] == [row.kind for row in expected]
    assert [STATES[state] for state in rows.state_after] == [row.state_after for row in expected]
    for name in ("first_vote_id", "last_vote_id", "agree", "disagree", "label"):
        column = getattr(rows, name.removesuffix("_vote_id"))
        assert column.tolist() == [getattr(row, name) for row in expected], name
    for name in ("confidence_before", "confidence_after"):
        column = getattr(rows, name)
        assert [fraction(value) for value in column.tolist()] == [getattr(row, name) for row in expected]


@holds(150, crowds(), policies(), st.integers(0, 2**32), st.sampled_from([0.02, 0.2, 0.9]))
def test_runs_do_not_matter(streams: list[Stream], policy: Policy, seed: int, often: float) -> None:
    whole, stepwise = Table.of(len(streams), [policy]), Table.of(len(streams), [policy])
    arrivals = [at for at, stream in enumerate(streams) for _ in stream]
    Random(seed).shuffle(arrivals)
    taken = [0] * len(streams)
    run = Random(seed)
    stops = {int(at) for at in np.linspace(0, len(arrivals), 12)} if len(arrivals) > 100 else None
    for vote_id, at in enumerate(arrivals, start=1):
        for table in (whole, stepwise):
            table.vote(at, vote_id, streams[at][taken[at]])
        taken[at] += 1
        if (stops is None or vote_id in stops) and run.random() < often:
            stepwise.run()
    whole.run()
    stepwise.run()
    assert same(stepwise.items, whole.items)
    assert stepwise.entries == whole.entries
    assert stepwise.epochs == whole.epochs


@holds(100, crowds(), policies(), st.integers(0, 2**32))
def test_the_oracle_does_not_depend_on_when_it_applies(
    streams: list[Stream], policy: Policy, seed: int
) -> None:
    random = Random(seed)
    for stream, whole in zip(streams, read_plainly(streams, policy), strict=True):
        item = oracle.Item(policy)
        for vote, answer in zip(whole.votes, stream, strict=True):
            item.vote(vote.vote_id, answer)
            if random.random() < 0.5:
                item.apply()
        item.apply()
        assert (item.now, item.rows, item.epochs) == (whole.now, whole.rows, whole.epochs)


@holds(120, sessions())
def test_policy_changes_and_reviews_between_runs_follow_the_rules(session: Session) -> None:
    table = session.table
    assert standings(table.items) == [item.now for item in session.items]
    assert table.epochs == [item.epochs for item in session.items]
    for entries, item in zip(table.entries, session.items, strict=True):
        assert [plain(row, table.policies) for row in entries] == item.rows


@holds(150, crowds(), policies(), st.integers(0, 2**32))
def test_the_order_of_items_and_the_codes_of_answers_do_not_matter(
    streams: list[Stream], policy: Policy, seed: int
) -> None:
    random = Random(seed)
    order = random.sample(range(len(streams)), len(streams))
    codes = np.array([*random.sample(range(2**31), 5), NO_LABEL])
    result = folded(streams, policy)
    other = folded([codes[streams[at]].tolist() if streams[at] else [] for at in order], policy)
    for name in Items.__slots__:
        column = getattr(result.items, name)
        expected = codes[column] if name == "label" else column
        assert np.array_equal(getattr(other.items, name), expected[order]), name
    assert np.array_equal(other.applied, result.applied[order])

    def rows(of: Folded, coded: bool) -> list[list[tuple[int, ...]]]:
        by_item: list[list[tuple[int, ...]]] = [[] for _ in streams]
        opens = np.concatenate(
            ([0], np.cumsum([len(streams[at]) for at in (order if coded else range(len(order)))]))
        )
        for row in range(len(of.ledger)):
            values = {name: int(getattr(of.ledger, name)[row]) for name in ROWS}
            item = values.pop("item")
            values["first"] -= int(opens[item])
            values["last"] -= int(opens[item])
            values["label"] = values["label"] if coded else int(codes[values["label"]])
            by_item[order[item] if coded else item].append(tuple(values.values()))
        return by_item

    assert rows(other, coded=True) == rows(result, coded=False)


@holds(150, crowds(), policies())
def test_confidence_stays_within_0_and_1_and_begins_where_it_ended(
    streams: list[Stream], policy: Policy
) -> None:
    rows = folded(streams, policy).ledger
    assert ((rows.confidence_after >= 0) & (rows.confidence_after <= ONE)).all()
    again = np.flatnonzero(rows.kind == Kind.REVALIDATION)
    assert np.array_equal(rows.confidence_before[again], rows.confidence_after[again - 1])
    assert np.array_equal(rows.label[again], rows.label[again - 1])
    assert np.array_equal(rows.first[again], rows.last[again - 1] + 1)


@holds(100, crowds(), policies(), st.integers(0, 2**32))
def test_items_out_of_the_pool_are_left_alone(streams: list[Stream], policy: Policy, seed: int) -> None:
    out = [State.NEEDS_REVIEW, State.GRADUATED, State.DISCARDED, State.GOLD]
    random = Random(seed)
    alone = [random.random() < 0.5 for _ in streams]
    items = Items.unlabeled(len(streams))
    for at in np.flatnonzero(alone):
        items.label[at], items.confidence[at] = random.choice([(NO_LABEL, -1), (1, 700_000), (0, ONE)])
        items.vote_count[at], items.revalidation_vote_count[at] = random.choice([(0, 0), (3, 0), (4, 12)])
        items.state[at] = random.choice(out)
    before = standings(items)
    result = fold(columns(streams), items, policy)
    expected = read_plainly(streams, policy)
    assert standings(result.items) == [
        kept if left else item.now for left, kept, item in zip(alone, before, expected, strict=True)
    ]
    assert not result.applied[alone].any()
    assert not np.isin(result.ledger.item, np.flatnonzero(alone)).any()
    assert standings(items) == before, "the items that were passed in were changed"


@holds(150, st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**6)), min_size=1, max_size=200))
def test_a_share_is_the_exact_one_with_ties_to_even(pairs: list[tuple[int, int]]) -> None:
    part, whole = np.array([(min(a, b), b) for a, b in pairs]).T
    expected = [oracle.rounded(Fraction(a, b)) for a, b in zip(part.tolist(), whole.tolist(), strict=True)]
    assert [fraction(value) for value in share(part, whole).tolist()] == expected


def test_a_share_half_way_goes_to_the_even_millionth() -> None:
    whole = np.full(3, 64_000_000)
    assert share(np.array([32, 96, 160]), whole).tolist() == [0, 2, 2]


def test_a_unanimous_item_that_loses_a_batch_0_to_3_is_at_exactly_85_hundredths() -> None:
    result = folded([[0, 0, 0, 1, 1, 1]], DEFAULT)
    assert result.items.confidence.tolist() == [850_000]
    assert decimal_text(int(result.items.confidence[0])) == "0.85"
    assert result.ledger.confidence_after.tolist() == [ONE, 850_000]


@pytest.mark.parametrize(
    ("stream", "label", "vote_count"),
    [
        ([0, 1], None, 0),
        ([0, 1, 2], None, 0),
        ([0, 1, 2, 0], None, 0),
        ([0, 1, 2, 0, 0], 0, 5),
        ([0, 1, 1], 1, 3),
        ([0, 0, 1, 1], 0, 3),
        ([0, 1, 2, 2, 1, 1, 1], 1, 7),
    ],
)
def test_the_first_label_is_that_of_the_earliest_majority(
    stream: Stream, label: int | None, vote_count: int
) -> None:
    (item,) = only([stream])
    assert (item.label, item.vote_count) == (label, vote_count)


def test_a_threshold_of_1_labels_at_the_first_vote() -> None:
    (item,) = only([[2, 0, 0]], Policy(consensus_threshold=1))
    assert item == oracle.Standing(2, Fraction(1), "in_revalidation", 1, 0)


def test_a_threshold_of_15_waits_for_15_votes_and_may_graduate_at_once() -> None:
    fourteen, fifteen = only([[0] * 14, [0] * 15], Policy(consensus_threshold=15))
    assert fourteen.state == "unlabeled"
    assert fifteen == oracle.Standing(0, Fraction(1), "graduated", 15, 0)


def test_a_confidence_at_the_floor_is_kept_and_one_millionth_below_is_flagged() -> None:
    stream = [0, 0, 1]
    (kept,) = only([stream], Policy(revalidation_confidence_threshold=666_667))
    (flagged,) = only([stream], Policy(revalidation_confidence_threshold=666_668))
    assert (kept.state, flagged.state) == ("in_revalidation", "needs_review")


def test_a_confidence_at_the_exit_graduates_with_the_last_vote_that_is_needed() -> None:
    stream = [0] * 12 + [1] * 3
    (graduated,) = only([stream])
    (one_vote_short,) = only([stream], Policy(revalidation_min_total_votes=16))
    (below,) = only([stream], Policy(revalidation_exit_confidence=850_001))
    assert [item.state for item in (graduated, one_vote_short, below)] == [
        "graduated",
        "in_revalidation",
        "in_revalidation",
    ]
    assert graduated.confidence == Fraction(85, 100)


def test_a_flag_goes_before_graduation_and_later_votes_wait() -> None:
    result = folded([[0, 0, 1] + [1, 1, 1] + [0] * 30], DEFAULT)
    assert standings(result.items)[0].state == "needs_review"
    assert result.applied.tolist() == [6]


def test_votes_after_graduation_are_not_applied() -> None:
    result = folded([[0] * 40], DEFAULT)
    assert standings(result.items) == [oracle.Standing(0, Fraction(1), "graduated", 3, 12)]
    assert result.applied.tolist() == [15]


def test_a_rest_that_does_not_fill_a_batch_stays_unprocessed() -> None:
    assert folded([[0] * 8], DEFAULT).applied.tolist() == [6]


@pytest.mark.parametrize("streams", [[], [[]], [[], [], []], [[], [0, 0, 0], []]])
def test_nothing_comes_of_no_votes(streams: list[Stream]) -> None:
    result = folded(streams, DEFAULT)
    assert [item == oracle.Standing() for item in standings(result.items)] == [not s for s in streams]
    assert len(result.ledger) == sum(map(bool, streams))


def test_items_keep_their_types_through_a_fold_of_nothing() -> None:
    assert same(folded([[], []], DEFAULT).items, Items.unlabeled(2))
