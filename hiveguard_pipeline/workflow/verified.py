"""Moves out of people's stages, derived again from what they answered: every difference named."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.audit import Finding
from hiveguard_pipeline.rules.arithmetic import Integers, Mask
from hiveguard_pipeline.rules.stages import DISCARD, KAPPA, Stage
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store.bulk import Columns, read_columns
from hiveguard_pipeline.store.class_map import ClassMap
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset
from hiveguard_pipeline.store.schema_versions import maps_by_era, schema_history
from hiveguard_pipeline.store.tables import written_time
from hiveguard_pipeline.workflow.agreed import majority_of
from hiveguard_pipeline.workflow.recorded import workflow_history


def verify_stages(database: Database, dataset_name: str) -> list[Finding]:
    """Derive the outcome of every people's stage that items passed or failed, of one moment of the database.

    Answers are read under the classes of the time. Where Fleiss' kappa of all answers so far had its say, a
    pass must have a majority and a failure is believed.
    """
    with database.read() as connection:
        dataset = get_dataset(connection, dataset_name)
        workflows = {entry.workflow_id: entry.stages for entry in workflow_history(connection, dataset)}
        if not workflows:
            return []
        versions = schema_history(connection, dataset)
        maps = maps_by_era(versions, structured=is_structured(dataset.task_type))
        left = _left(connection, dataset)
        given = read_columns(connection, _GIVEN, {"dataset": dataset.dataset_id}, {"n": int, "answer": str})
    times = left["created_at"]
    later = [pc.greater_equal(times, version.created_at) for version in versions[1:]]
    era = np.sum([_mask(one) for one in later], axis=0) if later else np.zeros(len(times), dtype=np.int64)
    stages = left["from_stage"].dictionary_encode()
    stage_code = stages.indices.to_numpy(zero_copy_only=False)
    kinds = np.stack([left["workflow_id"], stage_code, era], axis=1)
    findings: list[tuple[int, str]] = []
    for workflow_id, code, number in np.unique(kinds, axis=0).tolist():
        rows = np.flatnonzero((kinds == [workflow_id, code, number]).all(axis=1))
        name = stages.dictionary[code].as_py()
        workflow = workflows.get(workflow_id)
        stage = workflow.by_name.get(name) if workflow else None
        if stage is None:
            findings += [(row, f"left {name}, which is no stage of its workflow") for row in rows.tolist()]
        elif stage.has_people:
            for wrong, reason in _differences(dataset, stage, maps[number], left, given, rows):
                findings += [(row, reason) for row in rows[wrong].tolist()]
    ids, names = left["item_id"], left["external_id"]
    return [
        Finding(dataset.name, ids[row].as_py(), names[row].as_py(), None, reason)
        for row, reason in sorted(findings)
    ]


_LEAVING = (
    "SELECT t.*, row_number() OVER (ORDER BY t.transition_id) - 1 AS n, (SELECT max(e.transition_id)"
    " FROM stage_transitions e WHERE e.item_id = t.item_id AND e.to_stage = t.from_stage"
    " AND e.transition_id < t.transition_id) AS entry FROM stage_transitions t"
    " WHERE t.dataset_id = :dataset AND t.outcome IN ('pass', 'fail') AND t.from_stage IS NOT NULL"
)
"""SQL: the ways out of a stage that its answers decided; entry: the way that had led into it."""

_GIVEN = (
    f"SELECT t.n, a.answer FROM ({_LEAVING}) t JOIN stage_transitions e ON e.transition_id = t.entry"
    " JOIN stage_answers a ON a.item_id = t.item_id AND a.stage = t.from_stage"
    " AND a.entered_at <= e.created_at AND NOT EXISTS (SELECT 1 FROM stage_transitions b"
    " WHERE b.item_id = t.item_id AND b.to_stage = t.from_stage AND b.transition_id < e.transition_id"
    " AND b.created_at >= a.entered_at) ORDER BY t.n, a.answer_id"
)
"""SQL: the answers of the time between: an item may be in a stage more than once."""


def _left(connection: sa.Connection, dataset: Dataset) -> Columns:
    label = "json_extract(t.detail, '$.label')"
    if connection.dialect.name != "sqlite":
        label = "t.detail ->> 'label'"
    return read_columns(
        connection,
        "SELECT t.item_id, i.external_id, t.workflow_id, t.from_stage, t.to_stage, t.outcome,"
        f" {label} AS label, CASE WHEN t.entry IS NULL THEN 0 ELSE 1 END AS entered,"
        f" {written_time(connection, 't.created_at')} AS created_at,"
        " CASE WHEN r.decision IN ('accept', 'confirm', 'relabel') THEN 1 ELSE 0 END AS decided,"
        " r.label AS decided_label"
        f" FROM ({_LEAVING}) t JOIN items i ON i.item_id = t.item_id"
        " LEFT JOIN reviews r ON r.review_id = t.review_id ORDER BY t.n",
        {"dataset": dataset.dataset_id},
        {
            "item_id": str,
            "external_id": str,
            "workflow_id": int,
            "from_stage": str,
            "to_stage": str,
            "outcome": str,
            "label": str,
            "entered": int,
            "created_at": str,
            "decided": int,
            "decided_label": str,
        },
    )


def _differences(
    dataset: Dataset, stage: Stage, class_map: ClassMap, left: Columns, given: Columns, rows: Integers
) -> Iterator[tuple[Mask, str]]:
    """What is wrong with some ways out of a stage, all under the same classes; masks of shape (rows,)."""
    picked = pa.array(rows)
    label, outcome = left["label"].take(picked), left["outcome"].take(picked)
    passes = _mask(pc.equal(outcome, "pass"))
    yield left["entered"][rows] == 0, f"left {stage.name} without having come to it"
    first, end = (np.searchsorted(given["n"], rows, side=side) for side in ("left", "right"))
    asked = end - first >= (stage.answers or 1)
    yield ~asked, f"left {stage.name} with fewer answers than it wants"

    sizes = np.where(asked, end - first, 0)[asked]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    places = np.arange(offsets[-1]) + np.repeat(first[asked] - offsets[:-1], sizes)
    answers = class_map.of(given["answer"].take(pa.array(places)))
    most = majority_of(dataset, answers, offsets)
    agreed = np.zeros(len(rows), dtype=bool)
    agreed[asked] = most.reaches(None if stage.measure == KAPPA else stage.least)
    wrong = asked & (passes & ~agreed if stage.measure == KAPPA else passes != agreed)
    yield wrong, f"left {stage.name} with another outcome than its answers give"

    chosen = np.zeros(len(rows), dtype=np.int64)
    chosen[asked] = most.answer
    said = answers.take(pa.array(chosen)) if len(answers) else pa.nulls(len(rows), pa.string())
    yield (
        asked & passes & agreed & ~_same(said, label),
        f"left {stage.name} with another label than agreed on",
    )
    leads = [
        (str(stage.on_fail) if not passed else DISCARD if word is None else stage.on_pass)
        for passed, word in zip(passes.tolist(), label.to_pylist(), strict=True)
    ]
    goes = left["to_stage"].take(picked)
    yield ~_same(goes, pa.array(leads, type=pa.string())), f"went another way than {stage.name} leads"
    decided = (left["decided"][rows] == 1) & passes
    other = decided & ~_same(left["decided_label"].take(picked), label)
    yield other, f"was decided otherwise than agreed on in {stage.name}"


def _same(one: pa.Array, other: pa.Array) -> Mask:
    """Where two columns have the same text, or none both."""
    return _mask(pc.or_(pc.fill_null(pc.equal(one, other), False), pc.and_(one.is_null(), other.is_null())))


def _mask(array: pa.Array) -> Mask:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)
