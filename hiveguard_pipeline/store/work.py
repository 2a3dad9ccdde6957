"""The work of a run: which items to look at, their unprocessed votes, and what the rules make of them.

Reading and deciding only; the ledger writes. The sensor uses the same code to ask whether a run would
write anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.rules.adaptive import AdaptivelyFolded
from hiveguard_pipeline.rules.arithmetic import Integers, Mask
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE, NO_LABEL, Folded, Items, Votes
from hiveguard_pipeline.rules.fold import fold
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store.adaptive_work import (
    current_fit,
    fold_by_probability,
    left_to_people,
    only_rows,
)
from hiveguard_pipeline.store.arrow import from_numbers, to_codes
from hiveguard_pipeline.store.bulk import Columns, read_columns
from hiveguard_pipeline.store.calibrations import newest_calibration
from hiveguard_pipeline.store.class_map import NO_CLASS_MAP
from hiveguard_pipeline.store.datasets import Dataset, RecordedPolicy, current_policy
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.structured import at_once, judge_of, words_of

ITEMS_AT_ONCE = 200_000
"""Items that are folded together; bounds the memory of a run."""

_SCANNED_ROWS = 10_000
"""Rows of `work` that need no index on PostgreSQL."""

WORK_COLUMNS = {
    "item_id": str,
    "label": str,
    "confidence": int,
    "state": int,
    "vote_count": int,
    "revalidation_vote_count": int,
    "revalidation_epochs": int,
    "applied_through": int,
    "generation": int,
    "is_new": int,
}


def would_write(connection: sa.Connection, dataset: Dataset, since: int | None, horizon: int) -> bool:
    """Whether a run would write to the ledger for items that got votes in (since, horizon].

    since None: for any item of the pool. Changes nothing; uses temporary tables.
    """
    recorded = current_policy(connection, dataset)
    count = gather_work(connection, dataset, since, horizon)
    if count and recorded.policy.is_adaptive and newest_calibration(connection, dataset) is None:
        due = True  # a run calibrates first
    else:
        due = any(len(part.folded.ledger) for part in fold_work(connection, dataset, count, recorded))
    drop_work(connection)
    return due


def gather_work(connection: sa.Connection, dataset: Dataset, since: int | None, horizon: int) -> int:
    """Fill the temporary table `work` with the items of the pool to look at; returns how many.

    Votes of excluded solvers make no item worth a look.
    """
    only = counted(connection, dataset)
    if since is None:
        chosen = "items i"
        # vote_id + 0: not by the index of vote_id. Where nobody has analysed the tables yet PostgreSQL would
        # go through all votes for each item.
        looked_at = (
            "EXISTS (SELECT 1 FROM votes v WHERE v.item_id = i.item_id AND v.vote_id + 0 <= :horizon"
            f" AND v.vote_id + 0 > coalesce(l.applied_through, 0){only})"
        )
    else:
        chosen = (
            f"(SELECT v.item_id FROM votes v WHERE v.vote_id > :since AND v.vote_id <= :horizon{only}"
            " UNION SELECT item_id FROM recheck_items WHERE dataset_id = :dataset) c"
            f" {item_of(connection, 'c')}"
        )
        looked_at = "true"
    return fill_work(
        connection,
        ":horizon",
        f"{chosen} LEFT JOIN labels l ON l.item_id = i.item_id"
        f" WHERE i.dataset_id = :dataset AND i.gold_label IS NULL AND {looked_at}",
        {"dataset": dataset.dataset_id, "horizon": horizon} | ({} if since is None else {"since": since}),
    )


def item_of(connection: sa.Connection, row: str) -> str:
    """SQL that joins, to each row of `row`, its item i: looked up by key, whatever the database expects.

    Of a dataset that is new since it was analysed PostgreSQL expects an item or two, and would go through all
    of them for each row; OFFSET 0 keeps a condition on the dataset out of the look-up. SQLite keeps the order
    of a CROSS JOIN.
    """
    if connection.dialect.name == "sqlite":
        return f"CROSS JOIN items i ON i.item_id = {row}.item_id"
    return f"CROSS JOIN LATERAL (SELECT * FROM items WHERE items.item_id = {row}.item_id OFFSET 0) i"


def fill_work(
    connection: sa.Connection,
    through: str,
    chosen: str,
    parameters: dict[str, Any],
    states: tuple[State, ...] = (State.UNLABELED, State.IN_REVALIDATION),
) -> int:
    """Make the temporary table `work` of those items i with labels l that are in the pool, or in `states`.

    chosen: SQL from FROM to WHERE. through: SQL for the newest vote of an item to look at. Rows are
    numbered n = 0, 1, ... in item_id order; returns how many there are.
    """
    code = "".join(f" WHEN '{STATES[state]}' THEN {int(state)}" for state in states)
    words = ", ".join(f"'{STATES[state]}'" for state in states)
    # Not coalesce(l.state, ...): the planner, which has no figures of it, would expect one item in a hundred.
    without = "l.state IS NULL OR " if State.UNLABELED in states else ""
    query = (
        "SELECT row_number() OVER (ORDER BY i.item_id) - 1 AS n, i.item_id, l.label,"
        f" coalesce(l.confidence, {NO_CONFIDENCE}) AS confidence,"
        f" CASE coalesce(l.state, '{STATES[State.UNLABELED]}'){code} END AS state,"
        " coalesce(l.vote_count, 0) AS vote_count,"
        " coalesce(l.revalidation_vote_count, 0) AS revalidation_vote_count,"
        " coalesce(l.revalidation_epochs, 0) AS revalidation_epochs,"
        " coalesce(l.applied_through, 0) AS applied_through, coalesce(l.generation, 1) AS generation,"
        f" CASE WHEN l.item_id IS NULL THEN 1 ELSE 0 END AS is_new, {through} AS through"
        f" FROM {chosen} AND ({without}l.state IN ({words}))"
    )
    connection.execute(sa.text("DROP TABLE IF EXISTS work"))
    if connection.dialect.name == "sqlite":
        connection.execute(
            sa.text(
                "CREATE TEMPORARY TABLE work (n INTEGER PRIMARY KEY, item_id TEXT NOT NULL, label TEXT,"
                " confidence INT, state INT, vote_count INT, revalidation_vote_count INT,"
                " revalidation_epochs INT, applied_through INT, generation INT, is_new INT, through INT)"
            )
        )
        return connection.execute(sa.text(f"INSERT INTO work {query}"), parameters).rowcount
    # As one statement, which unlike an INSERT may be worked at by several processes of the server.
    count = connection.execute(sa.text(f"CREATE TEMPORARY TABLE work AS {query}"), parameters).rowcount
    if count > _SCANNED_ROWS:
        connection.execute(sa.text("ALTER TABLE work ADD PRIMARY KEY (n)"))
    connection.execute(sa.text("ANALYZE work"))
    return count


def drop_work(connection: sa.Connection) -> None:
    """Drop the temporary table of `gather_work`."""
    connection.execute(sa.text("DROP TABLE work"))


@dataclass(slots=True)
class Part:
    """Some items of the work, votes of theirs, and what the rules made of them.

    calibration_id: the calibration by which a probability decided; None under the documented rule.
    """

    first: int
    work: Columns
    vote_ids: Any
    answers: Any
    folded: Folded | AdaptivelyFolded
    calibration_id: int | None = None


def fold_work(
    connection: sa.Connection, dataset: Dataset, count: int, recorded: RecordedPolicy
) -> Iterator[Part]:
    """Fold the items of `work` under a policy, some at a time; the votes of excluded solvers are left out.

    Answers are read under the classes of now. dataset: as this transaction sees it.

    Raises BadInputError if probability decides and the dataset has no calibration.
    """
    only = counted(connection, dataset)
    calibration = current_fit(connection, dataset) if recorded.policy.is_adaptive and count else None
    changed = dataset.schema_version > 1 and count
    class_map = class_map_of(connection, dataset) if changed else NO_CLASS_MAP
    items = at_once(dataset, ITEMS_AT_ONCE)
    for first in range(0, count, items):
        window = {"first": first, "end": first + items}
        work = read_columns(
            connection,
            f"SELECT {', '.join(WORK_COLUMNS)} FROM work WHERE n >= :first AND n < :end ORDER BY n",
            window,
            WORK_COLUMNS,
        )
        parameters = window | ({"dataset": dataset.dataset_id} if only else {})
        if calibration is not None:
            calibration_id, fit = calibration
            decided = left_to_people(connection, window, len(work["state"]))
            mine, vote_ids, folded = fold_by_probability(
                connection, parameters, work, ~decided, only, class_map, fit, recorded
            )
            yield Part(first, mine, vote_ids, pa.array(fit.classes, type=pa.string()), folded, calibration_id)
            if not decided.any():
                continue
        # CROSS JOIN keeps SQLite's loop order: from the few items to their votes by index.
        joined = "CROSS JOIN votes v ON" if connection.dialect.name == "sqlite" else "JOIN votes v ON"
        votes = read_columns(
            connection,
            f"SELECT w.n, v.vote_id, v.answer FROM work w {joined}"
            " v.item_id = w.item_id AND v.vote_id > w.applied_through AND v.vote_id <= w.through"
            f" WHERE w.n >= :first AND w.n < :end{only}",
            parameters,
            {"n": int, "vote_id": int, "answer": str},
        )
        votes["answer"] = class_map.of(votes["answer"])
        if calibration is not None:
            work, votes = _left_to_people(work, votes, decided, first)
        yield fold_part(dataset, first, work, votes, recorded.policy)


def _left_to_people(work: Columns, votes: Columns, decided: Mask, first: int) -> tuple[Columns, Columns]:
    """The decided items of a window and their votes, numbered anew from `first`."""
    own = np.flatnonzero(decided[votes["n"] - first])
    place = np.cumsum(decided) - 1 + first
    return only_rows(work, decided), {
        "n": place[votes["n"][own] - first],
        "vote_id": votes["vote_id"][own],
        "answer": votes["answer"].take(from_numbers(own)),
    }


def fold_part(dataset: Dataset, first: int, work: Columns, votes: Columns, policy: Policy) -> Part:
    """Fold some items of the work, numbered from `first`, under the documented rule.

    votes: n, vote_id and answer, as it reads now, of the items' unprocessed votes.
    """
    items = len(work["state"])
    answers = pa.chunked_array([work["label"], votes["answer"]]).combine_chunks().dictionary_encode()
    codes = to_codes(answers.indices, NO_LABEL)
    number, vote_ids, given = votes["n"] - first, votes["vote_id"], codes[items:]
    if not np.all(
        (number[1:] > number[:-1]) | ((number[1:] == number[:-1]) & (vote_ids[1:] > vote_ids[:-1]))
    ):
        order = _in_order(number, vote_ids)
        number, vote_ids, given = number[order], vote_ids[order], given[order]
    offsets = np.searchsorted(number, np.arange(items + 1)).astype(np.int64)
    before = Items(
        label=codes[:items],
        confidence=work["confidence"],
        vote_count=work["vote_count"],
        revalidation_vote_count=work["revalidation_vote_count"],
        state=work["state"].astype(np.uint8),
    )
    judge = judge_of(dataset, answers.dictionary)
    folded = fold(Votes(offsets, given, judge), before, policy)
    return Part(first, work, vote_ids, words_of(judge, answers.dictionary), folded)


def _in_order(number: Integers, vote_ids: Integers) -> Integers:
    """Positions by item, then vote: one key where that fits 64 bits, which sorts several times as fast."""
    lowest = int(vote_ids.min())
    span = int(vote_ids.max()) - lowest + 1
    if span * (int(number.max()) + 1) < 1 << 63:
        return np.argsort(number * span + (vote_ids - lowest), kind="stable")
    return np.lexsort((vote_ids, number))
