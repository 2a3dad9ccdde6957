"""Replay of a dataset's ledger against its votes: every label re-derived, every difference named."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.audit.eras import ClassEras
from hiveguard_pipeline.audit.histories import (
    NUMBERED,
    Window,
    codes_of,
    count_histories,
    history_of,
    read_labels,
    read_ledger,
    read_votes,
)
from hiveguard_pipeline.audit.probabilities import probability_differences
from hiveguard_pipeline.rules.columns import NO_LABEL, Votes
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.replay import Outcome, replay
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store.bulk import Columns, read_columns
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset, policy_history
from hiveguard_pipeline.store.standing import newest_standing
from hiveguard_pipeline.store.structured import at_once
from hiveguard_pipeline.store.tables import full_time

ITEMS_AT_ONCE = 200_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not follow: on an item, and on a row of its ledger if batch_id is not None.

    What is wrong with the classes of the dataset is on no item.
    """

    dataset: str
    item_id: str | None
    external_id: str | None
    batch_id: int | None
    reason: str


@dataclass(slots=True)
class Verification:
    """What was replayed, and what did not follow."""

    items: int = 0
    votes: int = 0
    batches: int = 0
    findings: list[Finding] = field(default_factory=list)


def verify(
    database: Database, dataset_name: str, report: Callable[[int, int], None] | None = None
) -> Verification:
    """Replay a dataset's ledger and votes, of one moment of the database."""
    done = Verification()
    with database.read() as connection:
        dataset = get_dataset(connection, dataset_name)
        recorded = policy_history(connection, dataset)
        policies = {entry.policy_id: entry.policy for entry in recorded}
        eras = ClassEras.of(connection, dataset)
        for reason in eras.differences(connection):
            done.findings.append(Finding(dataset.name, None, None, None, reason))
        count = count_histories(connection, dataset)
        after = "00000000-0000-0000-0000-000000000000"
        while done.items < count:
            labels = read_labels(connection, dataset, after, at_once(dataset, ITEMS_AT_ONCE))
            if not len(labels["item_id"]):
                break
            window = {
                "dataset": dataset.dataset_id,
                "after": after,
                "last": labels["item_id"][-1].as_py(),
            }
            _verify_part(connection, dataset, labels, window, policies, eras, done)
            after = str(window["last"])
            if report:
                report(done.items, count)
    return done


def _verify_part(
    connection: sa.Connection,
    dataset: Dataset,
    labels: Columns,
    window: Window,
    policies: dict[int, Policy],
    eras: ClassEras,
    done: Verification,
) -> None:
    # Who gave a vote matters where a probability decided.
    adaptive = any(policy.is_adaptive for policy in policies.values())
    votes = read_votes(connection, dataset, window, with_solvers=adaptive)
    batches = read_ledger(connection, window)
    items = len(labels["item_id"])
    coded, words = _encoded(votes["answer"], batches["label"], labels["label"], batches["decided_label"])
    offsets = np.searchsorted(votes["n"], np.arange(items + 1)).astype(np.int64)
    judge = eras.judge(words)
    stream = Votes(offsets, coded[0], judge)
    history = history_of(batches, coded[1], list(policies), eras)
    outcome, differences = replay(stream, votes["vote_id"], history, list(policies.values()))
    decided = coded[3]
    if judge is not None:
        decided = judge.carried(decided, history.era)
        outcome.label = judge.carried(outcome.label, np.full(items, eras.newest))

    def find(item: int, batch_id: int | None, reason: str) -> None:
        done.findings.append(
            Finding(
                dataset.name,
                labels["item_id"][item].as_py(),
                labels["external_id"][item].as_py(),
                batch_id,
                reason,
            )
        )

    for difference in differences:
        for row in difference.rows.tolist():
            find(int(history.item[row]), int(batches["batch_id"][row]), difference.reason)
    for rows, reason in (
        (~np.isin(batches["policy_id"], list(policies)), "names a policy that the dataset has not had"),
        ((batches["review_id"] >= 0) & (coded[1] != decided), "gives another label than its decision"),
    ):
        for row in np.flatnonzero(rows).tolist():
            find(int(history.item[row]), int(batches["batch_id"][row]), reason)
    by_probability = (
        probability_differences(connection, votes, batches, policies, eras.maps, history.era)
        if adaptive
        else ()
    )
    for rows, reason in by_probability:
        for row in rows.tolist():
            find(int(history.item[row]), int(batches["batch_id"][row]), reason)
    for item in _misopened(connection, window, batches):
        find(item, None, "opens its generation with another decision than the newest that stood")
    for item in _mistimed(connection, window):
        find(item, None, "has another time than the vote that completed its first label")
    for rows, reason in _label_differences(labels, coded[2], batches, votes, outcome):
        for item in rows.tolist():
            find(int(item), None, reason)
    done.items += items
    done.votes += len(votes["vote_id"])
    done.batches += len(history)


def _misopened(connection: sa.Connection, window: Window, batches: Columns) -> list[int]:
    """Items whose generation does not open with the newest decision that stood when it began."""
    expected = read_columns(
        connection,
        f"SELECT w.n, coalesce({newest_standing('w.item_id', 'w.generation')}, -1) AS review_id"
        f" FROM {NUMBERED} WHERE w.generation > 1 ORDER BY w.n",
        window,
        {"n": int, "review_id": int},
    )
    opened = np.full(int(expected["n"].max(initial=-1)) + 1, -1, dtype=np.int64)
    rows = np.flatnonzero((batches["restates_through"] >= 0) & (batches["n"] < len(opened)))
    opened[batches["n"][rows]] = batches["review_id"][rows]
    return [int(item) for item in expected["n"][opened[expected["n"]] != expected["review_id"]]]


def _mistimed(connection: sa.Connection, window: Window) -> list[int]:
    """Labels whose time is not that of the vote which completed the votes of their first label."""
    completing = (
        "SELECT max(b.batch_id) FROM batches b WHERE b.item_id = w.item_id AND b.generation = w.generation"
        " AND b.kind <> 'revalidation' AND b.last_vote_id IS NOT NULL"
        " AND (b.calibration_id IS NULL OR b.confidence_before IS NULL)"
    )
    found = read_columns(
        connection,
        f"SELECT w.n FROM {NUMBERED} JOIN labels l ON l.item_id = w.item_id"
        f" JOIN batches c ON c.batch_id = ({completing}) JOIN votes v ON v.vote_id = c.last_vote_id"
        f" WHERE l.label IS NOT NULL AND l.created_at <> {full_time(connection, 'v.created_at')}"
        " ORDER BY w.n",
        window,
        {"n": int},
    )
    return [int(item) for item in found["n"]]


def _encoded(*columns: Any) -> tuple[list[Any], Any]:
    """Text columns as codes of one dictionary (-1 for null), and the dictionary."""
    joined = pa.chunked_array(list(columns), type=pa.string()).combine_chunks().dictionary_encode()
    codes = joined.indices.fill_null(NO_LABEL).to_numpy(zero_copy_only=False).astype(np.int32)
    return np.split(codes, np.cumsum([len(column) for column in columns])[:-1]), joined.dictionary


def _label_differences(
    labels: Columns, label: Any, batches: Columns, votes: Columns, outcome: Outcome
) -> list[tuple[Any, str]]:
    """Labels that are not what their ledger amounts to."""
    items = len(labels["item_id"])
    state = codes_of(STATES, labels["state"])
    derived_state = np.where(labels["gold"] == 1, State.GOLD, outcome.state)
    has_rows = outcome.last_row >= 0
    # A recount that finds no label leaves a row that says so, in a generation that has no ledger.
    withdrawn = ~has_rows & (label == NO_LABEL) & (labels["generation"] > 1)
    last_policy = np.where(withdrawn, labels["policy_id"], 0)
    last_policy[has_rows] = batches["policy_id"][outcome.last_row[has_rows]]
    below = votes["vote_id"] <= labels["applied_through"][votes["n"]]
    processed = np.bincount(votes["n"][below], minlength=items)
    checks = [
        (labels["has_row"] == 0, "has a ledger and no label"),
        (~has_rows & ~withdrawn, "has a label and no ledger"),
        (label != outcome.label, "has another label than its ledger gives"),
        (labels["confidence"] != outcome.confidence, "has another confidence than its ledger gives"),
        (state != derived_state, "is in another state than its ledger gives"),
        ((labels["flagged"] == 1) != (state == State.NEEDS_REVIEW), "is flagged and not in review, or not"),
        (
            (labels["vote_count"] != outcome.vote_count)
            | (labels["revalidation_vote_count"] != outcome.revalidation_vote_count),
            "counts other votes than its ledger",
        ),
        (labels["revalidation_epochs"] != outcome.revalidation_epochs, "counts other graduations"),
        (labels["applied_through"] != outcome.applied_through, "has its watermark at another vote"),
        (labels["policy_id"] != last_policy, "names another policy than its ledger"),
        (
            processed != labels["vote_count"] + labels["revalidation_vote_count"],
            "has more or fewer votes under its watermark than it counts",
        ),
    ]
    return [(np.flatnonzero(wrong), reason) for wrong, reason in checks if wrong.any()]
