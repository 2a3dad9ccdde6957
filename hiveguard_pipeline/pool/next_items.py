"""What to ask a solver next: items of the pool with gold among them, each as the store has it now."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from hiveguard_pipeline.pool.served import ServedPool
from hiveguard_pipeline.rules.states import POOL_STATES, STATES, State
from hiveguard_pipeline.store.database import Database

TRIES = (1, 4, 32, 256)
"""How many times the wanted items are drawn, one after another, until enough of them can be served."""

MOST_DRAWN = 20_000
GOLD_SPARE = 8

NOTHING_THERE = "nothing-in-pool"
NOTHING_NEW = "nothing-new-for-solver"


@dataclass(frozen=True, slots=True)
class Shown:
    """An item as a solver sees it. text: of an item that is text, where the store holds it."""

    item_id: str
    external_id: str
    data_ref: str
    modality: str
    text: str | None


@dataclass(frozen=True, slots=True)
class Next:
    """What to ask. is_short: fewer than wanted. reason: why there is nothing, None where there is some."""

    items: list[Shown]
    is_short: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class _Candidate:
    shown: Shown
    is_gold: bool
    is_asked_for: bool
    is_known: bool


def next_items(
    database: Database,
    pool: ServedPool,
    n: int,
    gold: int,
    solver: str | None,
    random: np.random.Generator,
) -> Next:
    """Up to n items of tiers 1 and 2 in serving order, and up to `gold` gold items at random places.

    Where no item of the pool is left, gold takes their place. A solver is asked nothing that they have
    answered; without one, anything.
    """
    looked_at: dict[str, _Candidate] = {}
    order: dict[str, None] = {}
    truths: dict[str, None] = {}
    for times in TRIES:
        wanted = min(n * times, MOST_DRAWN)
        drawn = pool.draw(wanted, random)
        truth = pool.draw_gold((n + gold) * times + GOLD_SPARE, random)
        new = [key for key in {**dict.fromkeys(drawn), **dict.fromkeys(truth)} if key not in looked_at]
        looked_at |= _looked_at(database, new, solver)
        order |= dict.fromkeys(drawn)
        truths |= dict.fromkeys(truth)
        asked = [key for key in order if key in looked_at and looked_at[key].is_asked_for][:n]
        known = [key for key in truths if key in looked_at and _is_truth(looked_at[key])]
        enough = len(known) >= gold or len(truth) < (n + gold) * times + GOLD_SPARE
        if (len(asked) == n or len(drawn) < wanted or wanted == MOST_DRAWN) and enough:
            break
    pool.served(asked)
    places = [looked_at[key].shown for key in asked]
    for key in known[: gold if asked else max(n, gold)]:
        places.insert(int(random.integers(len(places) + 1)), looked_at[key].shown)
    if places:
        return Next(places, len(asked) < n, None)
    return Next([], True, NOTHING_NEW if any(one.is_known for one in looked_at.values()) else NOTHING_THERE)


def _is_truth(candidate: _Candidate) -> bool:
    return candidate.is_gold and not candidate.is_known


def _looked_at(database: Database, item_ids: Sequence[str], solver: str | None) -> dict[str, _Candidate]:
    """The items as they are now, in one look by key."""
    if not item_ids:
        return {}
    chosen: str
    keys: object
    if database.is_sqlite:
        chosen, keys = "s.item_id IN (SELECT value FROM json_each(:keys))", json.dumps(item_ids)
    else:
        chosen, keys = "s.item_id = ANY(CAST(:keys AS uuid[]))", list(item_ids)
    voted = (
        "EXISTS (SELECT 1 FROM votes v WHERE v.item_id = s.item_id AND v.solver_id = :solver)"
        if solver is not None
        else "false"
    )
    with database.look() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT s.item_id, s.external_id, s.data_ref, s.modality, s.state, d.content,"
                f" {voted} AS voted FROM item_status s LEFT JOIN item_details d ON d.item_id = s.item_id"
                f" WHERE {chosen}"
            ),
            {"keys": keys} | ({"solver": solver} if solver is not None else {}),
        ).all()
    return {
        str(row.item_id): _Candidate(
            Shown(str(row.item_id), row.external_id, row.data_ref, row.modality, row.content),
            row.state == STATES[State.GOLD],
            row.state in POOL_STATES and not row.voted,
            bool(row.voted),
        )
        for row in rows
    }
