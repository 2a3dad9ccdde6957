"""Annotations as the server has them now: those that changed since they were last seen, or all.

Only looks; what follows from it is `following`'s. A look that fails raises: it is never taken for a server
without annotations.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.labelstudio.held import Held
from hiveguard_pipeline.labelstudio.known import Known
from hiveguard_pipeline.labelstudio.proposing import is_ours
from hiveguard_pipeline.labelstudio.regions import RegionFault, answer_of
from hiveguard_pipeline.labelstudio.server import WITH_ANNOTATIONS, Server, Task
from hiveguard_pipeline.labelstudio.templates import Shape
from hiveguard_pipeline.rules.structured.answer import answer_text, read_given

MARGIN = timedelta(minutes=5)
"""Looked at again before the newest change that was seen: transactions of the server overtake each other."""

_WITHOUT = ("total_annotations", "equal", "Number", 0)
_LONGEST_RAW = 100_000


@dataclass(frozen=True, slots=True)
class Seen:
    """An annotation that was not cancelled, as the server has it.

    person: email of who made it, else their number, None where the server does not say. answer: in its one
    form; fault: why there is none. duration_ms: of the work on it.
    """

    annotation_id: int
    task_id: int
    item_id: str
    person: str | None
    answer: str | None
    fault: str | None
    notes: tuple[str, ...]
    proposal: str | None
    duration_ms: int | None
    created_at: str
    updated_at: str
    raw: str


@dataclass(slots=True)
class Look:
    """What was found. tasks: that were looked at whole. live: annotations on them.

    gone_tasks: of annotations that were known, and are no more on the server. foreign: annotations on tasks
    that are not ours. is_full: everything was looked at.
    """

    tasks: set[int] = field(default_factory=set)
    live: list[Seen] = field(default_factory=list)
    gone_tasks: set[int] = field(default_factory=set)
    foreign: int = 0
    is_full: bool = False


@dataclass(slots=True)
class Looker:
    """Looks at one project. texts: of the items of tasks, by item_id, asked for a page of tasks at a time."""

    server: Server
    project_id: int
    shape: Shape
    held: Mapping[str, Held]
    known: Mapping[int, Known]
    items: Any
    """Gives those of some ids that are items of the dataset, with their texts where spans need them."""
    users: dict[int, str] | None = None

    def look(self, full: bool) -> Look:
        """What changed since the newest change that is known; everything where that does not add up."""
        if not full and self.known:
            found = self._since(max(row.updated_at for row in self.known.values()))
            live = {row.annotation_id: row for row in self.known.values() if row.deleted_at is None}
            elsewhere = sum(row.task_id not in found.tasks for row in live.values())
            there = self.server.totals(self.project_id).annotations
            if elsewhere + len(found.live) + found.foreign == there:
                return found
        return self._everything()

    def _since(self, newest: str) -> Look:
        found = Look()
        moment = (datetime.fromisoformat(newest).astimezone(UTC) - MARGIN).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        changed = ("updated_at", "greater", "Datetime", moment)
        self._take(found, self.server.tasks(self.project_id, changed, WITH_ANNOTATIONS, whole=True))
        had = {row.task_id for row in self.known.values() if row.deleted_at is None}
        for task in self.server.tasks(self.project_id, changed, _WITHOUT, whole=False):
            if task.task_id in had:
                found.tasks.add(task.task_id)
        return found

    def _everything(self) -> Look:
        found = Look(is_full=True)
        self._take(found, self.server.tasks(self.project_id, WITH_ANNOTATIONS, whole=True))
        had = {row.task_id for row in self.known.values() if row.deleted_at is None}
        missing = sorted(had - found.tasks)
        self._take(found, self.server.tasks_of(self.project_id, missing))
        found.gone_tasks = set(missing) - found.tasks
        return found

    def _take(self, found: Look, tasks: Iterator[Task]) -> None:
        page: list[Task] = []
        for task in tasks:
            page.append(task)
            if len(page) == 500:
                self._take_page(found, page)
                page = []
        self._take_page(found, page)

    def _take_page(self, found: Look, page: Sequence[Task]) -> None:
        texts = self.items([task.item_id for task in page if task.item_id is not None])
        for task in page:
            found.tasks.add(task.task_id)
            live = [one for one in task.annotations if _is_live(one)]
            if task.item_id is None or task.item_id not in texts:
                found.foreign += len(live)
                continue
            for one in live:
                found.live.append(self._seen(task, task.item_id, one, texts[task.item_id]))

    def _seen(self, task: Task, item_id: str, annotation: dict[str, Any], text: str | None) -> Seen:
        answer, fault, notes = self._read(annotation.get("result"), text)
        seconds: Any = annotation.get("lead_time")
        return Seen(
            annotation["id"],
            task.task_id,
            item_id,
            self._person(annotation.get("completed_by")),
            answer,
            fault,
            tuple(notes),
            self._proposal(task, item_id, annotation, text),
            round(seconds * 1000) if type(seconds) in (int, float) and 0 <= seconds < 1e9 else None,
            str(annotation.get("created_at") or ""),
            str(annotation.get("updated_at") or annotation.get("created_at") or ""),
            _raw(annotation, task.task_id, item_id),
        )

    def _read(self, result: Any, text: str | None) -> tuple[str | None, str | None, list[str]]:
        """The answer of a result in its one form, else the reason why there is none; and notes."""
        try:
            answer, notes = answer_of(result, self.shape, text)
            if self.shape.part is not None:
                answer = answer_text(read_given(answer, self.shape.part))
        except RegionFault as fault:
            return None, str(fault), []
        except BadInputError:
            return None, "malformed_answer", []
        return answer, None, notes

    def _person(self, value: Any) -> str | None:
        if isinstance(value, dict):
            value = value.get("email") or value.get("id")
        if type(value) is int:
            if self.users is None:
                self.users = self.server.users()
            value = self.users.get(value) or value
        return str(value) if type(value) in (int, str) and value != "" else None

    def _proposal(self, task: Task, item_id: str, annotation: dict[str, Any], text: str | None) -> str | None:
        """What its giver was shown, or what is kept from them where the task is blind."""
        held = self.held.get(item_id)
        if held is not None and held.blind:
            return held.proposal
        begun = str(annotation.get("draft_created_at") or annotation.get("created_at") or "")
        before = [
            one
            for one in task.predictions
            if isinstance(one, dict)
            and is_ours(one.get("model_version"))
            and str(one.get("created_at") or "") <= begun
        ]
        if not before:
            return None
        newest = max(before, key=lambda one: (str(one.get("created_at")), one.get("id") or 0))
        return self._read(newest.get("result"), text)[0]


def _is_live(annotation: Any) -> bool:
    return (
        isinstance(annotation, dict)
        and type(annotation.get("id")) is int
        and not annotation.get("was_cancelled")
    )


def _raw(annotation: dict[str, Any], task_id: int, item_id: str) -> str:
    """An annotation as it stands in quarantine."""
    kept = ("id", "completed_by", "created_at", "updated_at", "lead_time", "result")
    row = {"task_id": task_id, "item_id": item_id} | {name: annotation.get(name) for name in kept}
    text = json.dumps(row, ensure_ascii=False)
    return text if len(text) <= _LONGEST_RAW else f"{text[:_LONGEST_RAW]}..."
