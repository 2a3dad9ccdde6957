"""The review queue: one item at a time, by keys or by a form; a decision is on the item as it was shown."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, Field

from hiveguard_pipeline.errors import BadInputError, ConflictError
from hiveguard_pipeline.review import Decision, decide, standing_token, undo
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.status import find_item
from hiveguard_pipeline.web.pages import written
from hiveguard_pipeline.web.pages.datasets import found_dataset
from hiveguard_pipeline.web.pages.given import clean
from hiveguard_pipeline.web.pages.review_queue import Task, is_open, next_tasks, pace_of, task_of
from hiveguard_pipeline.web.pages.site import ROOT, Site, Visit

REASONS = (
    "looked at it: clear to me",
    "follows the labelling guide",
    "most answers are right",
    "most answers are wrong",
    "cannot be told from the data",
    "the data is broken or missing",
)
"""To choose from; another can be written."""

DEFAULT_REASONS = {
    "confirm": "the label is right",
    "relabel": "another label is right",
    "discard": "cannot be labelled",
    "undo": "decided by mistake",
}
"""Recorded where no reason is given."""

_LONGEST_LABEL, _LONGEST_REASON = 1_000_000, 1_000
_AT_ONCE = 20

Text = Annotated[str, Field(max_length=_LONGEST_REASON)]
Id = Annotated[str, Field(max_length=36)]
Token = Annotated[str, Field(min_length=1, max_length=200)]


class Decided(BaseModel):
    """A decision that our script sends."""

    item_id: Id
    decision: Literal["confirm", "relabel", "discard"]
    label: Annotated[str, Field(max_length=_LONGEST_LABEL)] | None = None
    reason: Text = ""
    expected: Token


class Undone(BaseModel):
    """What our script sends to take a decision back."""

    item_id: Id
    reason: Text = ""
    expected: Token


def review_routes(site: Site) -> APIRouter:
    """The page, its form, and what the script asks for and sends."""
    router = APIRouter(route_class=site.route_class())

    @router.get("/datasets/{name}/review")
    def show(
        name: str,
        visit: Annotated[Visit, site.signed_in("reviewer")],
        after: Annotated[str, Query(max_length=60)] = "",
        item: Annotated[str, Query(max_length=36)] = "",
        done: Annotated[str, Query(max_length=36)] = "",
    ) -> Response:
        with site.database.read() as connection:
            dataset = found_dataset(connection, name)
            pace = pace_of(connection, visit.name)
        tasks, flagged = next_tasks(site, dataset, after, 1)
        task = tasks[0] if tasks else None
        if item:
            asked = _task_or_none(site, dataset, item)
            task = asked if asked is not None and is_open(asked) else task
        return site.page(
            "review.html",
            visit,
            media=True,
            dataset=dataset,
            tab="review",
            task=task,
            flagged=flagged,
            pace=pace,
            reasons=REASONS,
            decided=_newest_by(site, dataset, done, visit.name) if done else None,
            after=after,
        )

    @router.post("/datasets/{name}/review")
    def decide_by_form(
        name: str,
        visit: Annotated[Visit, site.posted("reviewer")],
        item_id: Annotated[str, Form(max_length=36)],
        decision: Annotated[Literal["confirm", "relabel", "discard", "undo"], Form()],
        expected: Annotated[str, Form(min_length=1, max_length=200)],
        cursor: Annotated[str, Form(max_length=60)] = "",
        label: Annotated[str, Form(max_length=_LONGEST_LABEL)] = "",
        choice: Annotated[str, Form(max_length=_LONGEST_LABEL)] = "",
        reason: Annotated[str, Form(max_length=_LONGEST_REASON)] = "",
        own_reason: Annotated[str, Form(max_length=_LONGEST_REASON)] = "",
    ) -> Response:
        with site.database.read() as connection:
            dataset = found_dataset(connection, name)
        said = _reason(own_reason or reason, decision)
        page = f"{ROOT}/datasets/{dataset.name}/review"
        try:
            _act(site, dataset.name, visit, decision, item_id, clean(label or choice), said, expected)
        except ConflictError as error:
            onward = page + written.query({"after": cursor})
            return site.page(
                "conflict.html",
                visit,
                status=409,
                dataset=dataset,
                tab="review",
                said=str(error),
                onward=onward,
            )
        if decision == "undo":
            return RedirectResponse(page + written.query({"item": item_id}), 303)
        return RedirectResponse(page + written.query({"after": cursor, "done": item_id}), 303)

    @router.get("/datasets/{name}/review/next")
    def next_(
        name: str,
        visit: Annotated[Visit, site.signed_in("reviewer")],  # noqa: ARG001
        after: Annotated[str, Query(max_length=60)] = "",
        n: Annotated[int, Query(ge=1, le=50)] = _AT_ONCE,
    ) -> Response:
        with site.database.read() as connection:
            dataset = found_dataset(connection, name)
        tasks, flagged = next_tasks(site, dataset, after, n)
        return JSONResponse({"items": [_as_json(site, dataset, task) for task in tasks], "flagged": flagged})

    @router.get("/datasets/{name}/review/items/{item}")
    def one(name: str, item: str, visit: Annotated[Visit, site.signed_in("reviewer")]) -> Response:  # noqa: ARG001
        with site.database.read() as connection:
            dataset = found_dataset(connection, name)
        return JSONResponse(_as_json(site, dataset, task_of(site, dataset, item)))

    @router.post("/datasets/{name}/review/decisions")
    def decide_by_script(
        name: str, sent: Decided, visit: Annotated[Visit, site.fetched("reviewer")]
    ) -> Response:
        said = _reason(sent.reason, sent.decision)
        made = _act(
            site, name, visit, sent.decision, sent.item_id, clean(sent.label or ""), said, sent.expected
        )
        return JSONResponse(_made(site.database, made))

    @router.post("/datasets/{name}/review/undo")
    def undo_by_script(
        name: str, sent: Undone, visit: Annotated[Visit, site.fetched("reviewer")]
    ) -> Response:
        said = _reason(sent.reason, "undo")
        made = _act(site, name, visit, "undo", sent.item_id, "", said, sent.expected)
        return JSONResponse(_made(site.database, made))

    return router


def _act(
    site: Site, name: str, visit: Visit, decision: str, item_id: str, label: str, reason: str, expected: str
) -> Decision:
    if decision == "undo":
        return undo(
            site.database, item_id, reviewer=visit.name, reason=reason, dataset_name=name, expected=expected
        )
    return decide(
        site.database,
        item_id,
        decision,
        reviewer=visit.name,
        reason=reason,
        label=label if decision == "relabel" else None,
        dataset_name=name,
        expected=expected,
    )


def _made(database: Database, made: Decision) -> dict[str, Any]:
    """What a decision did, and how the item stands now: what an undo repeats."""
    with database.read() as connection:
        expected = standing_token(connection, find_item(connection, made.item_id))
    return {
        "item_id": made.item_id,
        "external_id": made.external_id,
        "decision": made.decision,
        "label": made.label,
        "state": made.state,
        "expected": expected,
    }


def _newest_by(site: Site, dataset: Any, item: str, reviewer: str) -> dict[str, Any] | None:
    """The decision that somebody made just now, to be taken back; None if it is not the newest and his."""
    from hiveguard_pipeline.audit import explain

    with site.database.read() as connection:
        try:
            found = explain(connection, item, dataset.name)
        except BadInputError:
            return None
        newest = found.reviews[-1] if found.reviews else None
        if newest is None or newest["reviewer"] != reviewer or newest["decision"] == "undo":
            return None
        return {
            "item": found.item,
            "decision": newest["decision"],
            "expected": standing_token(connection, found.item),
        }


def _task_or_none(site: Site, dataset: Any, item: str) -> Task | None:
    try:
        return task_of(site, dataset, item)
    except BadInputError:
        return None


def _as_json(site: Site, dataset: Any, task: Task) -> dict[str, Any]:
    """An item for the script: what it shows is made here, by the template of the form's page."""
    item = task.shown.item
    return {
        "item_id": item.item_id,
        "external_id": item.external_id,
        "label": item.label,
        "expected": task.expected,
        "cursor": task.cursor,
        "choices": task.shown.choices,
        "open": is_open(task),
        "html": site.render("card.html", dataset=dataset, card=task.shown),
    }


def _reason(given: str, decision: str) -> str:
    return clean(given).strip() or DEFAULT_REASONS[decision]
