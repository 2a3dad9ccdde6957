"""Tasks: an item that a person is asked about, leased for a while, answered or given back."""

from dataclasses import dataclass

from hiveguard_pipeline.store.database import Database

LEASE_MINUTES = 30
MOST_OPEN = 50


@dataclass(frozen=True, slots=True)
class Task:
    """What a person is shown, and nothing that others have said of it.

    classes: None where any answer is taken. expires_at: when the task goes to somebody else.
    """

    lease_id: int
    dataset: str
    stage: str
    item_id: str
    external_id: str
    data_ref: str
    modality: str
    task_type: str
    classes: tuple[str, ...] | None
    leased_at: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer did. wrote: vote or stage_answer. outcome: of the stage, None while it waits for more.

    state: of the item now.
    """

    lease_id: int
    dataset: str
    item_id: str
    external_id: str
    stage: str
    wrote: str
    outcome: str | None
    state: str


def lease_next(
    database: Database,
    *,
    solver: str,
    n: int = 1,
    dataset_name: str | None = None,
    lease_minutes: float = LEASE_MINUTES,
    most_open: int = MOST_OPEN,
) -> list[Task]:
    """Up to n tasks for a person, in the order of the work; fewer, or none, where there are no more.

    dataset_name: None takes from every dataset, by name. Raises BadInputError for a name or number that
    cannot be.
    """
    raise NotImplementedError


def answer(
    database: Database,
    lease_id: int,
    *,
    answer: str | None,
    reason: str = "",
    solver: str | None = None,
    duration_ms: int | None = None,
) -> Answered:
    """Answer a task. answer None: the item is to be discarded (people's stages only).

    solver: if given, the lease must be theirs. Raises BadInputError where the lease is unknown, somebody
    else's, ended or run out, where the item has left the stage, or where the answer cannot be taken.
    """
    raise NotImplementedError


def release(database: Database, lease_id: int, *, solver: str | None = None) -> None:
    """Give a task back unanswered: it goes to somebody else, and not to the same person again."""
    raise NotImplementedError
