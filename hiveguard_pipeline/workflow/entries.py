"""Items that come into a stage from the pool: what votes could not settle, what a gate takes, what is new."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.review.queue import NO_MAJORITY_VOTES
from hiveguard_pipeline.rules.arithmetic import Mask
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.rules.spot_checks import chosen, words_of
from hiveguard_pipeline.rules.stages import GATED, Gate, Stage
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import Columns, read_columns
from hiveguard_pipeline.store.datasets import now_text
from hiveguard_pipeline.store.exclusions import counted
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.structured import agreeing
from hiveguard_pipeline.workflow.moves import Move, Place, later

Kappa = Callable[[], float | None]
"""The mean kappa of a dataset, measured when it is asked for; None where it is undefined."""

ITEMS_AT_ONCE = 100_000

_UNLABELED, _IN_REVALIDATION, _NEEDS_REVIEW, _GRADUATED, _, _ = STATES
_FREE = (
    "i.dataset_id = :dataset AND i.gold_label IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM item_stages w WHERE w.item_id = i.item_id)"
)
_NOT_YET = (
    "NOT EXISTS (SELECT 1 FROM stage_transitions x WHERE x.item_id = i.item_id AND x.to_stage = :stage)"
)
# What was graduated when the workflow was set is finished.
_SINCE_SET = (
    "EXISTS (SELECT 1 FROM batches b WHERE b.item_id = i.item_id AND b.applied_at >"
    " (SELECT f.created_at FROM workflows f WHERE f.workflow_id = :workflow))"
)


def entering(connection: sa.Connection, place: Place, since: int | None, kappa: Kappa) -> list[Move]:
    """Moves from the pool into stages, one an item.

    since: only items that a ledger row after this one concerns; None looks at the whole dataset, at items
    without a majority and at what ran out of time in the pool too.
    """
    found: dict[str, Move] = {}
    for move in _flagged(connection, place, since):
        found.setdefault(move.item_id, move)
    for stage in place.stages:
        for move in _gated(connection, place, stage, since, kappa):
            found.setdefault(move.item_id, move)
    if since is None:
        for moves in (_without_majority, _overdue, _beginning):
            for move in moves(connection, place):
                found.setdefault(move.item_id, move)
    return list(found.values())


def _changed(since: int | None) -> str:
    if since is None:
        return ""
    return " AND i.item_id IN (SELECT n.item_id FROM batches n WHERE n.batch_id > :since)"


def _names(place: Place, since: int | None = None, **more: Any) -> dict[str, Any]:
    return {"dataset": place.dataset.dataset_id, **more} | ({} if since is None else {"since": since})


def _flagged(connection: sa.Connection, place: Place, since: int | None) -> list[Move]:
    """Labels in review that wait in no stage: under the floor, or because a decision on them was undone."""
    crowd = place.stages.crowd
    failed = next((stage.on_fail for stage in reversed(crowd) if stage.on_fail is not None), None)
    found = read_columns(
        connection,
        "SELECT i.item_id, coalesce((SELECT x.from_stage FROM stage_transitions x JOIN reviews u"
        " ON u.undoes = x.review_id AND u.item_id = x.item_id WHERE x.transition_id ="
        " (SELECT max(n.transition_id) FROM stage_transitions n WHERE n.item_id = i.item_id)), '') AS back"
        " FROM items i JOIN labels l ON l.item_id = i.item_id"
        f" WHERE {_FREE} AND l.state = '{_NEEDS_REVIEW}'{_changed(since)} ORDER BY i.item_id",
        _names(place, since),
        {"item_id": str, "back": str},
    )
    moves = []
    for item_id, back in zip(found["item_id"].to_pylist(), found["back"].to_pylist(), strict=True):
        stage = place.stages.by_name.get(back)
        if stage is not None and not stage.is_crowd:
            moves.append(Move(item_id, None, "undone", back, None, "a decision on it was undone"))
        elif failed is not None:
            moves.append(Move(item_id, None, "fail", failed, None, "the label is under the floor"))
    return moves


def _gated(
    connection: sa.Connection, place: Place, stage: Stage, since: int | None, kappa: Kappa
) -> list[Move]:
    """Labels in use that a stage takes: by its gate, or because they passed the crowd's last stage."""
    moves = []
    if stage.gate is not None:
        because = "its gate took it"
        items = _through(connection, place, stage.name, stage.gate, since, kappa)
        moves += [Move(item_id, None, "gate", stage.name, None, because) for item_id in items]
    crowd = place.stages.crowd
    passed = crowd[-1].on_pass if crowd and stage is crowd[-1] else None
    if passed in place.stages.by_name:
        items = _through(connection, place, str(passed), Gate(states=GATED[1:]), since, kappa)
        moves += [
            Move(item_id, None, "pass", str(passed), None, "its votes graduated it") for item_id in items
        ]
    return moves


def _through(
    connection: sa.Connection, place: Place, stage: str, gate: Gate, since: int | None, kappa: Kappa
) -> list[str]:
    conditions = [f"l.state IN ({', '.join(repr(state) for state in gate.states)})"]
    for name in ("confidence", "probability"):
        for end, sign in (("above", ">="), ("below", "<")):
            value = getattr(gate, f"{name}_{end}")
            if value is not None:
                conditions.append(f"l.{name} {sign} {value:d}")
    finished = f"(l.state <> '{_GRADUATED}' OR {_SINCE_SET})"
    found = read_columns(
        connection,
        f"SELECT i.item_id, l.label FROM items i JOIN labels l ON l.item_id = i.item_id WHERE {_FREE}"
        f" AND {' AND '.join(conditions)}{_changed(since)} AND {_NOT_YET} AND {finished} ORDER BY i.item_id",
        _names(place, since, stage=stage, workflow=place.workflow_id),
        {"item_id": str, "label": str},
    )
    if gate.classes is not None:
        names = class_map_of(connection, place.dataset).of(pa.array(gate.classes, type=pa.string()))
        found = _only(found, pc.is_in(found["label"], value_set=names).to_numpy(zero_copy_only=False))
    if gate.random is not None:
        found = _only(found, chosen(words_of(found["item_id"].to_pylist()), stage, gate.random))
    if gate.disagreement is not None:
        found = _only(found, _disputed(connection, place, found, gate.disagreement))
    if gate.kappa_below is not None and len(found["item_id"]):
        measured = kappa()
        if measured is not None and measured * ONE >= gate.kappa_below:
            return []
    return list(found["item_id"].to_pylist())


def _only(found: Columns, mask: Mask) -> Columns:
    return {name: column.filter(pa.array(mask)) for name, column in found.items()}


def _disputed(connection: sa.Connection, place: Place, found: Columns, share: int) -> Mask:
    """Whether at least a share of an item's applied votes that count name another label."""
    disputed = np.zeros(len(found["item_id"]), dtype=bool)
    only = counted(connection, place.dataset)
    class_map = class_map_of(connection, place.dataset)
    for start in range(0, len(disputed), ITEMS_AT_ONCE):
        ids = found["item_id"][start : start + ITEMS_AT_ONCE]
        window = {"dataset": place.dataset.dataset_id, "first": ids[0].as_py(), "last": ids[-1].as_py()}
        votes = read_columns(
            connection,
            "SELECT l.item_id, v.answer FROM labels l JOIN votes v ON v.item_id = l.item_id"
            f" AND v.vote_id <= l.applied_through WHERE l.dataset_id = :dataset{only}"
            " AND l.item_id >= :first AND l.item_id <= :last ORDER BY l.item_id",
            window,
            {"item_id": str, "answer": str},
        )
        row = pc.index_in(votes["item_id"], value_set=ids).fill_null(-1).to_numpy(zero_copy_only=False)
        own = np.flatnonzero(row >= 0)
        labels = found["label"].slice(start, len(ids)).take(pa.array(row[own]))
        agrees = agreeing(place.dataset, class_map.of(votes["answer"].take(pa.array(own))), labels)
        votes_of = np.bincount(row[own], minlength=len(ids))
        others = np.bincount(row[own][~agrees], minlength=len(ids))
        disputed[start : start + len(ids)] = (votes_of > 0) & (others * ONE >= share * votes_of)
    return disputed


def _without_majority(connection: sa.Connection, place: Place) -> list[Move]:
    """Items with votes enough to graduate on which no answer has a majority (DESIGN section 2, Review)."""
    crowd = place.stages.crowd
    target = next((stage.on_fail for stage in crowd if stage.on_fail is not None), None)
    if target is None:
        return []
    only = counted(connection, place.dataset)
    found = read_columns(
        connection,
        "SELECT i.item_id FROM contested_items c JOIN items i ON i.item_id = c.item_id"
        f" JOIN item_status s ON s.item_id = i.item_id {NO_MAJORITY_VOTES}{only}"
        f" WHERE {_FREE} AND s.state = '{_UNLABELED}' AND {_NOT_YET}"
        " GROUP BY i.item_id HAVING count(v.vote_id) >= :least ORDER BY i.item_id",
        _names(place, stage=target, least=place.recorded.policy.revalidation_min_total_votes),
        {"item_id": str},
    )
    because = "no answer has a majority"
    return [Move(item_id, None, "fail", target, None, because) for item_id in found["item_id"].to_pylist()]


def _overdue(connection: sa.Connection, place: Place) -> list[Move]:
    """Items that have been with the crowd for longer than its stage allows."""
    moves = []
    crowd = place.stages.crowd
    for stage in crowd:
        if stage.timeout is None or stage.on_timeout is None:
            continue
        states = []
        if stage is crowd[0]:
            states.append(f"coalesce(l.state, '{_UNLABELED}') = '{_UNLABELED}' AND i.created_at <= :cut")
        if stage is crowd[-1]:
            states.append(f"l.state = '{_IN_REVALIDATION}' AND l.created_at <= :cut")
        began = " OR ".join(f"({state})" for state in states)
        rows = connection.execute(
            sa.text(
                "SELECT i.item_id FROM items i LEFT JOIN labels l ON l.item_id = i.item_id"
                f" WHERE {_FREE} AND ({began}) AND NOT EXISTS (SELECT 1 FROM stage_transitions x"
                " WHERE x.item_id = i.item_id AND x.created_at > :cut) ORDER BY i.item_id"
            )
            .bindparams(sa.bindparam("cut", later(now_text(), -stage.timeout), type_=t.UtcTime))
            .columns(item_id=t.Uuid),
            _names(place),
        ).scalars()
        because = "time ran out in the pool"
        moves += [Move(str(item_id), None, "timeout", stage.on_timeout, None, because) for item_id in rows]
    return moves


def _beginning(connection: sa.Connection, place: Place) -> list[Move]:
    """Items that nothing is known of, where a workflow does not begin with the crowd."""
    first = place.stages.first
    if first.is_crowd:
        return []
    found = read_columns(
        connection,
        "SELECT i.item_id FROM items i LEFT JOIN labels l ON l.item_id = i.item_id"
        f" WHERE {_FREE} AND coalesce(l.state, '{STATES[State.UNLABELED]}') = '{_UNLABELED}'"
        " AND NOT EXISTS (SELECT 1 FROM stage_transitions x WHERE x.item_id = i.item_id)"
        " ORDER BY i.item_id",
        _names(place),
        {"item_id": str},
    )
    return [Move(item_id, None, "start", first.name) for item_id in found["item_id"].to_pylist()]
