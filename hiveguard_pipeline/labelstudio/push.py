"""Items to the server as tasks, with what a model proposes, each once however often it is done.

What is there is looked up before anything is sent, and again after a request of which it is not known
whether it was done; so a process or a server that is killed at any moment leaves nothing twice. Tasks that
a slow server took twice all the same are deleted while nobody has worked on them.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.labelstudio.client import LabelStudioError, UnsureError
from hiveguard_pipeline.labelstudio.held import (
    GONE,
    QUEUE,
    REVIEW,
    Held,
    Proposed,
    chosen_items,
    held_tasks,
    hold,
    items_to_send,
    proposals,
)
from hiveguard_pipeline.labelstudio.known import known_items
from hiveguard_pipeline.labelstudio.payload import (
    Sent,
    UnsentError,
    checked_root,
    chunks_of,
    prediction,
    task_data,
)
from hiveguard_pipeline.labelstudio.projects import ensure_project, only_one
from hiveguard_pipeline.labelstudio.proposing import update_predictions, version_of
from hiveguard_pipeline.labelstudio.server import Project, Server
from hiveguard_pipeline.labelstudio.templates import Shape, shape_of
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset, now_text

TASKS_A_REQUEST = 250
BYTES_A_REQUEST = 8 << 20
ROUNDS = 4
"""Times that a server which breaks off is looked at and sent the rest."""

OTHER_MODALITY = "other_modality"


@dataclass(slots=True)
class Push:
    """What a push did. chosen: items that the source names; known: those that were tasks already.

    unsent: items that cannot be sent, by reason, with the first of each. with_proposal: of the sent ones.
    predictions: changed on tasks that were there. twice: tasks deleted that a server had taken twice.
    """

    url: str
    project_id: int
    project_created: bool
    chosen: int = 0
    sent: int = 0
    known: int = 0
    with_proposal: int = 0
    blind: int = 0
    predictions: int = 0
    twice: int = 0
    unsent: Counter[str] = field(default_factory=Counter)
    unsent_first: dict[str, str] = field(default_factory=dict)


def push(
    database: Database,
    server: Server,
    dataset_name: str,
    *,
    source: str = QUEUE,
    items: Sequence[str] | None = None,
    guide: str | None = None,
    blind_share: float = 0.0,
    media_root: str | None = None,
    hotkeys: bool = False,
    answers: int | None = None,
    limit: int | None = None,
    project_id: int | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Push:
    """Bring a dataset's project up to date, and send the items of a source that are not there.

    items: item_ids to send in the place of those that the source names; the source is noted with them.
    guide: the labelling guide, which becomes the project's instructions. blind_share: share of the items
    with a proposal that are sent without it, chosen by their ids, so that what people do with a proposal
    can be told from what they do without. media_root: address under which relative data_refs lie. answers:
    people that a task is given to. limit: of the tasks that are sent. project_id: a project that is there
    already, for a dataset that has none. Raises LabelStudioError; what was sent until then stays, and is
    known.
    """
    if not 0 <= blind_share <= 1:
        raise BadInputError(f"a blind share lies between 0 and 1, not at {blind_share}")
    media_root = checked_root(media_root)
    with database.look() as connection:
        dataset = get_dataset(connection, dataset_name)
    shape = shape_of(dataset)
    with only_one(database, dataset):
        project, created = ensure_project(
            database,
            server,
            dataset,
            shape,
            guide=guide,
            hotkeys=hotkeys,
            answers=answers,
            project_id=project_id,
        )
        with database.look() as connection:
            chosen = chosen_items(connection, dataset, source) if items is None else list(items)
            known = known_items(connection, dataset, chosen)
        if unknown := [item_id for item_id in chosen if item_id not in known]:
            raise BadInputError(f"{unknown[0]!r} is no item of {dataset.name}")
        work = _Pushing(database, server, dataset, shape, project, source, chosen, blind_share, media_root)
        done = Push(server.url, project.project_id, created)
        work.send(done, limit, report)
        done.predictions = update_predictions(
            database, server, dataset, shape, project, lambda item_id: is_in_share(item_id, blind_share)
        )
        return done


def is_in_share(item_id: str, share: float) -> bool:
    """Whether an item lies in a share of all, by the hash of its id: the same items at every push."""
    number = int.from_bytes(hashlib.sha256(f"blind\0{item_id}".encode()).digest()[:8])
    return number < share * 2**64


@dataclass(slots=True)
class _Pushing:
    database: Database
    server: Server
    dataset: Dataset
    shape: Shape
    project: Project
    source: str
    chosen: list[str]
    blind_share: float
    media_root: str | None

    def send(self, done: Push, limit: int | None, report: Callable[[int, int], None] | None) -> None:
        with self.database.look() as connection:
            proposed = proposals(connection, self.dataset)
        chosen = self.chosen
        done.chosen = len(chosen)
        done.known = -1
        broken: UnsureError | None = None
        for _ in range(ROUNDS):
            there = self._look(done)
            missing = [item_id for item_id in chosen if item_id not in there]
            if done.known < 0:
                done.known = len(chosen) - len(missing)
            try:
                self._send(missing, proposed, done, limit, report)
            except UnsureError as error:
                broken = error
                continue
            if broken is not None:
                # A server that had seemed to break off may have gone on, and have both.
                self._look(done)
            return
        raise LabelStudioError(
            f"{broken}; push again when the server is well: what it has is not sent a second time"
        )

    def _send(
        self,
        missing: Sequence[str],
        proposed: dict[str, Proposed],
        done: Push,
        limit: int | None,
        report: Callable[[int, int], None] | None,
    ) -> None:
        wanted = len(missing) if limit is None else min(len(missing), max(limit - done.sent, 0))
        done.unsent.clear()
        tasks: list[dict[str, Any]] = []
        sent: list[Sent] = []
        with self.database.look() as connection:
            for item in items_to_send(connection, missing, proposed):
                if len(sent) == wanted:
                    break
                try:
                    tasks.append(self._task(item, proposed.get(item.item_id)))
                except UnsentError as error:
                    done.unsent[str(error)] += 1
                    done.unsent_first.setdefault(str(error), item.external_id)
                    continue
                sent.append(item)
        place = 0
        for chunk in chunks_of(tasks, TASKS_A_REQUEST, BYTES_A_REQUEST):
            ids = self.server.import_tasks(self.project.project_id, chunk)
            rows = [
                self._row(item, task_id, task, proposed.get(item.item_id))
                for item, task_id, task in zip(sent[place:], ids, chunk, strict=False)
            ]
            self._hold(rows)
            place += len(chunk)
            done.sent += len(chunk)
            done.with_proposal += sum("predictions" in task for task in chunk)
            done.blind += sum(row.blind for row in rows)
            if report is not None:
                report(place, len(tasks))

    def _task(self, item: Sent, own: Proposed | None) -> dict[str, Any]:
        if item.modality != self.dataset.modality:
            raise UnsentError(OTHER_MODALITY)
        task: dict[str, Any] = {"data": task_data(item, self.media_root)}
        if own is not None and not self._hides(item.item_id, own):
            found = prediction(item, self.shape, version_of(own.model_id))
            if found is not None:
                task["predictions"] = [found]
        return task

    def _hides(self, item_id: str, own: Proposed) -> bool:
        return own.blind or is_in_share(item_id, self.blind_share)

    def _row(self, item: Sent, task_id: int, task: dict[str, Any], own: Proposed | None) -> Held:
        blind = own is not None and self._hides(item.item_id, own)
        told = own if own is not None and (blind or "predictions" in task) else None
        return Held(
            item.item_id,
            task_id,
            self.source,
            told.model_id if told else None,
            told.answer if told else None,
            told.probability if told else None,
            blind,
            now_text(),
        )

    def _look(self, done: Push) -> dict[str, int]:
        """The task of each item that the server has; rows are brought to it, and doubles deleted."""
        with self.database.look() as connection:
            held = held_tasks(connection, self.dataset)
        chosen = set(self.chosen)
        found = tasks_there(self.server, self.project.project_id, held)
        there = {item_id: ids[0] for item_id, ids in found.items()}
        for item_id, ids in found.items():
            if len(ids) > 1:
                there[item_id], deleted = self._one_of(ids)
                done.twice += deleted
        # Tasks that were deleted on the server: their rows still say what was proposed.
        rows = [
            replace(row, task_id=GONE)
            for item_id, row in held.items()
            if item_id not in there and row.task_id != GONE
        ]
        for item_id, task_id in there.items():
            row = held.get(item_id)
            if row is None or row.task_id != task_id:
                # Of a process that was killed before it could write this down.
                row = Held(item_id, task_id, self.source, None, None, None, False, now_text())
            if item_id in chosen and (self.source == REVIEW) != (row.source == REVIEW):
                row = replace(row, source=self.source)
            if row != held.get(item_id):
                rows.append(row)
        with self.database.look() as connection:
            known = known_items(connection, self.dataset, [row.item_id for row in rows])
        self._hold([row for row in rows if row.item_id in known])
        return there

    def _one_of(self, task_ids: list[int]) -> tuple[int, int]:
        """The one task that stays of several of one item, and how many were deleted: untouched ones."""
        tasks = sorted(
            self.server.tasks_of(self.project.project_id, task_ids),
            key=lambda task: (not task.is_touched, task.task_id),
        )
        if not tasks:
            return task_ids[0], 0
        extra = [task.task_id for task in tasks[1:] if not task.is_touched]
        for task_id in extra:
            self.server.delete_task(task_id)
        return tasks[0].task_id, len(extra)

    def _hold(self, rows: Sequence[Held]) -> None:
        if rows:
            with self.database.write() as connection:
                hold(connection, self.dataset, rows)


def tasks_there(server: Server, project_id: int, held: dict[str, Held]) -> dict[str, list[int]]:
    """The ids of the tasks of each item, rising: those that are held, where the server has just as many and
    newer ones; else all tasks are gone through.
    """
    found = {item_id: [row.task_id] for item_id, row in held.items() if row.task_id != GONE}
    newest = max((task_ids[0] for task_ids in found.values()), default=0)
    newer = list(server.tasks(project_id, ("id", "greater", "Number", newest), whole=False))
    if len(found) + len(newer) != server.totals(project_id).tasks:
        found, newer = {}, list(server.tasks(project_id, whole=False))
    for task in newer:
        if task.item_id is not None and task.task_id not in found.get(task.item_id, []):
            found.setdefault(task.item_id, []).append(task.task_id)
    return {item_id: sorted(ids) for item_id, ids in found.items()}
