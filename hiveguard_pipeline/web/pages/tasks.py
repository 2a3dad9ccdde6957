"""Tasks: what the workflow asks the person who is signed in, one item at a time and blind."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import RedirectResponse

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store.status import find_item
from hiveguard_pipeline.web.pages import written
from hiveguard_pipeline.web.pages.datasets import found_dataset
from hiveguard_pipeline.web.pages.given import clean
from hiveguard_pipeline.web.pages.shown_item import MOST_CHOICES, data_of
from hiveguard_pipeline.web.pages.site import ROOT, Site, Visit
from hiveguard_pipeline.workflow import answer, groups_of, lease_next, open_tasks, release

_LONGEST_ANSWER, _LONGEST_REASON = 1_000_000, 1_000

SAID = {
    "answered": "Your answer is recorded.",
    "returned": "Given back: it goes to somebody else, and not to you again.",
}


def task_routes(site: Site) -> APIRouter:
    """The page and its one form. Looking leases nothing; an answer brings the next task."""
    router = APIRouter(route_class=site.route_class())

    def show(name: str, visit: Visit, said: str = "", fault: str = "", *, was_taken: bool) -> Response:
        with site.database.read() as connection:
            dataset = found_dataset(connection, name)
            tasks = open_tasks(connection, dataset, visit.name)
            task = tasks[0] if tasks else None
            item = None if task is None else find_item(connection, task.item_id, dataset.name)
            data = None if item is None else data_of(connection, site.settings, dataset, item).cut()
            groups = sorted(groups_of(connection, dataset, visit.name))
        structured = is_structured(dataset.task_type)
        return site.page(
            "tasks.html",
            visit,
            status=409 if fault else 200,
            media=True,
            dataset=dataset,
            tab="tasks",
            task=task,
            item=item,
            data=data,
            more=max(len(tasks) - 1, 0),
            groups=groups,
            structured=structured,
            choices=() if structured else (dataset.classes or ())[:MOST_CHOICES],
            said=said,
            fault=fault,
            was_taken=was_taken,
        )

    @router.get("/datasets/{name}/tasks")
    def look(
        name: str,
        visit: Annotated[Visit, site.signed_in("reviewer")],
        said: Annotated[str, Query(max_length=20)] = "",
        taken: bool = False,
    ) -> Response:
        return show(name, visit, SAID.get(said, ""), was_taken=taken)

    @router.post("/datasets/{name}/tasks")
    def act(
        name: str,
        visit: Annotated[Visit, site.posted("reviewer")],
        act: Annotated[Literal["", "take", "answer", "discard", "return"], Form()] = "",
        lease: Annotated[int, Form(ge=0, lt=2**63)] = 0,
        choice: Annotated[str, Form(max_length=_LONGEST_ANSWER)] = "",
        given: Annotated[str, Form(max_length=_LONGEST_ANSWER)] = "",
        reason: Annotated[str, Form(max_length=_LONGEST_REASON)] = "",
    ) -> Response:
        with site.database.read() as connection:
            dataset = found_dataset(connection, name)
            mine = {task.lease_id for task in open_tasks(connection, dataset, visit.name)}
        said = ""
        if act != "take":
            if lease not in mine:
                return show(
                    name, visit, fault="that task is over: it ran out, or you answered it", was_taken=False
                )
            said = "returned" if act == "return" else "answered"
            try:
                if act == "return":
                    release(site.database, lease, solver=visit.name)
                else:
                    text = None if act == "discard" else clean(choice or given)
                    answer(site.database, lease, answer=text, reason=clean(reason), solver=visit.name)
            except BadInputError as error:
                return show(name, visit, fault=str(error), was_taken=False)
        if not mine - {lease}:
            lease_next(site.database, solver=visit.name, dataset_name=dataset.name)
        query = {"said": said, "taken": "1"}
        return RedirectResponse(f"{ROOT}/datasets/{dataset.name}/tasks{written.query(query)}", 303)

    return router
