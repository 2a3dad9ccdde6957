"""The requests that are made of a Label Studio server, and what is taken from the answers.

https://api.labelstud.io; what the server does beyond that was looked up in label-studio 1.23.2. A server
checks little of what it is sent (`payload` does), and an import that is sent twice is there twice.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hiveguard_pipeline.labelstudio.client import Client, LabelStudioError

TASKS_A_PAGE = 200
IDS_A_PAGE = 100
"""Ids in the address of one request; servers take some 4,000 characters of it."""
PROJECTS_A_PAGE = 100

Filter = tuple[str, str, str, Any]
"""Column, operator, type and value of a filter of the data manager."""

WITH_ANNOTATIONS: Filter = ("total_annotations", "greater", "Number", 0)
HG_ID = "hg_id"
"""The key of a task's data that holds our item_id."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project as the server has it. answers: people that a task is given to, one after the other."""

    project_id: int
    answers: int
    title: str
    description: str
    label_config: str
    instructions: str
    model_version: str


@dataclass(slots=True)
class Task:
    """A task as the server has it. item_id: what its data says of our id, None where it is not ours.

    annotations, predictions: as they came, empty where they were not asked for.
    """

    task_id: int
    item_id: str | None
    updated_at: str
    is_touched: bool
    predictions_count: int
    annotations: list[Any] = field(default_factory=list)
    predictions: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Totals:
    """Of a project: its tasks, the annotations on them that were not cancelled, and its newest change."""

    tasks: int
    annotations: int
    newest: str


class Server:
    """A server as this package uses it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def url(self) -> str:
        """Its address."""
        return self._client.url

    def version(self) -> str:
        """The release of Label Studio."""
        found = _object(self._client.get("/api/version/"), "/api/version/")
        return str(
            found.get("release") or found.get("label-studio-os-package", {}).get("version") or "unknown"
        )

    def projects(self) -> Iterator[Project]:
        """All projects that the user sees."""
        page = 1
        while True:
            found = _object(
                self._client.get("/api/projects/", {"page": page, "page_size": PROJECTS_A_PAGE}),
                "/api/projects/",
            )
            rows = _list(found.get("results"), "/api/projects/: results")
            yield from (_project(row) for row in rows)
            if not found.get("next") or not rows:
                return
            page += 1

    def project(self, project_id: int) -> Project:
        """One project; raises NotThereError."""
        return _project(self._client.get(f"/api/projects/{project_id}/"))

    def create_project(self, **fields: Any) -> Project:
        """Make a project; raises UnsureError where it may be there all the same."""
        return _project(self._client.post("/api/projects/", fields))

    def update_project(self, project_id: int, **fields: Any) -> Project:
        """Set fields of a project."""
        return _project(self._client.patch(f"/api/projects/{project_id}/", fields))

    def totals(self, project_id: int) -> Totals:
        """How much a project holds."""
        found = self._page(project_id, [], ["-tasks:updated_at"], 1, whole=False)
        newest = [str(task.get("updated_at")) for task in found["tasks"]]
        return Totals(
            tasks=_count(found, "total"),
            annotations=_count(found, "total_annotations"),
            newest=newest[0] if newest else "",
        )

    def tasks(self, project_id: int, *filters: Filter, whole: bool) -> Iterator[Task]:
        """Tasks in the order of their ids; whole: with their annotations and predictions.

        Page by page above the id that came last, so that what comes and goes meanwhile hides none.
        """
        last = 0
        while True:
            asked = [*filters, ("id", "greater", "Number", last)]
            found = self._page(project_id, asked, ["tasks:id"], TASKS_A_PAGE, whole=whole)
            rows = [_task(row, whole) for row in found["tasks"]]
            yield from rows
            if len(rows) < TASKS_A_PAGE:
                return
            if max(row.task_id for row in rows) <= last:
                raise LabelStudioError(f"{self.url}: the tasks of project {project_id} do not come in order")
            last = max(row.task_id for row in rows)

    def tasks_of(self, project_id: int, task_ids: Sequence[int]) -> Iterator[Task]:
        """Those of some tasks that are there, whole."""
        for start in range(0, len(task_ids), IDS_A_PAGE):
            chosen = {"all": False, "included": list(task_ids[start : start + IDS_A_PAGE])}
            found = self._page(project_id, [], ["tasks:id"], IDS_A_PAGE, whole=True, chosen=chosen)
            yield from (_task(row, True) for row in found["tasks"])

    def import_tasks(self, project_id: int, tasks: Sequence[dict[str, Any]]) -> list[int]:
        """Make tasks; returns their ids in order. Raises UnsureError where they may be there all the same."""
        path = f"/api/projects/{project_id}/import"
        answer = self._client.post(path, tasks, {"commit_to_project": "true", "return_task_ids": "true"})
        ids = _list(_object(answer, path).get("task_ids"), f"{path}: task_ids")
        if len(ids) != len(tasks) or not all(type(one) is int for one in ids):
            raise LabelStudioError(
                f"{path}: {len(tasks)} tasks were sent, and the answer names {len(ids)}; a Label Studio that"
                " imports in the background is not supported"
            )
        return ids

    def import_predictions(self, project_id: int, predictions: Sequence[dict[str, Any]]) -> None:
        """Make predictions of tasks; raises UnsureError where they may be there all the same."""
        self._client.post(f"/api/projects/{project_id}/import/predictions", predictions)

    def delete_task(self, task_id: int) -> None:
        """Delete a task with all it holds; one that is not there is gone already."""
        self._client.delete(f"/api/tasks/{task_id}/")

    def users(self) -> dict[int, str]:
        """Email by id, of the users that have one."""
        rows = _list(self._client.get("/api/users/"), "/api/users/")
        return {
            row["id"]: row["email"]
            for row in rows
            if isinstance(row, dict) and type(row.get("id")) is int and isinstance(row.get("email"), str)
        }

    def _page(
        self,
        project_id: int,
        filters: Sequence[Filter],
        ordering: list[str],
        size: int,
        *,
        whole: bool,
        chosen: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        items = [
            {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}
            for column, operator, kind, value in filters
        ]
        query: dict[str, Any] = {"ordering": ordering}
        if items:
            query["filters"] = {"conjunction": "and", "items": items}
        if chosen is not None:
            query["selectedItems"] = chosen
        parameters = {
            "project": project_id,
            "page": 1,
            "page_size": size,
            "fields": "all" if whole else "task_only",
            "resolve_uri": "false",
            "query": json.dumps(query, separators=(",", ":")),
        }
        found = _object(self._client.get("/api/tasks/", parameters), "/api/tasks/")
        _list(found.get("tasks"), "/api/tasks/: tasks")
        return found


def _project(row: Any) -> Project:
    found = _object(row, "a project")
    if type(found.get("id")) is not int:
        raise LabelStudioError("a project has no id; is it a Label Studio?")
    texts = ("title", "description", "label_config", "expert_instruction", "model_version")
    return Project(
        found["id"], _count(found, "maximum_annotations"), *(str(found.get(name) or "") for name in texts)
    )


def _task(row: Any, whole: bool) -> Task:
    found = _object(row, "a task")
    if type(found.get("id")) is not int:
        raise LabelStudioError("a task has no id; is it a Label Studio?")
    data = found.get("data")
    hg_id = data.get(HG_ID) if isinstance(data, dict) else None
    touched = ("total_annotations", "cancelled_annotations")
    where = f"task {found['id']}"
    return Task(
        found["id"],
        hg_id if isinstance(hg_id, str) else None,
        str(found.get("updated_at") or ""),
        any(found.get(name) for name in touched)
        or bool(found.get("drafts"))
        or bool(found.get("annotations")),
        _count(found, "total_predictions"),
        _list(found.get("annotations"), f"{where}: annotations") if whole else [],
        _list(found.get("predictions"), f"{where}: predictions") if whole else [],
    )


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise LabelStudioError(f"{where}: an object is wanted; is it a Label Studio?")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise LabelStudioError(f"{where}: a list is wanted; is it a Label Studio?")
    return value


def _count(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    return value if type(value) is int else 0
