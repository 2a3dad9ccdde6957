"""A true history replays without a difference; a history that was tampered with does not."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
from hypothesis import strategies as st

from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.rules.replay import DECISIONS, Difference, Outcome, replay
from hiveguard_pipeline.rules.states import STATES, Kind, State

from . import oracle
from .crowds import holds
from .sessions import Session, sessions
from .table import NO_VOTE, Entry, Table, fraction, history, plain

seeds = st.integers(0, 2**32)


def replayed(table: Table, entries: list[list[Entry]] | None = None) -> tuple[Outcome, list[Difference]]:
    votes, vote_ids = table.votes()
    return replay(votes, vote_ids, history(entries or table.entries), table.policies)


def differing(outcome: Outcome, expected: Outcome, but: str = "") -> list[str]:
    """The columns in which two outcomes differ."""
    return [
        name
        for name in Outcome.__slots__
        if name != but and not np.array_equal(getattr(outcome, name), getattr(expected, name))
    ]


def found(table: Table, entries: list[list[Entry]], stands: Outcome | None = None) -> bool:
    """Whether a replay of these rows speaks up, or ends elsewhere than the labels stand."""
    outcome, differences = replayed(table, entries)
    return bool(differences) or bool(differing(outcome, stands or table.outcome(), but="last_row"))


def wrong(table: Table, entries: list[list[Entry]]) -> bool:
    """The same, by the plain reading."""
    through = table.outcome().applied_through
    for at, rows in enumerate(entries):
        votes = [oracle.Vote(*vote) for vote in zip(table.vote_ids[at], table.answers[at], strict=True)]
        item = oracle.rederived([plain(row, table.policies) for row in rows], votes)
        if item is None:
            return True
        items = table.items
        stands = oracle.Standing(
            None if items.label[at] == NO_LABEL else int(items.label[at]),
            fraction(int(items.confidence[at])),
            STATES[items.state[at]],
            int(items.vote_count[at]),
            int(items.revalidation_vote_count[at]),
        )
        if (item.now, item.epochs) != (stands, table.epochs[at]):
            return True
        if item.applied_through != through[at]:
            return True
    return False


def tampered(table: Table, at: int, row: int, **values: object) -> list[list[Entry]]:
    """The ledger with some values of one row of one item changed."""
    entries = [list(rows) for rows in table.entries]
    entries[at][row] = replace(entries[at][row], **values)  # type: ignore[arg-type]
    return entries


def rows_of(session: Session, seed: int, most: int = 8) -> list[tuple[int, int, Entry]]:
    """Some of the rows of a session, with where they stand."""
    rows = [(at, row) for at, entries in enumerate(session.table.entries) for row in range(len(entries))]
    chosen = Random(seed).sample(rows, min(most, len(rows)))
    return [(at, row, session.table.entries[at][row]) for at, row in chosen]


@holds(150, sessions())
def test_a_true_history_replays_without_a_difference_to_the_labels_as_they_stand(session: Session) -> None:
    outcome, differences = replayed(session.table)
    rows = [row for entries in session.table.entries for row in entries]
    assert [(it.reason, [rows[at] for at in it.rows]) for it in differences] == []
    assert differing(outcome, session.table.outcome()) == []
    assert outcome.revalidation_epochs.tolist() == [item.epochs for item in session.items]
    assert outcome.applied_through.tolist() == [item.applied_through for item in session.items]


@holds(60, sessions())
def test_the_plain_reading_rederives_every_true_history(session: Session) -> None:
    assert not wrong(session.table, session.table.entries)


def _numbers(value: int) -> set[int]:
    return {value - 1, value + 1, value + 1000, 0, -2}


def _ids(value: int, other: int) -> set[int]:
    return {max(value - 1, NO_VOTE), value + 1, value + 1000, other, NO_VOTE}


OTHERS: dict[str, Callable[[Entry], set[int]]] = {
    "agree": lambda row: _numbers(row.agree),
    "disagree": lambda row: _numbers(row.disagree),
    "confidence_before": lambda row: _numbers(row.confidence_before) | {ONE},
    "confidence_after": lambda row: _numbers(row.confidence_after) | {ONE},
    "first_vote_id": lambda row: _ids(row.first_vote_id, row.last_vote_id),
    "last_vote_id": lambda row: _ids(row.last_vote_id, row.first_vote_id),
    "state_after": lambda row: {int(state) for state in State},
}
"""Other values for what the rules give; every one of them is wrong."""


@holds(60, sessions(), seeds, st.sampled_from(list(OTHERS)))
def test_a_changed_number_id_or_state_is_found(session: Session, seed: int, name: str) -> None:
    for at, row, entry in rows_of(session, seed):
        for value in OTHERS[name](entry) - {getattr(entry, name)}:
            assert found(session.table, tampered(session.table, at, row, **{name: value})), (entry, value)


GIVEN: dict[str, Callable[[Entry, Table], range]] = {
    "policy": lambda _, table: range(len(table.policies)),
    "label": lambda *_: range(NO_LABEL, 5),
    "kind": lambda *_: range(Kind.ADAPTIVE),
    "decision": lambda row, _: range(1, len(DECISIONS)) if row.kind == Kind.REVIEW else range(0),
}
"""Other values for what people or a run put in: a difference where the rules then give another row."""


@holds(60, sessions(), seeds, st.sampled_from(list(GIVEN)))
def test_another_policy_label_kind_or_decision_is_found_where_it_matters(
    session: Session, seed: int, name: str
) -> None:
    for at, row, entry in rows_of(session, seed):
        for value in GIVEN[name](entry, session.table):
            changed = tampered(session.table, at, row, **{name: value})
            if wrong(session.table, changed):
                assert found(session.table, changed), (entry, value)
            elif name != "decision":  # whether an undo may stand there, its `restores` says as well
                assert not found(session.table, changed), (entry, value)


@holds(100, sessions(), seeds)
def test_a_label_that_no_review_set_is_found(session: Session, seed: int) -> None:
    for at, row, entry in rows_of(session, seed):
        if entry.decision != DECISIONS.index("relabel"):
            assert found(session.table, tampered(session.table, at, row, label=entry.label + 1)), entry


@holds(100, sessions(), seeds)
def test_a_dropped_row_is_found(session: Session, seed: int) -> None:
    for at, row, entry in rows_of(session, seed):
        entries = [list(rows) for rows in session.table.entries]
        del entries[at][row]
        entries[at] = [
            replace(later, restores=later.restores - (later.restores >= row)) for later in entries[at]
        ]
        if entry.kind != Kind.REVIEW or wrong(session.table, entries):
            assert found(session.table, entries), entry


@holds(100, sessions(), seeds)
def test_a_repeated_or_moved_batch_is_found(session: Session, seed: int) -> None:
    for at, row, entry in rows_of(session, seed):
        if entry.kind == Kind.REVIEW:
            continue
        entries = [list(rows) for rows in session.table.entries]
        entries[at].insert(row, entry)
        assert found(session.table, entries), entry
        del entries[at][row]
        if row + 1 < len(entries[at]):
            entries[at][row], entries[at][row + 1] = entries[at][row + 1], entries[at][row]
            assert found(session.table, entries), entry
        elif len(entries) > 1:
            entries[at - 1].append(entries[at].pop())
            assert found(session.table, entries), entry


def with_votes(table: Table, at: int, vote_ids: list[int], answers: list[int]) -> Table:
    """The same labels and ledger over other votes of one item."""
    other = replace(table, vote_ids=list(table.vote_ids), answers=list(table.answers))
    other.vote_ids[at], other.answers[at] = vote_ids, answers
    return other


@holds(150, sessions(), seeds)
def test_a_changed_answer_is_found_where_it_agreed_or_comes_to_agree(session: Session, seed: int) -> None:
    table, random = session.table, Random(seed)
    for at, _, entry in rows_of(session, seed):
        if entry.first_vote_id == NO_VOTE:
            continue
        ids, answers = table.vote_ids[at], list(table.answers[at])
        chosen = random.randrange(ids.index(entry.first_vote_id), ids.index(entry.last_vote_id) + 1)
        agreed = answers[chosen] == entry.label
        answers[chosen] = entry.label + 1 if agreed else entry.label
        other = with_votes(table, at, ids, answers)
        assert found(other, table.entries, table.outcome()), (entry, chosen)


@holds(100, sessions(), seeds)
def test_a_missing_or_additional_vote_among_the_applied_is_found(session: Session, seed: int) -> None:
    table, random = session.table, Random(seed)
    stands = table.outcome()
    for at in np.flatnonzero(table.applied).tolist():
        ids, answers = table.vote_ids[at], table.answers[at]
        n = random.randrange(int(table.applied[at]))
        fewer = with_votes(table, at, ids[:n] + ids[n + 1 :], answers[:n] + answers[n + 1 :])
        assert found(fewer, table.entries, stands), n
        late = random.choice(answers)
        more = with_votes(table, at, [*ids[:n], ids[n] - 1, *ids[n:]], [*answers[:n], late, *answers[n:]])
        assert found(more, table.entries, stands), n


@holds(60, sessions())
def test_votes_that_wait_change_nothing(session: Session) -> None:
    table = session.table
    stands = table.outcome()
    for at, answers in enumerate(table.answers):
        table.vote(at, table.newest_vote + 1 + at, answers[0] if answers else 0)
    outcome, differences = replayed(table)
    assert (differences, differing(outcome, stands)) == ([], [])
