"""In which datasets a run would write to the ledger for what came: decided for all of them together.

Two statements, however many datasets got votes: the items with as many waiting votes as a run could take,
and those votes. What the rules make of them is for the rules to say, as in a run. Datasets that graduate by
probability are asked one by one: there it takes all votes of an item, and a fit.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import sqlalchemy as sa

from hiveguard_pipeline.rules.columns import NO_CONFIDENCE
from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.store.bulk import Columns, read_columns
from hiveguard_pipeline.store.class_map import NO_CLASS_MAP
from hiveguard_pipeline.store.overview import Overview
from hiveguard_pipeline.store.schema_versions import class_maps_of
from hiveguard_pipeline.store.structured import ITEMS_AT_ONCE
from hiveguard_pipeline.store.work import fold_part, item_of, would_write

_RELEASED = (1 << 63) - 1
"""Stands for the newest vote of an item whose waiting votes a review released."""

_UNLABELED = STATES[State.UNLABELED]
_IN_REVALIDATION = STATES[State.IN_REVALIDATION]

_CANDIDATE_COLUMNS = {
    "dataset_id": str,
    "item_id": str,
    "label": str,
    "confidence": int,
    "state": int,
    "vote_count": int,
    "revalidation_vote_count": int,
}

_COUNTED = (
    " AND NOT EXISTS (SELECT 1 FROM active_exclusions e JOIN items x ON x.dataset_id = e.dataset_id"
    " WHERE x.item_id = v.item_id AND e.solver_id = v.solver_id)"
    " AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.vote_id = v.vote_id)"
)
"""SQL to add to a condition on votes v: that they count in the dataset of their item."""


def due_among(connection: sa.Connection, asked: Sequence[Overview], start: int, end: int) -> set[str]:
    """The names of those datasets in which a run that reads up to `end` would write to the ledger.

    Looked at are items with votes in (start, end] that no run has looked at, and those whose waiting votes
    a review released. Changes nothing.
    """
    due = {
        one.dataset.name
        for one in asked
        if one.policy.is_adaptive
        and would_write(connection, one.dataset, max(start, one.progress.folded_through), end)
    }
    by_rule = {one.dataset.dataset_id: one for one in asked if not one.policy.is_adaptive}
    if not by_rule:
        return due
    only = _COUNTED if any(one.retracted for one in by_rule.values()) else ""
    items = _candidates(connection, list(by_rule.values()), start, end, only)
    changed = [one.dataset for one in by_rule.values() if one.dataset.schema_version > 1]
    maps = class_maps_of(connection, changed) if changed and len(items["state"]) else {}
    for first in range(0, len(items["state"]), ITEMS_AT_ONCE):
        part = {name: column[first : first + ITEMS_AT_ONCE] for name, column in items.items()}
        votes = _waiting_votes(connection, part["item_id"], end, only)
        for begin, stop in _runs_of_equals(part["dataset_id"].to_pylist()):
            one = by_rule[part["dataset_id"][begin].as_py()]
            if one.dataset.name in due:
                continue
            own = slice(*np.searchsorted(votes["n"], [begin, stop]))
            mine = {name: column[own] for name, column in votes.items()}
            mine["answer"] = maps.get(one.dataset.dataset_id, NO_CLASS_MAP).of(mine["answer"])
            work = {name: column[begin:stop] for name, column in part.items()}
            if len(fold_part(one.dataset, begin, work, mine, one.policy).folded.ledger):
                due.add(one.dataset.name)
    return due


def _candidates(connection: sa.Connection, asked: list[Overview], start: int, end: int, only: str) -> Columns:
    """The items to look at that have as many waiting votes as a first pass, or a batch, takes."""
    uuid = "{}" if connection.dialect.name == "sqlite" else "CAST({} AS uuid)"
    datasets = ", ".join(
        f"({uuid.format(f':dataset_{number}')}, {one.progress.folded_through},"
        f" {one.policy.consensus_threshold}, {one.policy.revalidation_min_votes})"
        for number, one in enumerate(asked)
    )
    state = f"coalesce(l.state, '{_UNLABELED}')"
    # As filters, vote_ids tempt PostgreSQL into no second index, of all votes after some old one.
    waiting = (
        "(SELECT count(*) FILTER (WHERE v.vote_id > coalesce(l.applied_through, 0) AND v.vote_id <= :end)"
        f" FROM votes v WHERE v.item_id = i.item_id{only})"
    )
    # CROSS JOIN keeps SQLite's loop order: from the few items that got votes to all else by key.
    return read_columns(
        connection,
        f"WITH asked(dataset_id, since, first_pass, batch) AS (VALUES {datasets})"
        " SELECT i.dataset_id, i.item_id, l.label,"
        f" coalesce(l.confidence, {NO_CONFIDENCE}) AS confidence,"
        f" CASE {state} WHEN '{_UNLABELED}' THEN {int(State.UNLABELED)}"
        f" ELSE {int(State.IN_REVALIDATION)} END AS state,"
        " coalesce(l.vote_count, 0) AS vote_count,"
        " coalesce(l.revalidation_vote_count, 0) AS revalidation_vote_count"
        " FROM (SELECT item_id, max(newest) AS newest FROM"
        " (SELECT item_id, vote_id AS newest FROM votes WHERE vote_id > :start AND vote_id <= :end"
        f" UNION ALL SELECT item_id, {_RELEASED} FROM recheck_items) got GROUP BY item_id) c"
        f" {item_of(connection, 'c')} CROSS JOIN asked a LEFT JOIN labels l ON l.item_id = i.item_id"
        " WHERE a.dataset_id = i.dataset_id AND c.newest > a.since"
        f" AND i.gold_label IS NULL AND {state} IN ('{_UNLABELED}', '{_IN_REVALIDATION}')"
        f" AND {waiting} >= CASE {state} WHEN '{_UNLABELED}' THEN a.first_pass ELSE a.batch END"
        " ORDER BY i.dataset_id, i.item_id",
        {
            "start": start,
            "end": end,
            **{f"dataset_{number}": one.dataset.dataset_id for number, one in enumerate(asked)},
        },
        _CANDIDATE_COLUMNS,
    )


def _waiting_votes(connection: sa.Connection, item_ids: Any, end: int, only: str) -> Columns:
    """The waiting votes of some items in arrival order; n: the item's place among item_ids."""
    sqlite = connection.dialect.name == "sqlite"
    ids = item_ids.to_pylist()
    given = (
        "(SELECT key AS n, value AS item_id FROM json_each(:items))"
        if sqlite
        else "(SELECT n - 1 AS n, item_id FROM unnest(CAST(:items AS uuid[])) WITH ORDINALITY o(item_id, n))"
    )
    return read_columns(
        connection,
        f"SELECT c.n, v.vote_id, v.answer FROM {given} c LEFT JOIN labels l ON l.item_id = c.item_id"
        " CROSS JOIN votes v WHERE v.item_id = c.item_id AND v.vote_id > coalesce(l.applied_through, 0)"
        f" AND v.vote_id <= :end{only} ORDER BY c.n, v.vote_id",
        {"items": json.dumps(ids) if sqlite else ids, "end": end},
        {"n": int, "vote_id": int, "answer": str},
    )


def _runs_of_equals(values: list[str]) -> Iterator[tuple[int, int]]:
    """Where each run of equal values begins and ends."""
    first = 0
    for _, run in groupby(values):
        end = first + sum(1 for _ in run)
        yield first, end
        first = end
