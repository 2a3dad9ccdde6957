"""Moves of items from stage to stage: what they make of labels, and the rows that say so, many at once."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from hiveguard_pipeline.rules.stages import DISCARD, DONE, Stages
from hiveguard_pipeline.rules.states import STATES
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import append, read_columns
from hiveguard_pipeline.store.datasets import Dataset, RecordedPolicy, now_text
from hiveguard_pipeline.store.decisions import write_decisions
from hiveguard_pipeline.store.stages import end_leases

_UNLABELED, _IN_REVALIDATION, _NEEDS_REVIEW, _GRADUATED, _, _ = STATES
_USABLE = (_IN_REVALIDATION, _GRADUATED)


@dataclass(frozen=True, slots=True)
class Move:
    """An item on its way. from_stage: None from the pool. outcome: why it goes.

    label: what people or a model agreed on, on this way, None where nothing; carried from stage to stage
    until the item leaves them. because: said in the reason of what is decided.
    """

    item_id: str
    from_stage: str | None
    outcome: str
    to_stage: str
    label: str | None = None
    because: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where moves are made: the dataset, its policy, the workflow and its stages, the run that asked."""

    dataset: Dataset
    recorded: RecordedPolicy
    workflow_id: int
    stages: Stages
    run_id: str | None


def move(connection: sa.Connection, place: Place, moves: Sequence[Move]) -> Counter[tuple[str, str, str]]:
    """Make moves, one an item, in the caller's transaction, which holds the dataset.

    Returns how many went, by from (empty: the pool), outcome and to.
    """
    if not moves:
        return Counter()
    moves = sorted(moves, key=lambda entry: entry.item_id)
    _load(connection, [entry.item_id for entry in moves])
    stands = read_columns(
        connection,
        "SELECT coalesce(s.label, '') AS label, s.state,"
        " CASE WHEN s.label IS NULL THEN 0 ELSE 1 END AS labelled,"
        f" CASE WHEN {_HELD_FROM_GRADUATED} THEN 1 ELSE 0 END AS from_graduated"
        " FROM moved d JOIN item_status s ON s.item_id = d.item_id ORDER BY d.n",
        {},
        {"label": str, "state": str, "labelled": int, "from_graduated": int},
    )
    labels, states = stands["label"].to_pylist(), stands["state"].to_pylist()
    decisions = [
        _decision(place.stages, entry, label if labelled else None, state, bool(graduated))
        for entry, label, state, labelled, graduated in zip(
            moves, labels, states, stands["labelled"], stands["from_graduated"], strict=True
        )
    ]
    review_ids = _decide(connection, place, moves, decisions)
    _leave(connection)
    _enter(connection, place, moves)
    append(
        connection,
        "stage_transitions",
        {
            "item_id": _texts([entry.item_id for entry in moves]),
            "dataset_id": _texts([place.dataset.dataset_id] * len(moves)),
            "workflow_id": np.full(len(moves), place.workflow_id),
            "from_stage": _texts([entry.from_stage for entry in moves]),
            "to_stage": _texts([entry.to_stage for entry in moves]),
            "outcome": _texts([entry.outcome for entry in moves]),
            "detail": _texts([json.dumps(_detail(entry), ensure_ascii=False) for entry in moves]),
            "review_id": review_ids,
            "run_id": _texts([place.run_id] * len(moves)),
            "created_at": _texts([now_text()] * len(moves)),
        },
    )
    connection.execute(sa.text("DROP TABLE moved"))
    return Counter((entry.from_stage or "", entry.outcome, entry.to_stage) for entry in moves)


_NEWEST = "(SELECT max(m.batch_id) FROM batches m WHERE m.item_id = d.item_id)"
_HELD_FROM_GRADUATED = (
    "EXISTS (SELECT 1 FROM batches h JOIN reviews r ON r.review_id = h.review_id"
    f" WHERE h.batch_id = {_NEWEST} AND r.decision = 'hold') AND EXISTS (SELECT 1 FROM batches b"
    " WHERE b.batch_id = (SELECT max(p.batch_id) FROM batches p WHERE p.item_id = d.item_id"
    f" AND p.batch_id < {_NEWEST}) AND b.state_after = '{_GRADUATED}')"
)
"""SQL: the newest ledger row of item d holds it, and it was graduated before."""


def _load(connection: sa.Connection, item_ids: list[str]) -> None:
    sqlite = connection.dialect.name == "sqlite"
    connection.execute(sa.text("DROP TABLE IF EXISTS moved"))
    connection.execute(
        sa.text(
            f"CREATE TEMPORARY TABLE moved (n {'INTEGER' if sqlite else 'bigint'} PRIMARY KEY,"
            f" item_id {'TEXT' if sqlite else 'uuid'} NOT NULL UNIQUE)"
        )
    )
    append(connection, "moved", {"n": np.arange(len(item_ids)), "item_id": _texts(item_ids)})
    if not sqlite:
        connection.execute(sa.text("ANALYZE moved"))


def _decision(stages: Stages, entry: Move, label: str | None, state: str, from_graduated: bool) -> str | None:
    """What a move decides on an item's label; None where all stays. label, state: as the item stands."""
    target = stages.by_name.get(entry.to_stage)
    if target is not None and not target.is_crowd:
        return "hold" if state in _USABLE else None
    if entry.to_stage == DISCARD:
        return "discard"
    if entry.label is not None:
        if entry.to_stage == DONE:
            return "accept"
        return "confirm" if entry.label == label else "relabel"
    if label is None or state != _NEEDS_REVIEW:
        return None
    return "undo" if entry.to_stage == DONE and from_graduated else "release"


def _decide(
    connection: sa.Connection, place: Place, moves: Sequence[Move], decisions: list[str | None]
) -> Any:
    """Write what the moves decide; returns the review of each move, null where it decides nothing."""
    made = [(entry, decision) for entry, decision in zip(moves, decisions, strict=True) if decision]
    written = write_decisions(
        connection,
        place.dataset,
        place.recorded,
        {
            "item_id": _texts([entry.item_id for entry, _ in made]),
            "decision": _texts([decision for _, decision in made]),
            "label": _texts([entry.label for entry, _ in made]),
            "reason": _texts([_reason(entry) for entry, _ in made]),
        },
        run_id=place.run_id,
    )
    by_item = dict(zip(written["item_id"].to_pylist(), written["review_id"].tolist(), strict=True))
    return pa.array([by_item.get(entry.item_id) for entry in moves], type=pa.int64())


def _reason(entry: Move) -> str:
    way = f"{entry.from_stage or 'the pool'} -> {entry.to_stage} ({entry.outcome})"
    return f"{way}: {entry.because}" if entry.because else way


def _detail(entry: Move) -> dict[str, str]:
    found = {"label": entry.label, "because": entry.because or None}
    return {name: value for name, value in found.items() if value is not None}


def _leave(connection: sa.Connection) -> None:
    there = "SELECT s.item_id FROM item_stages s JOIN moved d ON d.item_id = s.item_id"
    end_leases(connection, there, {})
    connection.execute(sa.text("DELETE FROM item_stages WHERE item_id IN (SELECT item_id FROM moved)"))


def _enter(connection: sa.Connection, place: Place, moves: Sequence[Move]) -> None:
    moment = now_text()
    due = {
        stage.name: None if stage.timeout is None else later(moment, stage.timeout) for stage in place.stages
    }
    entered = [
        entry
        for entry in moves
        if entry.to_stage in place.stages.by_name and not place.stages.by_name[entry.to_stage].is_crowd
    ]
    append(
        connection,
        "item_stages",
        {
            "item_id": _texts([entry.item_id for entry in entered]),
            "dataset_id": _texts([place.dataset.dataset_id] * len(entered)),
            "workflow_id": np.full(len(entered), place.workflow_id),
            "stage": _texts([entry.to_stage for entry in entered]),
            "entered_at": _texts([moment] * len(entered)),
            "due_at": _texts([due[entry.to_stage] for entry in entered]),
        },
    )


def later(moment: str, hours: int) -> str:
    """A time, and hours (in millionths) after it."""
    return t.time_text(datetime.fromisoformat(moment) + timedelta(seconds=hours * 3600 / 1_000_000))


def carried(connection: sa.Connection, item_ids: Sequence[str]) -> dict[str, str]:
    """The label that each of some items in a stage carries from the stages before it, if any."""
    found = {}
    for start in range(0, len(item_ids), 10_000):
        newest = (
            sa.select(sa.func.max(t.stage_transitions.c.transition_id))
            .where(t.stage_transitions.c.item_id.in_(list(item_ids[start : start + 10_000])))
            .group_by(t.stage_transitions.c.item_id)
        )
        for row in connection.execute(
            sa.select(t.stage_transitions.c.item_id, t.stage_transitions.c.detail).where(
                t.stage_transitions.c.transition_id.in_(newest)
            )
        ):
            if row.detail.get("label") is not None:
                found[str(row.item_id)] = str(row.detail["label"])
    return found


def _texts(values: Sequence[str | None]) -> Any:
    return pa.array(values, type=pa.string())
