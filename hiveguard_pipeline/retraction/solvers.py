"""Exclude solvers from a dataset, and restore them: one transaction, with the recount of what they touched.

An item gets a new generation of its ledger where a vote of theirs lies among the applied ones; where all
of them wait, the item is folded on as it is. What follows is what runs over the votes that count would
have made under the current policy, and from the newest decision of a person where one stands.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.retraction.effect import Effect
from hiveguard_pipeline.retraction.recounted import make_their_votes, recount_votes
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, lock_dataset, now_text
from hiveguard_pipeline.store.events import Act, record_events
from hiveguard_pipeline.store.exclusions import Exclusion, list_exclusions
from hiveguard_pipeline.store.horizon import WAIT_SECONDS

_NAMED_IN_ERROR = 5
_LOOKED_UP = 5


def exclude(
    database: Database,
    dataset_name: str,
    solvers: Sequence[str],
    *,
    actor: str,
    reason: str,
    dry_run: bool = False,
    wait_seconds: float = WAIT_SECONDS,
) -> Effect:
    """Take solvers' votes out of a dataset, those to come too, and recount what they touched.

    dry_run does all of it and takes it back. Raises BadInputError, with nothing changed, for a solver
    without votes in the dataset and for one who is excluded already.
    """
    with database.write() as connection:
        dataset = lock_dataset(connection, dataset_name)
        named = _named(solvers, actor, reason)
        held = {exclusion.solver_id: exclusion for exclusion in list_exclusions(connection, dataset)}
        if again := [solver for solver in named if solver in held]:
            first = held[again[0]]
            raise BadInputError(
                f"{_written(again)} {'is' if len(again) == 1 else 'are'} excluded from {dataset.name} already"
                f" ({again[0]} by {first.actor} at {first.excluded_at}: {first.reason});"
                " `hiveguard solvers restore` takes an exclusion back"
            )
        _gather_votes(connection, dataset, named)
        exclusion_id = _write_rows(connection, dataset, named, actor, reason)
        _record(connection, dataset, "exclude", named, actor, reason)
        return recount_votes(connection, dataset, named, f"exclusion-{exclusion_id}", dry_run, wait_seconds)


def exclude_revised(
    connection: sa.Connection, dataset: Dataset, revised: Mapping[str, str], *, actor: str
) -> None:
    """Exclude revised names of people who are excluded, before a vote comes in under them.

    revised: new name -> the person's own. The caller's transaction holds the dataset's lock.
    """
    held = {exclusion.solver_id for exclusion in list_exclusions(connection, dataset)}
    by_person: dict[str, list[str]] = {}
    for name, person in sorted(revised.items()):
        if person in held and name not in held:
            by_person.setdefault(person, []).append(name)
    for person, names in by_person.items():
        reason = f"a changed answer of {person}, who is excluded"
        _write_rows(connection, dataset, names, actor, reason)
        _record(connection, dataset, "exclude", names, actor, reason)


def restore(
    database: Database,
    dataset_name: str,
    solvers: Sequence[str],
    *,
    actor: str,
    reason: str,
    dry_run: bool = False,
    wait_seconds: float = WAIT_SECONDS,
) -> Effect:
    """Let the votes of excluded solvers count again, and recount what they touched.

    dry_run does all of it and takes it back. Raises BadInputError, with nothing changed, for a solver who
    is not excluded.
    """
    with database.write() as connection:
        dataset = lock_dataset(connection, dataset_name)
        named = _named(solvers, actor, reason)
        held = {exclusion.solver_id: exclusion for exclusion in list_exclusions(connection, dataset)}
        if others := [solver for solver in named if solver not in held]:
            raise BadInputError(
                f"{_written(others)} {'is' if len(others) == 1 else 'are'} not excluded from {dataset.name};"
                f" `hiveguard solvers list --dataset {dataset.name}` shows who is"
            )
        _gather_votes(connection, dataset, named)
        exclusion_id = _write_rows(connection, dataset, named, actor, reason)
        _undo(connection, dataset, [held[solver] for solver in named])
        _record(connection, dataset, "restore", named, actor, reason)
        return recount_votes(connection, dataset, named, f"exclusion-{exclusion_id}", dry_run, wait_seconds)


def _named(solvers: Sequence[str], actor: str, reason: str) -> list[str]:
    named = list(dict.fromkeys(solvers))
    if not named:
        raise BadInputError("a solver is wanted")
    for name, text in (("actor", actor), ("reason", reason)):
        if not text.strip():
            raise BadInputError(f"{name} must not be empty: it stands in the record of exclusions")
    return named


def _written(solvers: list[str]) -> str:
    shown = ", ".join(repr(solver) if not solver.strip() else solver for solver in solvers[:_NAMED_IN_ERROR])
    more = len(solvers) - _NAMED_IN_ERROR
    return f"solver{'s' if len(solvers) > 1 else ''} {shown}" + (f" and {more} more" if more > 0 else "")


def _gather_votes(connection: sa.Connection, dataset: Dataset, solvers: list[str]) -> None:
    """Fill the temporary table `their_votes`; raises BadInputError for a solver without votes.

    Votes are found by their items, in the index that votes have: it costs what the dataset's votes are
    many, once, and nothing for each vote that comes in.
    """
    sqlite = connection.dialect.name == "sqlite"
    make_their_votes(connection)
    connection.execute(sa.text("DROP TABLE IF EXISTS named_solvers"))
    connection.execute(sa.text("CREATE TEMPORARY TABLE named_solvers (solver_id text PRIMARY KEY)"))
    connection.execute(
        sa.text("INSERT INTO named_solvers (solver_id) VALUES (:solver)"),
        [{"solver": solver} for solver in solvers],
    )
    joined = "CROSS JOIN votes v ON" if sqlite else "JOIN votes v ON"
    # `+` makes SQLite read an item's votes through, where it would look each solver up on each item.
    solver_id = "+v.solver_id" if sqlite and len(solvers) > _LOOKED_UP else "v.solver_id"
    connection.execute(
        sa.text(
            "INSERT INTO their_votes SELECT v.item_id, v.solver_id, v.vote_id"
            f" FROM items i {joined} v.item_id = i.item_id"
            f" WHERE i.dataset_id = :dataset AND {solver_id} IN (SELECT solver_id FROM named_solvers)"
        ),
        {"dataset": dataset.dataset_id},
    )
    unknown = connection.execute(
        sa.text(
            "SELECT n.solver_id FROM named_solvers n"
            " WHERE n.solver_id NOT IN (SELECT solver_id FROM their_votes) ORDER BY 1"
        )
    )
    if found := [str(solver) for solver in unknown.scalars()]:
        raise BadInputError(
            f"{_written(found)} {'has' if len(found) == 1 else 'have'} no vote in {dataset.name}"
        )
    connection.execute(sa.text("DROP TABLE named_solvers"))


def _write_rows(
    connection: sa.Connection, dataset: Dataset, solvers: list[str], actor: str, reason: str
) -> int:
    """A row a solver; returns the newest id."""
    moment = now_text()
    rows = [
        {
            "solver_id": solver,
            "dataset_id": dataset.dataset_id,
            "reason": reason,
            "actor": actor,
            "created_at": moment,
        }
        for solver in solvers
    ]
    connection.execute(t.exclusions.insert(), rows)
    newest = sa.select(sa.func.max(t.exclusions.c.exclusion_id)).where(
        t.exclusions.c.dataset_id == dataset.dataset_id
    )
    return int(connection.execute(newest).scalar_one())


def _record(
    connection: sa.Connection, dataset: Dataset, act: str, solvers: list[str], actor: str, reason: str
) -> None:
    """An event a solver, which names the row that was written just now."""
    rows = connection.execute(
        sa.select(t.exclusions.c.solver_id, sa.func.max(t.exclusions.c.exclusion_id).label("newest"))
        .where(t.exclusions.c.dataset_id == dataset.dataset_id)
        .group_by(t.exclusions.c.solver_id)
    )
    newest = {row.solver_id: row.newest for row in rows}
    record_events(
        connection,
        dataset.dataset_id,
        [
            Act(actor, f"solver.{act}", f"solver {solver}", reason, after={"exclusion_id": newest[solver]})
            for solver in solvers
        ],
    )


def _undo(connection: sa.Connection, dataset: Dataset, held: list[Exclusion]) -> None:
    """Point exclusions at the newest rows of their solvers, which undo them."""
    undoing = t.exclusions.alias("undoing")
    newest = (
        sa.select(sa.func.max(undoing.c.exclusion_id))
        .where(undoing.c.dataset_id == dataset.dataset_id, undoing.c.solver_id == t.exclusions.c.solver_id)
        .scalar_subquery()
    )
    connection.execute(
        t.exclusions.update()
        .where(t.exclusions.c.exclusion_id == sa.bindparam("undone"))
        .values(undone_by=newest),
        [{"undone": exclusion.exclusion_id} for exclusion in held],
    )
