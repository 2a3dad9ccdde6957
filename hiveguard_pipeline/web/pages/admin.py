"""What admins see: the audit's events, and the users."""

from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import RedirectResponse

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import list_datasets
from hiveguard_pipeline.web import users
from hiveguard_pipeline.web.pages.given import clean
from hiveguard_pipeline.web.pages.site import ROOT, Site, Visit

EVENTS = 100
_LOOKED_AT = 100_000
"""Events that are looked through for a filter, at a time."""

_NAME = 200


def admin_routes(site: Site) -> APIRouter:
    """Audit and users."""
    router = APIRouter(route_class=site.route_class())

    @router.get("/audit")
    def audit(
        visit: Annotated[Visit, site.signed_in("admin")],
        before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
        actor: Annotated[str, Query(max_length=_NAME)] = "",
        action: Annotated[str, Query(max_length=_NAME)] = "",
    ) -> Response:
        with site.database.read() as connection:
            events, older = list_events(connection, before, actor, action)
            names = {dataset.dataset_id: dataset.name for dataset in list_datasets(connection)}
        return site.page(
            "audit.html",
            visit,
            events=events,
            older=older,
            names=names,
            actor=actor,
            action=action,
            before=before,
        )

    @router.get("/users")
    def show(visit: Annotated[Visit, site.signed_in("admin")]) -> Response:
        return _users(site, visit)

    @router.post("/users")
    def create(
        visit: Annotated[Visit, site.posted("admin")],
        name: Annotated[str, Form(max_length=_NAME)],
        role: Annotated[str, Form(max_length=_NAME)],
        password: Annotated[str, Form(max_length=users.LONGEST_PASSWORD)],
    ) -> Response:
        try:
            users.create_user(site.database, name, role, password, actor=visit.name)
        except BadInputError as error:
            return _users(site, visit, str(error), name, role)
        return RedirectResponse(f"{ROOT}/users", 303)

    @router.post("/users/{name}")
    def change(
        name: str,
        visit: Annotated[Visit, site.posted("admin")],
        act: Annotated[Literal["role", "disable", "enable", "password"], Form()],
        role: Annotated[str, Form(max_length=_NAME)] = "",
        password: Annotated[str, Form(max_length=users.LONGEST_PASSWORD)] = "",
    ) -> Response:
        try:
            if act == "role":
                users.set_role(site.database, name, role, actor=visit.name)
            elif act == "password":
                users.set_password(site.database, name, password, actor=visit.name)
            elif act == "disable":
                users.disable_user(site.database, name, actor=visit.name)
            else:
                users.enable_user(site.database, name, actor=visit.name)
        except BadInputError as error:
            return _users(site, visit, str(error))
        return RedirectResponse(f"{ROOT}/users", 303)

    return router


def _users(site: Site, visit: Visit, fault: str = "", name: str = "", role: str = "viewer") -> Response:
    with site.database.read() as connection:
        found = users.list_users(connection)
    return site.page(
        "users.html",
        visit,
        status=400 if fault else 200,
        users=found,
        roles=users.ROLES,
        fault=fault,
        given=name,
        role=role,
        shortest=users.SHORTEST_PASSWORD,
    )


def list_events(
    connection: sa.Connection, before: int | None, actor: str, action: str
) -> tuple[list[dict[str, Any]], int | None]:
    """The newest events before one, of an actor or action; and the event_id to go on before, None at the end.

    A filter looks through so many events at a time, so that a page is made soon whatever it asks for.
    """
    event = t.audit_events.c
    newest = connection.execute(sa.select(sa.func.max(event.event_id))).scalar() or 0
    top = min(before or newest + 1, newest + 1)
    wanted = [event.event_id < top, event.event_id >= top - _LOOKED_AT]
    if actor:
        wanted.append(event.actor == clean(actor))
    if action:
        wanted.append(event.action == clean(action))
    rows = connection.execute(
        sa.select(t.audit_events).where(*wanted).order_by(event.event_id.desc()).limit(EVENTS + 1)
    )
    found = [dict(row) for row in rows.mappings()]
    if len(found) > EVENTS:
        return found[:EVENTS], int(found[EVENTS - 1]["event_id"])
    return found, top - _LOOKED_AT if top - _LOOKED_AT > 1 else None
