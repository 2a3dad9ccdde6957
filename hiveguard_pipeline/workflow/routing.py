"""Which task a person is asked next: by stage, group and skill; never an item that they know already."""

from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from hiveguard_pipeline.pool import sample, sample_some
from hiveguard_pipeline.review import queue_head
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.rules.stages import CROWD, Stage, Stages
from hiveguard_pipeline.rules.states import POOL_STATES, STATES, State
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import read_columns
from hiveguard_pipeline.store.datasets import Dataset, current_policy, now_text
from hiveguard_pipeline.store.schema_versions import class_map_of
from hiveguard_pipeline.store.structured import agreeing
from hiveguard_pipeline.workflow.documented import LIFE_CYCLE, REVIEW
from hiveguard_pipeline.workflow.people import groups_of
from hiveguard_pipeline.workflow.recorded import current_workflow

LEAST_GOLD = 5
"""Gold items that somebody must have answered before their skill is known."""

_NEVER_RANKED = 2_000_000_000
_DRAWN, _DRAWN_FROM = 200, 20_000
_QUEUED_AT_ONCE, _LOOKED_AT_ONCE = 5_000, 500
_POOL = ", ".join(f"'{state}'" for state in POOL_STATES)

_UNKNOWN_TO = (
    " AND NOT EXISTS (SELECT 1 FROM votes k WHERE k.item_id = {item} AND k.solver_id = :solver)"
    " AND NOT EXISTS (SELECT 1 FROM stage_answers k WHERE k.item_id = {item} AND k.solver_id = :solver)"
    " AND NOT EXISTS (SELECT 1 FROM reviews k WHERE k.item_id = {item} AND k.reviewer = :solver)"
    " AND NOT EXISTS (SELECT 1 FROM leases k WHERE k.item_id = {item} AND k.solver_id = :solver"
    " AND (k.ended_at IS NULL OR k.ending <> 'expired'))"
)
"""SQL: a person has not voted on an item, answered it, decided on it, held it or given it back."""

_OPEN = "(SELECT count(*) FROM leases o WHERE o.item_id = {item} AND o.ended_at IS NULL)"


@dataclass(frozen=True, slots=True)
class Chosen:
    """An item for a person. shown: since when it stands as it does, where that must not have changed."""

    item_id: str
    stage: str
    shown: str


def choose(connection: sa.Connection, dataset: Dataset, solver: str, n: int) -> list[Chosen]:
    """Up to n items for a person, in the order of the work: reviews, what a selection ranks, the pool."""
    recorded = current_workflow(connection, dataset)
    stages = LIFE_CYCLE if recorded is None else recorded.stages
    mine = _stages_of(connection, dataset, stages, solver)
    if not mine or _is_excluded(connection, dataset, solver):
        return []
    found: list[Chosen] = []
    asked = [stage for stage in mine if stage.has_people]
    if asked and recorded is None:
        found += _to_review(connection, dataset, solver, n)
    elif asked:
        found += _in_stages(connection, dataset, asked, solver, n)
    pool = [stage for stage in mine if stage.is_crowd]
    if pool and len(found) < n:
        found += _in_pool(connection, dataset, stages, pool, solver, n - len(found))
    return found


def _stages_of(connection: sa.Connection, dataset: Dataset, stages: Stages, solver: str) -> list[Stage]:
    """The stages that ask a person: those of their groups, the crowd's for who is in none; by skill."""
    groups = groups_of(connection, dataset, solver) or {CROWD}
    mine = [stage for stage in stages if stage.who in groups]
    if not any(stage.least_skill for stage in mine):
        return mine
    known = skill(connection, dataset, solver)
    return [
        stage
        for stage in mine
        if not stage.least_skill or (known is not None and known * ONE >= stage.least_skill)
    ]


def skill(connection: sa.Connection, dataset: Dataset, solver: str) -> float | None:
    """The share of gold items on which a person agrees with the truth; None under LEAST_GOLD of them."""
    found = read_columns(
        connection,
        "SELECT v.answer, i.gold_label FROM items i JOIN votes v ON v.item_id = i.item_id"
        " WHERE i.dataset_id = :dataset AND i.gold_label IS NOT NULL AND v.solver_id = :solver",
        {"dataset": dataset.dataset_id, "solver": solver},
        {"answer": str, "gold_label": str},
    )
    if len(found["answer"]) < LEAST_GOLD:
        return None
    answers = class_map_of(connection, dataset).of(found["answer"])
    return float(np.mean(agreeing(dataset, answers, found["gold_label"])))


def _is_excluded(connection: sa.Connection, dataset: Dataset, solver: str) -> bool:
    return bool(
        connection.execute(
            sa.text("SELECT 1 FROM active_exclusions WHERE dataset_id = :dataset AND solver_id = :solver"),
            {"dataset": dataset.dataset_id, "solver": solver},
        ).first()
    )


def _in_stages(
    connection: sa.Connection, dataset: Dataset, asked: list[Stage], solver: str, n: int
) -> list[Chosen]:
    """Items in stages of people that still want answers: labels in doubt first, then by rank, then by age."""
    named = ", ".join(f"'{stage.name}'" for stage in asked)
    found: list[Chosen] = []
    looked_at, size = 0, _QUEUED_AT_ONCE
    while len(found) < n:
        rows = connection.execute(
            sa.text(
                "SELECT w.item_id FROM item_stages w LEFT JOIN labels l ON l.item_id = w.item_id"
                " LEFT JOIN labeling_queue q ON q.item_id = w.item_id"
                f" WHERE w.dataset_id = :dataset AND w.stage IN ({named})"
                " ORDER BY CASE WHEN l.label IS NULL THEN 1 ELSE 0 END,"
                f" coalesce(q.rank, {_NEVER_RANKED}), w.entered_at, w.item_id LIMIT :size"
            ).columns(item_id=t.Uuid),
            {"dataset": dataset.dataset_id, "size": size},
        )
        items = [str(item) for item in rows.scalars()]
        found += _wanting(connection, items[looked_at:], asked, solver, n - len(found))
        looked_at = len(items)
        if looked_at < size:
            break
        size *= 8
    return found


def _wanting(
    connection: sa.Connection, item_ids: list[str], asked: list[Stage], solver: str, n: int
) -> list[Chosen]:
    """Those of some items in stages that want an answer of a person, in their order, n at most."""
    wanted = " ".join(f"WHEN '{stage.name}' THEN {stage.answers or 1}" for stage in asked)
    answers = (
        "(SELECT count(*) FROM stage_answers a WHERE a.item_id = w.item_id AND a.stage = w.stage"
        " AND a.entered_at = w.entered_at)"
    )
    return _those(
        connection,
        "SELECT w.item_id, w.stage, w.entered_at AS shown FROM item_stages w"
        " JOIN items i ON i.item_id = w.item_id WHERE w.item_id IN :items AND i.gold_label IS NULL"
        f" AND {answers} + {_OPEN.format(item='w.item_id')} < CASE w.stage {wanted} END"
        f"{_UNKNOWN_TO.format(item='w.item_id')}",
        item_ids,
        solver,
        n,
    )


def _those(connection: sa.Connection, query: str, item_ids: list[str], solver: str, n: int) -> list[Chosen]:
    """The first n of some items that a query takes, in the order of the items, looked at by parts."""
    found: list[Chosen] = []
    for start in range(0, len(item_ids), _LOOKED_AT_ONCE):
        part = item_ids[start : start + _LOOKED_AT_ONCE]
        rows = connection.execute(
            sa.text(query)
            .bindparams(sa.bindparam("items", part, expanding=True, type_=t.Uuid))
            .columns(item_id=t.Uuid, shown=t.UtcTime),
            {"solver": solver},
        )
        taken = {str(row.item_id): Chosen(str(row.item_id), row.stage, row.shown or "") for row in rows}
        found += [taken[item] for item in part if item in taken]
        if len(found) >= n:
            break
    return found[:n]


def _to_review(connection: sa.Connection, dataset: Dataset, solver: str, n: int) -> list[Chosen]:
    """The review queue of a dataset without a workflow, least confident first, one reviewer an item."""
    undecided = (
        f"SELECT s.item_id, '{REVIEW}' AS stage, s.updated_at AS shown FROM item_status s"
        f" WHERE s.item_id IN :items AND {_OPEN.format(item='s.item_id')} = 0"
        f"{_UNKNOWN_TO.format(item='s.item_id')}"
    )
    found: list[Chosen] = []
    looked_at, size = 0, _QUEUED_AT_ONCE
    while len(found) < n:
        head = queue_head(connection, dataset, size)
        items = [item_id for _, item_id in head.keys[looked_at:]]
        found += _those(connection, undecided, items, solver, n - len(found))
        looked_at = len(head.keys)
        if looked_at == head.total:
            break
        size *= 8
    return found


def _in_pool(
    connection: sa.Connection, dataset: Dataset, stages: Stages, mine: list[Stage], solver: str, n: int
) -> list[Chosen]:
    """Items of the pool that wait in no stage: the newest selection by rank, then a weighted draw."""
    named = {stage.name for stage in mine}
    ranked = connection.execute(
        sa.text(
            "SELECT q.item_id FROM labeling_queue q JOIN item_status s ON s.item_id = q.item_id"
            f" WHERE q.dataset_id = :dataset AND s.state IN ({_POOL}) ORDER BY q.rank"
        ).columns(item_id=t.Uuid),
        {"dataset": dataset.dataset_id},
    ).scalars()
    found = _free(connection, dataset, stages, [str(item) for item in ranked], named, solver, n)
    if len(found) < n:
        known = {entry.item_id for entry in found}
        drawn_here = sample_some(connection, dataset, _DRAWN, _DRAWN_FROM)
        some = [item for item in drawn_here if item not in known]
        found += _free(connection, dataset, stages, some, named, solver, n - len(found))
    drawn, size = 0, 8 * _DRAWN
    while len(found) < n:
        items = [item.item_id for item in sample(connection, dataset, size)]
        known = {entry.item_id for entry in found}
        more = [item for item in items if item not in known]
        found += _free(connection, dataset, stages, more, named, solver, n - len(found))
        if len(items) < size or len(items) == drawn:
            break
        drawn, size = len(items), size * 8
    return found


def _free(
    connection: sa.Connection,
    dataset: Dataset,
    stages: Stages,
    item_ids: list[str],
    named: set[str],
    solver: str,
    n: int,
) -> list[Chosen]:
    """Those of some items of the pool that a person may be asked about, in their order, n at most.

    As many are asked at once as could still be of use: up to a first label, then to a full batch.
    """
    policy = current_policy(connection, dataset).policy
    found: list[Chosen] = []
    for start in range(0, len(item_ids), 5_000):
        part = item_ids[start : start + 5_000]
        rows = connection.execute(
            sa.text(
                "SELECT i.item_id, coalesce(l.state, 'unlabeled') AS state,"
                f" {_OPEN.format(item='i.item_id')} AS open, (SELECT count(*) FROM votes v"
                " WHERE v.item_id = i.item_id) AS votes FROM items i LEFT JOIN labels l"
                " ON l.item_id = i.item_id WHERE i.item_id IN :items AND i.gold_label IS NULL"
                " AND NOT EXISTS (SELECT 1 FROM item_stages w WHERE w.item_id = i.item_id)"
                f"{_UNKNOWN_TO.format(item='i.item_id')}"
            )
            .bindparams(sa.bindparam("items", part, expanding=True, type_=t.Uuid))
            .columns(item_id=t.Uuid),
            {"solver": solver},
        )
        wants = {}
        for row in rows:
            first = row.state == STATES[State.UNLABELED]
            missing = policy.consensus_threshold - row.votes if first else policy.revalidation_min_votes
            stage = stages.crowd[0 if first else -1].name
            if stage in named and row.open < max(missing, 1):
                wants[str(row.item_id)] = stage
        found += [Chosen(item, wants[item], "") for item in part if item in wants]
        if len(found) >= n:
            break
    return found[:n]


def hold_leases(connection: sa.Connection, dataset: Dataset) -> None:
    """Take the turn of those who lease from a dataset, until the transaction ends; runs are not held up.

    Leases that ran out are ended. On SQLite a write transaction holds the whole file already.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(
            sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
            {"name": f"hiveguard leases {dataset.dataset_id}"},
        )
    moment = now_text()
    connection.execute(
        t.leases.update()
        .where(
            t.leases.c.dataset_id == dataset.dataset_id,
            t.leases.c.ended_at.is_(None),
            t.leases.c.expires_at <= moment,
        )
        .values(ended_at=moment, ending="expired")
    )
