"""The project of a dataset: which it is on the server, made where there is none, kept as the dataset is.

A project is known by the row in label_studio_projects. Where that is missing (a process that was killed, a
database that was restored) it is found by a mark in its description, which holds the dataset's id.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError, HiveGuardError
from hiveguard_pipeline.labelstudio.client import LabelStudioError, NotThereError, UnsureError
from hiveguard_pipeline.labelstudio.server import Project, Server
from hiveguard_pipeline.labelstudio.templates import (
    Shape,
    instructions_of,
    label_config,
    same_config,
    title_of,
)
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, current_policy, now_text

_MARK = "hiveguard-dataset:"
_LOOKS = 3
"""Times a project is looked for, or made, before a server that breaks off is given up."""
_LOCK_SPACE = 0x4C53
"""The first of the two numbers of our advisory locks on PostgreSQL."""


def mark_of(dataset: Dataset) -> str:
    """What the description of a dataset's project holds."""
    return f"{_MARK}{dataset.dataset_id}"


def recorded_project(connection: sa.Connection, dataset: Dataset) -> tuple[str, int] | None:
    """Address and project of a dataset as they are recorded."""
    row = connection.execute(
        sa.select(t.label_studio_projects.c.url, t.label_studio_projects.c.project_id).where(
            t.label_studio_projects.c.dataset_id == dataset.dataset_id
        )
    ).first()
    return None if row is None else (str(row.url), int(row.project_id))


def find_project(database: Database, server: Server, dataset: Dataset) -> Project | None:
    """The dataset's project on the server, None where it has none.

    Raises LabelStudioError where the dataset's project is on another server: its annotations have other
    numbers there.
    """
    with database.look() as connection:
        recorded = recorded_project(connection, dataset)
    found = None
    if recorded is not None and recorded[0] == server.url:
        try:
            found = server.project(recorded[1])
        except NotThereError:
            found = None
    if found is None:
        found = _marked(server, dataset)
    moved = recorded is not None and recorded[0] != server.url
    if recorded is not None and moved and (found is None or found.project_id != recorded[1]):
        raise LabelStudioError(
            f"{dataset.name} is project {recorded[1]} of {recorded[0]}, and HIVEGUARD_LABEL_STUDIO_URL names"
            f" {server.url}, where it is not: set the address back, or let go of the old project with"
            f" `hiveguard label-studio forget --dataset {dataset.name}` (votes and labels stay)"
        )
    if found is not None and (server.url, found.project_id) != recorded:
        _record(database, server, dataset, found)
    return found


def needed_project(database: Database, server: Server, dataset: Dataset) -> Project:
    """The dataset's project; raises LabelStudioError where it has none."""
    found = find_project(database, server, dataset)
    if found is None:
        raise LabelStudioError(
            f"{dataset.name} has no project on {server.url}: `hiveguard label-studio push --dataset"
            f" {dataset.name}` makes it"
        )
    return found


def ensure_project(
    database: Database,
    server: Server,
    dataset: Dataset,
    shape: Shape,
    *,
    guide: str | None = None,
    hotkeys: bool = False,
    answers: int | None = None,
    project_id: int | None = None,
) -> tuple[Project, bool]:
    """The dataset's project, made or brought to what the dataset is now; and whether it was made.

    The config is replaced where it offers other classes than the dataset has, so that what people added to
    it beside our control stays as long as the classes do. answers: people that a task is given to; a new
    project takes the policy's CONSENSUS_THRESHOLD, one that is there keeps what it has. project_id: one
    that is there already, for a dataset that has none.
    """
    config = label_config(shape, hotkeys=hotkeys)
    for look in range(_LOOKS):
        found = find_project(database, server, dataset)
        if project_id is not None and (found is None or found.project_id != project_id):
            found = _adopted(database, server, dataset, shape, found, project_id)
        if found is not None:
            return _updated(server, found, shape, config, guide, answers), False
        if answers is None:
            with database.look() as connection:
                answers = current_policy(connection, dataset).policy.consensus_threshold
        about = f"Items of the HiveGuard dataset {dataset.name}. Keep this mark: {mark_of(dataset)}"
        told = {"expert_instruction": instructions_of(guide), "show_instruction": True} if guide else {}
        try:
            made = server.create_project(
                title=title_of(dataset),
                description=about,
                label_config=config,
                maximum_annotations=answers,
                **told,
            )
        except UnsureError:
            if look == _LOOKS - 1:
                raise
            continue
        _record(database, server, dataset, made)
        return made, True
    raise AssertionError("unreachable")


def _adopted(
    database: Database,
    server: Server,
    dataset: Dataset,
    shape: Shape,
    found: Project | None,
    project_id: int,
) -> Project:
    """Make a project that is there the dataset's own; one with tasks keeps its config, which has to fit."""
    if found is not None:
        raise BadInputError(
            f"{dataset.name} is project {found.project_id} already;"
            " `hiveguard label-studio forget` lets go of it"
        )
    project = server.project(project_id)
    if _MARK in project.description:
        raise BadInputError(f"project {project_id} is that of another dataset: its description says so")
    fits = same_config(project.label_config, label_config(shape), shape)
    if not fits and server.totals(project_id).tasks:
        raise BadInputError(
            f"project {project_id} has tasks, and asks something else than {dataset.name}: its config would"
            f" have to be {label_config(shape)}"
        )
    about = f"{project.description}\n{mark_of(dataset)}".strip()
    project = server.update_project(project_id, description=about)
    _record(database, server, dataset, project)
    return project


def _updated(
    server: Server, project: Project, shape: Shape, config: str, guide: str | None, answers: int | None
) -> Project:
    fields: dict[str, object] = {}
    if not same_config(project.label_config, config, shape):
        fields["label_config"] = config
    if guide is not None and project.instructions != instructions_of(guide):
        fields |= {"expert_instruction": instructions_of(guide), "show_instruction": True}
    if answers is not None and project.answers != answers:
        fields["maximum_annotations"] = answers
    return server.update_project(project.project_id, **fields) if fields else project


def _marked(server: Server, dataset: Dataset) -> Project | None:
    mark = mark_of(dataset)
    found = [project for project in server.projects() if mark in project.description]
    if len(found) > 1:
        raise LabelStudioError(
            f"projects {', '.join(str(project.project_id) for project in found)} of {server.url} all carry"
            f" the mark of {dataset.name}; take the line with {mark} out of the descriptions of all but one"
        )
    return found[0] if found else None


def _record(database: Database, server: Server, dataset: Dataset, project: Project) -> None:
    with database.write() as connection:
        mine = t.label_studio_projects.c.dataset_id == dataset.dataset_id
        connection.execute(t.label_studio_projects.delete().where(mine))
        connection.execute(
            t.label_studio_projects.insert().values(
                dataset_id=dataset.dataset_id,
                url=server.url,
                project_id=project.project_id,
                created_at=now_text(),
            )
        )


def forget(database: Database, dataset: Dataset) -> int:
    """Let go of a dataset's project: it can get another one. Votes, withdrawals and decisions stay.

    Returns how many tasks were known. Raises LabelStudioError where there is no project.
    """
    with only_one(database, dataset), database.write() as connection:
        if recorded_project(connection, dataset) is None:
            raise LabelStudioError(f"{dataset.name} has no Label Studio project")
        counts = [
            connection.execute(table.delete().where(table.c.dataset_id == dataset.dataset_id)).rowcount
            for table in (t.label_studio_tasks, t.label_studio_annotations, t.label_studio_projects)
        ]
    return counts[0]


@contextmanager
def only_one(database: Database, dataset: Dataset) -> Iterator[None]:
    """One push or pull of a dataset at a time; the lock goes with its process, however that ends.

    No transaction is open meanwhile. Raises HiveGuardError where another one is under way.
    """
    busy = HiveGuardError(f"a push or pull of {dataset.name} is under way; try again when it is done")
    if database.is_sqlite:
        from filelock import FileLock, Timeout

        file = Path(str(database.url.database)).absolute()
        lock = FileLock(file.with_name(f".{file.name}.label-studio-{dataset.name}.lock"))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise busy from None
        try:
            yield
        finally:
            lock.release()
        return
    key = int(dataset.dataset_id.replace("-", "")[:7], 16)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        taken = connection.execute(
            sa.text("SELECT pg_try_advisory_lock(:space, :key)"), {"space": _LOCK_SPACE, "key": key}
        ).scalar_one()
        if not taken:
            raise busy
        try:
            yield
        finally:
            connection.execute(
                sa.text("SELECT pg_advisory_unlock(:space, :key)"), {"space": _LOCK_SPACE, "key": key}
            )
