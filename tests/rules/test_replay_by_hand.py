"""Histories made by hand: true ones that are easily taken for wrong, and forged ones that hang together."""

from dataclasses import replace

import pytest

from hiveguard_pipeline.rules.policy import ONE, Policy
from hiveguard_pipeline.rules.replay import DECISIONS, Outcome, replay
from hiveguard_pipeline.rules.states import Kind, State

from .table import NO_VOTE, Entry, Table, history


def a_table(*policies: Policy, answers: list[int]) -> Table:
    """One item with votes 1, 2, ..., nothing run yet."""
    table = Table.of(1, list(policies) or [Policy()])
    for vote_id, answer in enumerate(answers, start=1):
        table.vote(0, vote_id, answer)
    return table


def differences_of(table: Table) -> list[str]:
    votes, vote_ids = table.votes()
    return [it.reason for it in replay(votes, vote_ids, history(table.entries), table.policies)[1]]


@pytest.mark.parametrize("items", [0, 3])
def test_an_empty_ledger_amounts_to_unlabeled_items(items: int) -> None:
    table = Table.of(items, [Policy()])
    votes, vote_ids = table.votes()
    outcome, differences = replay(votes, vote_ids, history(table.entries), table.policies)
    assert differences == []
    for name in Outcome.__slots__:
        assert getattr(outcome, name).tolist() == getattr(table.outcome(), name).tolist(), name
    assert outcome.state.tolist() == [State.UNLABELED] * items


def test_a_first_label_by_review_holds_through_later_decisions_and_undos() -> None:
    table = a_table(answers=[0, 1, 2] * 5)
    table.run()
    table.review(0, "relabel", 1)
    table.review(0, "relabel", 0)
    assert differences_of(table) == []
    table.undo(0)
    assert differences_of(table) == []
    table.undo(0)
    assert differences_of(table) == []
    assert table.outcome().state.tolist() == [State.UNLABELED]
    for vote_id in range(16, 22):
        table.vote(0, vote_id, 1)
    table.run()
    assert differences_of(table) == []
    assert table.entries[0][-1].last_vote_id == 21


def flagged() -> Table:
    """One item: 2:1 for answer 0, then a batch 0:3 that flags it; three more votes wait."""
    table = a_table(answers=[0, 0, 1, 1, 1, 1])
    table.run()
    for vote_id in range(7, 10):
        table.vote(0, vote_id, 1)
    assert table.items.state.tolist() == [State.NEEDS_REVIEW]
    return table


def reviewed(decision: str) -> Table:
    table = flagged()
    table.review(0, decision)
    return table


def a_row(kind: Kind, first: int, last: int, agree: int, disagree: int, **values: int) -> Entry:
    """A row of label 0 at 1.0 that begins at nothing and leads to re-validation, but for the values given."""
    blank = Entry(0, kind, first, last, agree, disagree, 0, -1, ONE, State.IN_REVALIDATION)
    return replace(blank, **values)  # type: ignore[arg-type]


def forged(answers: list[int], *rows: Entry) -> list[str]:
    """What a replay finds in these rows over these votes."""
    table = a_table(answers=answers)
    table.entries = [list(rows)]
    return differences_of(table)


def test_rows_as_they_ought_to_be_are_no_forgery() -> None:
    first = a_row(Kind.FIRST_PASS, 1, 3, 3, 0)
    assert forged([0] * 5, first) == []
    assert forged([0] * 6, first, a_row(Kind.REVALIDATION, 4, 6, 3, 0, confidence_before=ONE)) == []


def test_a_first_pass_for_the_minority_is_found() -> None:
    doubt = {"confidence_after": 333_333, "state_after": State.NEEDS_REVIEW}
    assert forged([0, 0, 1], a_row(Kind.FIRST_PASS, 1, 3, 1, 2, label=1, **doubt))


def test_a_first_pass_after_the_earliest_majority_is_found() -> None:
    assert forged([0] * 5, a_row(Kind.FIRST_PASS, 1, 5, 5, 0))


def test_a_first_pass_without_a_majority_is_found() -> None:
    doubt = {"confidence_after": 333_333, "state_after": State.NEEDS_REVIEW}
    assert forged([0, 1, 2], a_row(Kind.FIRST_PASS, 1, 3, 1, 2, **doubt))


def test_a_first_confidence_that_is_not_the_share_is_found() -> None:
    assert forged([0, 0, 1], a_row(Kind.FIRST_PASS, 1, 3, 2, 1, confidence_after=700_000))


def test_a_first_label_that_took_no_votes_is_found() -> None:
    assert forged([0, 0, 0], a_row(Kind.FIRST_PASS, NO_VOTE, NO_VOTE, 0, 0))


def test_a_second_first_pass_is_found() -> None:
    first = a_row(Kind.FIRST_PASS, 1, 3, 3, 0)
    assert forged([0] * 6, first, a_row(Kind.FIRST_PASS, 4, 6, 3, 0, confidence_before=ONE))


def test_a_first_pass_of_an_item_that_a_review_labelled_is_found() -> None:
    table = a_table(answers=[])
    table.review(0, "relabel", 0)
    relabel = table.entries[0][0]
    floor = relabel.confidence_after
    assert forged([0, 0, 0], relabel) == []
    assert forged([0, 0, 0], relabel, a_row(Kind.FIRST_PASS, 1, 3, 3, 0, confidence_before=floor))


def test_a_batch_of_a_flagged_item_is_found() -> None:
    table = flagged()
    before = table.entries[0][-1].confidence_after
    after = {"confidence_before": before, "confidence_after": before - 150_000}
    table.entries[0].append(a_row(Kind.REVALIDATION, 7, 9, 0, 3, **after, state_after=State.NEEDS_REVIEW))
    assert differences_of(table)


@pytest.mark.parametrize("decision", ["confirm", "discard"])
def test_a_decision_that_takes_the_votes_that_wait_is_found(decision: str) -> None:
    table = reviewed(decision)
    assert differences_of(table) == []
    changed = table.entries[0][-1]
    changed.first_vote_id, changed.last_vote_id = 7, 9
    assert differences_of(table)
    changed.agree, changed.disagree = 0, 3
    assert differences_of(table)


def test_a_first_label_that_names_votes_and_counts_none_is_found_even_when_undone() -> None:
    table = a_table(answers=[0, 1])
    table.review(0, "relabel", 2)
    table.undo(0)
    assert differences_of(table) == []
    table.entries[0][0].disagree = 0
    assert differences_of(table)


@pytest.mark.parametrize("count", [-1, -4, -1_000_000, 2**62])
@pytest.mark.parametrize("name", ["agree", "disagree"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_count_that_no_item_can_have_is_found(at: int, name: str, count: int) -> None:
    table = reviewed("confirm")
    setattr(table.entries[0][at], name, count)
    assert differences_of(table)


def test_a_review_that_judges_is_found() -> None:
    table = reviewed("confirm")
    table.entries[0][-1].state_after = State.GRADUATED
    assert differences_of(table)


def test_a_batch_under_a_smaller_delta_is_found_when_it_names_a_larger_one() -> None:
    table = a_table(Policy(), Policy(revalidation_delta=10_000), answers=[0, 0, 0, 0, 1, 1])
    table.run()
    assert differences_of(table) == []
    table.entries[0][1].policy = 1
    assert differences_of(table) == ["reaches another confidence than its votes give"]


def test_an_undo_after_a_batch_is_found() -> None:
    table = reviewed("confirm")
    decision, *counts = table.decided[0][-1]
    table.run()
    assert differences_of(table) == []
    table.decided[0].append((decision, counts[0], counts[1] + 3))
    table.undo(0)
    assert table.items.state.tolist() == [State.NEEDS_REVIEW]
    assert differences_of(table)


def test_a_decision_that_is_undone_twice_is_found() -> None:
    table = reviewed("discard")
    decided = table.decided[0][-1]
    table.undo(0)
    assert differences_of(table) == []
    table.decided[0].append(decided)
    table.undo(0)
    assert differences_of(table)


def test_an_undo_of_nothing_is_found() -> None:
    table = a_table(answers=[0, 0, 0])
    table.run()
    table.review(0, "confirm")
    table.undo(0)
    assert differences_of(table) == []
    del table.entries[0][1]
    assert differences_of(table)


def test_a_confirm_of_no_label_is_found() -> None:
    table = a_table(answers=[])
    table.review(0, "confirm")
    assert differences_of(table)


@pytest.mark.parametrize(
    ("at", "name", "value"),
    [
        (0, "kind", len(Kind)),
        (1, "kind", len(Kind)),
        (2, "kind", len(Kind)),
        (2, "decision", len(DECISIONS)),
        (0, "state_after", len(State)),
        (1, "state_after", len(State)),
        (2, "state_after", len(State)),
    ],
)
def test_a_word_that_the_rules_do_not_know_is_found(at: int, name: str, value: int) -> None:
    table = reviewed("confirm")
    setattr(table.entries[0][at], name, value)
    assert differences_of(table)


def test_differences_name_the_rows_that_do_not_follow() -> None:
    table = a_table(answers=[0, 0, 0] + [0] * 6)
    table.run()
    table.entries[0][1].agree, table.entries[0][1].disagree = 2, 1
    votes, vote_ids = table.votes()
    _, differences = replay(votes, vote_ids, history(table.entries), table.policies)
    (miscounted,) = [it.rows for it in differences if it.reason == "miscounts the votes that agree"]
    assert miscounted.tolist() == [1]


def opening(through: int = 3, **values: int) -> Entry:
    """The first row of a generation: a relabel to 0 that was taken on the votes up to `through`."""
    shared = {"decision": DECISIONS.index("relabel"), "restates_through": through}
    row = a_row(Kind.REVIEW, 1, 3, 2, 1, confidence_after=666_667)
    return replace(row, **shared | values)  # type: ignore[arg-type]


def test_a_generation_may_open_with_a_decision_of_an_earlier_one() -> None:
    later = a_row(Kind.REVALIDATION, 4, 6, 3, 0, confidence_before=666_667, confidence_after=816_667)
    assert forged([0, 0, 1, 0, 0, 0], opening(), later) == []
    assert forged([0, 0, 1], opening(decision=DECISIONS.index("confirm"))) == []
    discarded = {"decision": DECISIONS.index("discard"), "state_after": State.DISCARDED}
    assert forged([0, 0, 1], opening(**discarded)) == []
    # The votes that it was taken on have ids up to 3: as many as are left of them count.
    nothing = {"first_vote_id": NO_VOTE, "last_vote_id": NO_VOTE, "agree": 0, "disagree": 0}
    assert forged([], opening(**nothing, confidence_after=600_000)) == []
    unlabeled = {**nothing, **discarded, "label": -1, "confidence_after": -1, "restates_through": 0}
    assert forged([0, 0, 1], opening(**unlabeled)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"restates_through": 2},
        {"restates_through": 4},
        {"restates_through": -1, "decision": DECISIONS.index("discard"), "state_after": State.DISCARDED},
        {"agree": 3, "disagree": 0},
        {"confidence_after": 700_000},
        {"state_after": State.GRADUATED},
        {"state_after": State.DISCARDED},
        {"decision": DECISIONS.index("discard")},
        {"decision": DECISIONS.index("undo")},
        {"first_vote_id": 2},
        {"last_vote_id": 4},
        {"label": 1},
        {"label": -1},
        {"confidence_before": 600_000},
    ],
)
def test_an_opening_that_its_votes_do_not_bear_out_is_found(wrong: dict[str, int]) -> None:
    assert forged([0, 0, 1, 0], opening(**wrong))


def test_a_decision_is_restated_only_in_the_first_row() -> None:
    first = a_row(Kind.FIRST_PASS, 1, 3, 3, 0)
    again = opening(confidence_before=ONE, confidence_after=ONE, agree=3, disagree=0)
    again = replace(again, first_vote_id=NO_VOTE, last_vote_id=NO_VOTE)
    assert forged([0, 0, 0], first, replace(again, restates_through=-1)) == []
    assert forged([0, 0, 0], first, again)
