"""Who the annotators and experts of a dataset are; everybody else is the crowd."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.stages import ANNOTATORS, EXPERTS
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, lock_dataset, now_text
from hiveguard_pipeline.store.events import Act, record_events

LISTED = (ANNOTATORS, EXPERTS)
LONGEST_NAME = 512
"""Characters, as of a solver_id at import."""


@dataclass(frozen=True, slots=True)
class Person:
    """A member of a group of a dataset."""

    dataset: str
    group: str
    solver_id: str
    added_by: str
    created_at: str


def list_people(connection: sa.Connection, dataset: Dataset) -> list[Person]:
    """By group, then name."""
    rows = connection.execute(
        sa.select(t.people)
        .where(t.people.c.dataset_id == dataset.dataset_id)
        .order_by(t.people.c.group_name, t.people.c.solver_id)
    )
    return [Person(dataset.name, row.group_name, row.solver_id, row.added_by, row.created_at) for row in rows]


def group_sizes(connection: sa.Connection, dataset: Dataset) -> dict[str, int]:
    """How many people each group has."""
    rows = connection.execute(
        sa.select(t.people.c.group_name, sa.func.count())
        .where(t.people.c.dataset_id == dataset.dataset_id)
        .group_by(t.people.c.group_name)
    )
    return {str(group): int(count) for group, count in rows}


def groups_of(connection: sa.Connection, dataset: Dataset, solver: str) -> set[str]:
    """The listed groups that a person is in."""
    rows = connection.execute(
        sa.select(t.people.c.group_name).where(
            t.people.c.dataset_id == dataset.dataset_id, t.people.c.solver_id == solver
        )
    )
    return {str(group) for group in rows.scalars()}


def add_people(
    database: Database, dataset_name: str, group: str, solvers: Sequence[str], *, actor: str
) -> int:
    """Put people into a group; returns how many were not in it before."""
    with database.write() as connection:
        return add_people_in(connection, lock_dataset(connection, dataset_name), group, solvers, actor=actor)


def add_people_in(
    connection: sa.Connection, dataset: Dataset, group: str, solvers: Sequence[str], *, actor: str
) -> int:
    """As `add_people`, in the caller's transaction, which holds the dataset."""
    _check(group, solvers, actor)
    known = _members(connection, dataset, group)
    new = [solver for solver in dict.fromkeys(solvers) if solver not in known]
    for solver in new:
        connection.execute(
            t.people.insert().values(
                dataset_id=dataset.dataset_id,
                solver_id=solver,
                group_name=group,
                added_by=actor,
                created_at=now_text(),
            )
        )
    _tell(connection, dataset, "people.add", group, new, actor)
    return len(new)


def remove_people(
    database: Database, dataset_name: str, group: str, solvers: Sequence[str], *, actor: str
) -> int:
    """Take people out of a group; what they answered stays. Raises BadInputError for who is not in it."""
    _check(group, solvers, actor)
    with database.write() as connection:
        dataset = lock_dataset(connection, dataset_name)
        known = _members(connection, dataset, group)
        for solver in solvers:
            if solver not in known:
                raise BadInputError(f"{solver!r} is none of the {group} of {dataset.name}")
        connection.execute(
            t.people.delete().where(
                t.people.c.dataset_id == dataset.dataset_id,
                t.people.c.group_name == group,
                t.people.c.solver_id.in_(list(solvers)),
            )
        )
        _tell(connection, dataset, "people.remove", group, list(dict.fromkeys(solvers)), actor)
    return len(set(solvers))


def _tell(
    connection: sa.Connection, dataset: Dataset, action: str, group: str, solvers: list[str], actor: str
) -> None:
    reason = f"{group} of {dataset.name}"
    acts = [
        Act(actor, action, f"solver {solver}", reason, after={"group": group, "solver_id": solver})
        for solver in solvers
    ]
    record_events(connection, dataset.dataset_id, acts)


def _members(connection: sa.Connection, dataset: Dataset, group: str) -> set[str]:
    return {person.solver_id for person in list_people(connection, dataset) if person.group == group}


def check_solver(solver: str) -> None:
    """Raise BadInputError for what cannot name a person."""
    if not solver.strip() or len(solver) > LONGEST_NAME or "\0" in solver:
        raise BadInputError(f"a person is named by 1 to {LONGEST_NAME} characters, none of them NUL")


def _check(group: str, solvers: Sequence[str], actor: str) -> None:
    if not actor.strip():
        raise BadInputError("actor must not be empty: it stands in the list of people")
    if group not in LISTED:
        raise BadInputError(f"{group!r} is no group of people; there are {' and '.join(LISTED)}")
    if not solvers:
        raise BadInputError("name at least one person")
    for solver in solvers:
        check_solver(solver)
