"""Stages that have what they wait for: answers of people, a model's proposal, or no time left."""

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa

from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.rules.stage_answers import fleiss_kappa
from hiveguard_pipeline.rules.stages import DISCARD, KAPPA, MODEL, Stage
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import Columns, read_columns
from hiveguard_pipeline.store.datasets import now_text
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.workflow.agreed import majority_of
from hiveguard_pipeline.workflow.moves import Move, Place, carried

_ANSWERS = (
    "SELECT w.item_id, a.answer, a.solver_id FROM item_stages w JOIN stage_answers a"
    " ON a.item_id = w.item_id AND a.stage = w.stage AND a.entered_at = w.entered_at"
    " WHERE w.dataset_id = :dataset AND w.stage = :stage{one} AND (SELECT count(*) FROM stage_answers c"
    " WHERE c.item_id = w.item_id AND c.stage = w.stage AND c.entered_at = w.entered_at) >= :wanted"
    " ORDER BY w.item_id, a.answer_id"
)


def answered(connection: sa.Connection, place: Place, item_id: str | None = None) -> list[Move]:
    """Items, or one, whose stage has the answers that it wants: where their agreement takes them."""
    moves = []
    query = _ANSWERS.format(one="" if item_id is None else " AND w.item_id = :item")
    for stage in place.stages:
        if stage.has_people:
            names = {
                "dataset": place.dataset.dataset_id,
                "stage": stage.name,
                "wanted": stage.answers or 1,
                "item": item_id,
            }
            found = read_columns(connection, query, names, {"item_id": str, "answer": str, "solver_id": str})
            moves += _agreed(connection, place, stage, found)
    return moves


def _agreed(connection: sa.Connection, place: Place, stage: Stage, found: Columns) -> list[Move]:
    if not len(found["item_id"]):
        return []
    items = found["item_id"].dictionary_encode()
    item = items.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    offsets = np.searchsorted(item, np.arange(len(items.dictionary) + 1)).astype(np.int64)
    answers = class_map_of(connection, place.dataset).of(found["answer"])
    most = majority_of(place.dataset, answers, offsets)
    passed = most.reaches(None if stage.measure == KAPPA else stage.least)
    if stage.measure == KAPPA:
        kappa = _kappa_of(connection, place, stage)
        passed &= kappa is None or kappa * ONE >= (stage.least or 0)
    moves = []
    for row, item_id in enumerate(items.dictionary.to_pylist()):
        given = range(int(offsets[row]), int(offsets[row + 1]))
        because = "; ".join(f"{found['solver_id'][n].as_py()}: {_said(answers[n].as_py())}" for n in given)
        label = answers[int(most.answer[row])].as_py()
        if not passed[row]:
            moves.append(Move(item_id, stage.name, "fail", str(stage.on_fail), None, because))
        elif label is None:
            moves.append(Move(item_id, stage.name, "pass", DISCARD, None, because))
        else:
            moves.append(Move(item_id, stage.name, "pass", stage.on_pass, label, because))
    return moves


def _kappa_of(connection: sa.Connection, place: Place, stage: Stage) -> float | None:
    """Fleiss' kappa of all answers that a stage was ever given."""
    found = read_columns(
        connection,
        "SELECT dense_rank() OVER (ORDER BY item_id, entered_at) - 1 AS n, answer FROM stage_answers"
        " WHERE dataset_id = :dataset AND stage = :stage ORDER BY n",
        {"dataset": place.dataset.dataset_id, "stage": stage.name},
        {"n": int, "answer": str},
    )
    answers = class_map_of(connection, place.dataset).of(found["answer"]).dictionary_encode()
    codes = answers.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return fleiss_kappa(found["n"], codes)


def _said(answer: str | None) -> str:
    if answer is None:
        return DISCARD
    return answer if len(answer) <= 60 else answer[:59] + "…"


def proposed(connection: sa.Connection, place: Place) -> list[Move]:
    """Items in a model's stage for which there is a proposal: whether it is probable enough.

    What a model says blindly, to be measured by, decides nothing: people answer there.
    """
    moves = []
    for stage in place.stages:
        if stage.who != MODEL:
            continue
        found = read_columns(
            connection,
            "SELECT w.item_id, p.answer, p.probability, p.model_id,"
            " CASE WHEN p.blind THEN 1 ELSE 0 END AS blind FROM item_stages w"
            " JOIN prelabels p ON p.item_id = w.item_id"
            " WHERE w.dataset_id = :dataset AND w.stage = :stage ORDER BY w.item_id",
            {"dataset": place.dataset.dataset_id, "stage": stage.name},
            {"item_id": str, "answer": str, "probability": int, "model_id": int, "blind": int},
        )
        answers = class_map_of(connection, place.dataset).of(found["answer"]).to_pylist()
        enough = (found["probability"] >= (stage.least or 0)) & (found["blind"] == 0)
        classes = place.dataset.classes
        for row, (item_id, label) in enumerate(zip(found["item_id"].to_pylist(), answers, strict=True)):
            because = f"model {found['model_id'][row]} at {found['probability'][row] / ONE:g}"
            known = classes is None or label in classes
            if enough[row] and known:
                moves.append(Move(item_id, stage.name, "pass", stage.on_pass, label, because))
            else:
                moves.append(Move(item_id, stage.name, "fail", str(stage.on_fail), None, because))
    return moves


def timed_out(connection: sa.Connection, place: Place) -> list[Move]:
    """Items whose time in a stage is over; what stages before it agreed on still counts."""
    rows = connection.execute(
        sa.select(t.item_stages.c.item_id, t.item_stages.c.stage)
        .where(
            t.item_stages.c.dataset_id == place.dataset.dataset_id,
            t.item_stages.c.due_at <= now_text(),
        )
        .order_by(t.item_stages.c.item_id)
    ).all()
    labels = carried(connection, [str(row.item_id) for row in rows])
    found: Sequence[tuple[str, Stage]] = [
        (str(row.item_id), place.stages.by_name[row.stage])
        for row in rows
        if row.stage in place.stages.by_name
    ]
    return [
        Move(item_id, stage.name, "timeout", stage.on_timeout, labels.get(item_id), "time ran out")
        for item_id, stage in found
        if stage.on_timeout is not None
    ]
