"""Take single votes back, for good: their answer was changed or deleted where it was given.

Votes are never changed, and a solver has one an item. So an answer that its giver has changed comes in as a
new vote, under a revised name of theirs (`revised_solver`), and the vote before it is withdrawn: it counts no
longer, and the items are recounted as after an exclusion.
"""

import re
from collections.abc import Sequence

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.retraction.effect import Effect
from hiveguard_pipeline.retraction.recounted import make_their_votes, recount_votes
from hiveguard_pipeline.store.crowd import NOT_EXCLUDED, NOT_WITHDRAWN
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, lock_dataset, now_text
from hiveguard_pipeline.store.events import Act, record_events
from hiveguard_pipeline.store.horizon import WAIT_SECONDS

_NAMED_IN_ERROR = 5
_REVISION = re.compile(r"~([2-9]|[1-9][0-9]+)$")


def revised_solver(solver_id: str) -> str:
    """The name under which a solver's changed answer comes in: `ada`, then `ada~2`, `ada~3`, ..."""
    found = _REVISION.search(solver_id)
    return f"{solver_id[: found.start()]}~{int(found[1]) + 1}" if found else f"{solver_id}~2"


def original_solver(solver_id: str) -> str:
    """The name that a revised one was made of; any other as it is."""
    return _REVISION.sub("", solver_id)


def withdraw(
    database: Database,
    dataset_name: str,
    vote_ids: Sequence[int],
    *,
    actor: str,
    reason: str,
    dry_run: bool = False,
    wait_seconds: float = WAIT_SECONDS,
) -> Effect:
    """Take votes back and recount their items, in one transaction; those taken back before change nothing.

    dry_run does all of it and takes it back. Raises BadInputError, with nothing changed, for an id that is
    no vote of the dataset.
    """
    with database.write() as connection:
        dataset = lock_dataset(connection, dataset_name)
        return _withdraw(connection, dataset, vote_ids, actor, reason, dry_run, wait_seconds)


def withdraw_on(
    connection: sa.Connection,
    dataset: Dataset,
    vote_ids: Sequence[int],
    *,
    actor: str,
    reason: str,
    wait_seconds: float = WAIT_SECONDS,
) -> Effect:
    """`withdraw` as a part of a caller's transaction, which holds the dataset's lock."""
    return _withdraw(connection, dataset, vote_ids, actor, reason, False, wait_seconds)


def _withdraw(
    connection: sa.Connection,
    dataset: Dataset,
    vote_ids: Sequence[int],
    actor: str,
    reason: str,
    dry_run: bool,
    wait_seconds: float,
) -> Effect:
    named = sorted(set(vote_ids))
    if not named:
        raise BadInputError("a vote is wanted")
    for name, text in (("actor", actor), ("reason", reason)):
        if not text.strip():
            raise BadInputError(f"{name} must not be empty: it stands in the record of withdrawals")
    make_their_votes(connection)
    _name(connection, dataset, named)
    counting = f"{NOT_WITHDRAWN} AND {NOT_EXCLUDED}"
    of_dataset = {"dataset": dataset.dataset_id}
    connection.execute(
        sa.text(
            "INSERT INTO their_votes SELECT v.item_id, v.solver_id, v.vote_id FROM votes v"
            f" WHERE v.vote_id IN (SELECT vote_id FROM named_votes) AND {counting}"
        ),
        of_dataset,
    )
    taken = [
        int(vote)
        for vote in connection.execute(
            sa.text(f"SELECT v.vote_id FROM named_votes v WHERE {NOT_WITHDRAWN} ORDER BY 1"), of_dataset
        ).scalars()
    ]
    connection.execute(
        sa.text(
            "INSERT INTO withdrawals (vote_id, dataset_id, item_id, reason, actor, created_at)"
            " SELECT v.vote_id, :dataset, v.item_id, :reason, :actor, :moment FROM votes v"
            f" WHERE v.vote_id IN (SELECT vote_id FROM named_votes) AND {NOT_WITHDRAWN}"
        ),
        of_dataset | {"reason": reason, "actor": actor, "moment": now_text()},
    )
    connection.execute(sa.text("DROP TABLE named_votes"))
    record_events(
        connection,
        dataset.dataset_id,
        [Act(actor, "vote.withdraw", f"vote {vote}", reason, after={"vote_id": vote}) for vote in taken],
    )
    solvers = connection.execute(sa.text("SELECT DISTINCT solver_id FROM their_votes ORDER BY 1"))
    return recount_votes(
        connection,
        dataset,
        [str(solver) for solver in solvers.scalars()],
        f"withdrawal-{named[0]}",
        dry_run,
        wait_seconds,
    )


def _name(connection: sa.Connection, dataset: Dataset, vote_ids: list[int]) -> None:
    """Fill the temporary table `named_votes`; raises BadInputError for what is no vote of the dataset."""
    connection.execute(sa.text("DROP TABLE IF EXISTS named_votes"))
    connection.execute(sa.text("CREATE TEMPORARY TABLE named_votes (vote_id bigint PRIMARY KEY)"))
    connection.execute(
        sa.text("INSERT INTO named_votes (vote_id) VALUES (:vote)"), [{"vote": vote} for vote in vote_ids]
    )
    unknown = connection.execute(
        sa.text(
            "SELECT n.vote_id FROM named_votes n WHERE NOT EXISTS (SELECT 1 FROM votes v JOIN items i"
            " ON i.item_id = v.item_id WHERE v.vote_id = n.vote_id AND i.dataset_id = :dataset) ORDER BY 1"
        ),
        {"dataset": dataset.dataset_id},
    )
    if found := [str(vote) for vote in unknown.scalars()]:
        more = f" and {len(found) - _NAMED_IN_ERROR} more" if len(found) > _NAMED_IN_ERROR else ""
        raise BadInputError(
            f"{dataset.name} has no vote {', '.join(found[:_NAMED_IN_ERROR])}{more};"
            f" `hiveguard votes export --dataset {dataset.name}` shows the votes with their ids"
        )
