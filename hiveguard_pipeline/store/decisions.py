"""Decisions on many items at once, as stages of a workflow come to them: reviews, ledger rows and labels.

Set-based, in the caller's transaction, which holds the dataset. What people decide one at a time stands in
`review`; both write the same rows.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.rules.arithmetic import Integers, Mask, share
from hiveguard_pipeline.rules.columns import NO_CONFIDENCE
from hiveguard_pipeline.rules.states import KINDS, POOL_STATES, STATES, Kind, State
from hiveguard_pipeline.store.bulk import Columns, append, read_columns
from hiveguard_pipeline.store.datasets import Dataset, RecordedPolicy, now_text, progress_of
from hiveguard_pipeline.store.events import Act, record_events
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.horizon import safe_horizon
from hiveguard_pipeline.store.ledger import record_position, upsert_labels
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.structured import agreeing

WORKFLOW = "workflow"
"""Who decided, in the rows that a stage wrote."""

ON_LABELS = ("confirm", "relabel", "accept")
"""Decisions that give a label, and count the applied votes that agree with it."""

_STATE_AFTER = {
    "confirm": State.IN_REVALIDATION,
    "relabel": State.IN_REVALIDATION,
    "release": State.IN_REVALIDATION,
    "accept": State.GRADUATED,
    "discard": State.DISCARDED,
    "hold": State.NEEDS_REVIEW,
}
_STANDS = {
    "item_id": str,
    "label": str,
    "confidence": int,
    "state": str,
    "vote_count": int,
    "revalidation_vote_count": int,
    "revalidation_epochs": int,
    "generation": int,
    "applied_through": int,
    "held_by": int,
    "held_from": str,
}
# The newest ledger row of an item, where it is a hold, and where the item stood before it.
_NEWEST = "(SELECT max(m.batch_id) FROM batches m WHERE m.item_id = d.item_id)"
_HELD_BY = (
    f"coalesce((SELECT r.review_id FROM batches h JOIN reviews r ON r.review_id = h.review_id"
    f" WHERE h.batch_id = {_NEWEST} AND r.decision = 'hold'), -1)"
)
_HELD_FROM = (
    "(SELECT b.state_after FROM batches b WHERE b.batch_id = (SELECT max(p.batch_id) FROM batches p"
    f" WHERE p.item_id = d.item_id AND p.batch_id < {_NEWEST}))"
)


def write_decisions(
    connection: sa.Connection,
    dataset: Dataset,
    recorded: RecordedPolicy,
    decided: Columns,
    *,
    run_id: str | None,
    reviewer: str = WORKFLOW,
) -> Columns:
    """Write one decision on each of some items; returns item_id and review_id, in the order of item_id.

    decided: item_id (distinct), decision (confirm, relabel, accept, discard, hold, release, or undo of the
    hold that is an item's newest row), label (of confirm, relabel and accept; null for the others), reason.
    """
    rows = len(decided["item_id"])
    if not rows:
        return {"item_id": decided["item_id"], "review_id": np.zeros(0, dtype=np.int64)}
    _load(connection, decided)
    given = read_columns(
        connection,
        "SELECT item_id, decision, label, reason FROM decided d ORDER BY n",
        {},
        {"item_id": str, "decision": str, "label": str, "reason": str},
    )
    stands = read_columns(
        connection,
        f"SELECT d.item_id, s.label, coalesce(s.confidence, {NO_CONFIDENCE}) AS confidence, s.state,"
        " s.vote_count, s.revalidation_vote_count, s.revalidation_epochs, s.generation, s.applied_through,"
        f" {_HELD_BY} AS held_by, {_HELD_FROM} AS held_from"
        " FROM decided d JOIN item_status s ON s.item_id = d.item_id ORDER BY d.n",
        {},
        _STANDS,
    )
    decision = np.array(given["decision"].to_pylist(), dtype=object)
    gives = np.isin(decision, ON_LABELS)
    label = pc.if_else(pa.array(gives), given["label"], stands["label"])
    before = stands["confidence"]
    unlabeled = stands["label"].is_null().to_numpy(zero_copy_only=False)
    applied, agree, first, last = _counted(connection, dataset, label, gives, unlabeled)
    floor = recorded.policy.revalidation_confidence_threshold
    reached = np.maximum(share(agree, np.maximum(applied, 1)), floor)
    confidence = np.where(gives, reached, np.where(decision == "release", np.maximum(before, floor), before))
    state = np.array([STATES[_STATE_AFTER.get(word, State.UNLABELED)] for word in decision], dtype=object)
    undo = decision == "undo"
    state[undo] = np.array(stands["held_from"].to_pylist(), dtype=object)[undo]
    takes = gives & unlabeled & (applied > 0)

    moment = now_text()
    undoes = pa.array(stands["held_by"], mask=~undo)
    review_id = _write_reviews(connection, given, label, undoes, reviewer, moment)
    shared = {
        "item_id": given["item_id"],
        "label": label,
        "policy_id": np.full(rows, recorded.policy_id),
        "generation": stands["generation"],
        "confidence": pa.array(confidence, mask=confidence == NO_CONFIDENCE),
        "state": pa.array(state, type=pa.string()),
    }
    append(
        connection,
        "batches",
        {
            **{name: shared[name] for name in ("item_id", "label", "policy_id", "generation")},
            "kind": _constant(KINDS[Kind.REVIEW], rows),
            "first_vote_id": pa.array(first, mask=~takes),
            "last_vote_id": pa.array(last, mask=~takes),
            "agree": np.where(gives, agree, 0),
            "disagree": np.where(gives, applied - agree, 0),
            "confidence_before": pa.array(before, mask=before == NO_CONFIDENCE),
            "confidence_after": shared["confidence"],
            "state_after": shared["state"],
            "review_id": review_id,
            "run_id": pa.array([run_id] * rows, type=pa.string()),
            "applied_at": _constant(moment, rows),
        },
    )
    upsert_labels(
        connection,
        dataset,
        {
            **shared,
            "vote_count": np.where(takes, applied, stands["vote_count"]),
            "revalidation_vote_count": stands["revalidation_vote_count"],
            "revalidation_epochs": stands["revalidation_epochs"],
            "applied_through": np.where(takes, last, stands["applied_through"]),
            "completed_by": np.where(takes, last, 0),
            "updated_at": _constant(moment, rows),
        },
    )
    # A label that no vote gave is as old as the decision.
    connection.execute(
        sa.text(
            "UPDATE labels SET created_at = updated_at WHERE created_at IS NULL AND label IS NOT NULL"
            " AND item_id IN (SELECT item_id FROM decided)"
        )
    )
    _list_waiting(connection, dataset)
    after = {"label": label, "confidence": confidence, "state": shared["state"]}
    _write_events(connection, dataset, given, stands, after, review_id, undoes, reviewer)
    record_position(connection, dataset, progress_of(connection, dataset).ledger_position)
    connection.execute(sa.text("DROP TABLE decided"))
    return {"item_id": given["item_id"], "review_id": review_id}


def _load(connection: sa.Connection, decided: Columns) -> None:
    sqlite = connection.dialect.name == "sqlite"
    connection.execute(sa.text("DROP TABLE IF EXISTS decided"))
    connection.execute(
        sa.text(
            f"CREATE TEMPORARY TABLE decided (n {'INTEGER' if sqlite else 'bigint'} PRIMARY KEY,"
            f" item_id {'TEXT' if sqlite else 'uuid'} NOT NULL UNIQUE, decision text NOT NULL, label text,"
            " reason text NOT NULL)"
        )
    )
    names = ("item_id", "decision", "label", "reason")
    order = pc.sort_indices(decided["item_id"])
    rows = np.arange(len(order))
    append(connection, "decided", {"n": rows, **{name: decided[name].take(order) for name in names}})
    if not sqlite:
        connection.execute(sa.text("ANALYZE decided"))


def _counted(
    connection: sa.Connection, dataset: Dataset, labels: Any, gives: Mask, unlabeled: Mask
) -> tuple[Integers, ...]:
    """Of the votes that count for each decision: how many there are and agree, the first and last id.

    The applied ones; all under the horizon for a first label. Zeros where a decision counts none.
    """
    rows = len(labels)
    if not gives.any():
        return tuple(np.zeros(rows, dtype=np.int64) for _ in range(4))
    horizon = 0
    if (gives & unlabeled).any():
        horizon = safe_horizon(connection, progress_of(connection, dataset).folded_through)
    only = counted(connection, dataset)
    votes = read_columns(
        connection,
        "SELECT d.n, v.vote_id, v.answer FROM decided d LEFT JOIN labels l ON l.item_id = d.item_id"
        " JOIN votes v ON v.item_id = d.item_id AND v.vote_id <= CASE WHEN l.label IS NULL THEN :horizon"
        f" ELSE l.applied_through END{only}"
        f" WHERE d.decision IN ({', '.join(repr(word) for word in ON_LABELS)}) ORDER BY d.n, v.vote_id",
        {"horizon": horizon} | ({"dataset": dataset.dataset_id} if only else {}),
        {"n": int, "vote_id": int, "answer": str},
    )
    answers = class_map_of(connection, dataset).of(votes["answer"])
    item, ids = votes["n"], np.append(votes["vote_id"], 0)
    agrees = agreeing(dataset, answers, labels.take(pa.array(item)))
    applied = np.bincount(item, minlength=rows).astype(np.int64)
    agree = np.bincount(item[agrees], minlength=rows).astype(np.int64)
    ends = np.cumsum(applied)
    first, last = (np.where(applied > 0, ids[place], 0) for place in (ends - applied, ends - 1))
    return applied, agree, first, last


def _write_reviews(
    connection: sa.Connection, given: Columns, label: Any, undoes: Any, reviewer: str, moment: str
) -> Integers:
    """The rows of `reviews`; returns their ids, in the order of `decided`."""
    rows = len(label)
    newest = connection.execute(sa.text("SELECT coalesce(max(review_id), 0) FROM reviews")).scalar_one()
    append(
        connection,
        "reviews",
        {
            "item_id": given["item_id"],
            "decision": given["decision"],
            "label": label,
            "reviewer": _constant(reviewer, rows),
            "reason": given["reason"],
            "undoes": undoes,
            "created_at": _constant(moment, rows),
        },
    )
    found = read_columns(
        connection,
        "SELECT d.n, r.review_id FROM decided d JOIN reviews r ON r.item_id = d.item_id"
        " AND r.review_id > :newest ORDER BY d.n",
        {"newest": int(newest)},
        {"n": int, "review_id": int},
    )
    return np.asarray(found["review_id"], dtype=np.int64)


def _write_events(
    connection: sa.Connection,
    dataset: Dataset,
    given: Columns,
    stands: Columns,
    after: Columns,
    review_id: Integers,
    undoes: Any,
    reviewer: str,
) -> None:
    """An event for each decision, as for those that people take one at a time."""

    def listed(columns: Columns) -> list[dict[str, Any]]:
        values = zip(
            columns["label"].to_pylist(),
            columns["confidence"].tolist(),
            columns["state"].to_pylist(),
            strict=True,
        )
        return [
            {"label": label, "confidence": None if level == NO_CONFIDENCE else level, "state": state}
            for label, level, state in values
        ]

    told = zip(
        given["item_id"].to_pylist(),
        given["decision"].to_pylist(),
        given["reason"].to_pylist(),
        listed(stands),
        listed(after),
        review_id.tolist(),
        undoes.to_pylist(),
        strict=True,
    )
    record_events(
        connection,
        dataset.dataset_id,
        [
            Act(
                reviewer,
                f"review.{decision}",
                f"item {item_id}",
                reason,
                before=before,
                after={"review_id": review, **now, **({} if undone is None else {"undoes": undone})},
            )
            for item_id, decision, reason, before, now, review, undone in told
        ],
    )


def _list_waiting(connection: sa.Connection, dataset: Dataset) -> None:
    """Put items that are back in the pool on the next run's list, if votes wait; take off the others."""
    connection.execute(sa.text("DELETE FROM recheck_items WHERE item_id IN (SELECT item_id FROM decided)"))
    only = counted(connection, dataset)
    states = ", ".join(f"'{state}'" for state in POOL_STATES)
    connection.execute(
        sa.text(
            "INSERT INTO recheck_items (item_id, dataset_id) SELECT l.item_id, l.dataset_id FROM decided d"
            f" JOIN labels l ON l.item_id = d.item_id WHERE l.state IN ({states}) AND EXISTS (SELECT 1"
            f" FROM votes v WHERE v.item_id = l.item_id AND v.vote_id > l.applied_through{only})"
        ),
        {"dataset": dataset.dataset_id} if only else {},
    )


def _constant(text: str, rows: int) -> Any:
    return pa.repeat(pa.scalar(text), rows)
