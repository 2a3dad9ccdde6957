"""Advance: after votes were applied or an answer given, items go where their stages lead, all or none."""

from collections import Counter
from dataclasses import dataclass, field

import sqlalchemy as sa

from hiveguard_pipeline.rules.states import STATES, State
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, current_policy, lock_dataset, now_text
from hiveguard_pipeline.store.stages import end_leases, hold_waiting
from hiveguard_pipeline.workflow.entries import entering
from hiveguard_pipeline.workflow.gathered import answered, proposed, timed_out
from hiveguard_pipeline.workflow.moves import Place, move
from hiveguard_pipeline.workflow.recorded import current_workflow

Ways = Counter[tuple[str, str, str]]
"""Items by from (empty: the pool), outcome and to."""


@dataclass(slots=True)
class Advanced:
    """What an advance did: items by way, items held again because votes had labelled them, leases run out.

    workflow_id: None where the dataset has no workflow, and nothing was done.
    """

    workflow_id: int | None = None
    ways: Ways = field(default_factory=Counter)
    held_again: int = 0

    @property
    def moved(self) -> int:
        """How many moves were made."""
        return sum(self.ways.values())


def advance(
    database: Database, dataset_name: str, *, run_id: str | None = None, since: int | None = None
) -> Advanced:
    """Move all items of a dataset that can move now; a second call right after it moves none.

    since: a ledger position; only what later rows concern is looked at, besides answers and time-outs. None:
    the whole dataset.
    """
    with database.write() as connection:
        dataset = lock_dataset(connection, dataset_name)
        return advance_in(connection, dataset, run_id=run_id, since=since)


def advance_in(
    connection: sa.Connection, dataset: Dataset, *, run_id: str | None, since: int | None = None
) -> Advanced:
    """As `advance`, in the caller's transaction, which holds the dataset."""
    done = Advanced()
    place = place_of(connection, dataset, run_id)
    if place is None:
        return done
    done.workflow_id = place.workflow_id
    _drop_closed(connection, place)
    done.held_again = hold_waiting(connection, dataset, place.recorded, run_id=run_id)
    kappa = _Kappa(connection, dataset)
    # An item goes through each stage at most once without anybody's doing, so that this comes to rest.
    for _ in range(2 * len(place.stages.stages) + 2):
        before = done.moved
        for moves in (answered, proposed, timed_out):
            done.ways += move(connection, place, moves(connection, place))
        done.ways += move(connection, place, entering(connection, place, since, kappa))
        if done.moved == before:
            break
    return done


def finish_stage(connection: sa.Connection, dataset: Dataset, item_id: str, run_id: str | None) -> Ways:
    """Move an item that has all the answers that its stage wants, in the caller's transaction."""
    place = place_of(connection, dataset, run_id)
    if place is None:
        return Counter()
    ways = move(connection, place, answered(connection, place, item_id))
    return ways + move(connection, place, proposed(connection, place)) if ways else ways


def place_of(connection: sa.Connection, dataset: Dataset, run_id: str | None) -> Place | None:
    """Where moves are made; None for a dataset without a workflow."""
    recorded = current_workflow(connection, dataset)
    if recorded is None:
        return None
    policy = current_policy(connection, dataset)
    return Place(dataset, policy, recorded.workflow_id, recorded.stages, run_id)


class _Kappa:
    """The mean over pairs of solvers of Cohen's kappa, measured once, when a gate first asks."""

    def __init__(self, connection: sa.Connection, dataset: Dataset) -> None:
        self._connection, self._dataset = connection, dataset
        self._known = False
        self._value: float | None = None

    def __call__(self) -> float | None:
        if not self._known:
            self._known = True
            self._value = mean_kappa(self._connection, self._dataset)
        return self._value


def mean_kappa(connection: sa.Connection, dataset: Dataset) -> float | None:
    """The dataset's mean Cohen's kappa, weighted by common items; None where it is undefined."""
    from hiveguard_pipeline.quality.agreement import agreement
    from hiveguard_pipeline.store.crowd import read_crowd

    if is_structured(dataset.task_type):
        return None
    return agreement(read_crowd(connection, dataset)).figures["cohens_kappa"].value


def _drop_closed(connection: sa.Connection, place: Place) -> None:
    """Items that became gold or were discarded while they waited are asked about no more."""
    closed = (
        "SELECT w.item_id FROM item_stages w JOIN item_status s ON s.item_id = w.item_id"
        f" WHERE w.dataset_id = :dataset AND s.state IN ('{STATES[State.GOLD]}', '{STATES[State.DISCARDED]}')"
    )
    names = {"dataset": place.dataset.dataset_id}
    rows = connection.execute(
        sa.text(
            "SELECT w.item_id, w.stage, s.state FROM item_stages w JOIN item_status s"
            f" ON s.item_id = w.item_id WHERE w.item_id IN ({closed}) ORDER BY w.item_id"
        ).columns(item_id=t.Uuid),
        names,
    ).all()
    if not rows:
        return
    end_leases(connection, closed, names)
    connection.execute(
        t.stage_transitions.insert(),
        [
            {
                "item_id": row.item_id,
                "dataset_id": place.dataset.dataset_id,
                "workflow_id": place.workflow_id,
                "from_stage": row.stage,
                "to_stage": "discard" if row.state == STATES[State.DISCARDED] else row.state,
                "outcome": "closed",
                "detail": {},
                "run_id": place.run_id,
                "created_at": now_text(),
            }
            for row in rows
        ],
    )
    connection.execute(
        t.item_stages.delete().where(t.item_stages.c.item_id.in_([row.item_id for row in rows]))
    )
