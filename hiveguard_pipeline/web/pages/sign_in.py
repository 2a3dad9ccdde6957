"""Signing in and out."""

import math
import secrets
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from hiveguard_pipeline.web import csrf, sessions
from hiveguard_pipeline.web.pages.site import ROOT, RefusedError, Site, Visit, address_of, is_secure
from hiveguard_pipeline.web.users import LONGEST_PASSWORD, password_is_right, there_are_users

_BEFORE = "hiveguard_before"
"""The cookie that the sign-in form is bound to, while there is no session."""

_MOST = 200


def sign_in_routes(site: Site) -> APIRouter:
    """The form, and what becomes of it."""
    router = APIRouter(route_class=site.route_class())

    @router.get("/sign-in")
    def show(request: Request, asked: Annotated[str, Query(alias="next", max_length=2_000)] = "") -> Response:
        return _form(site, request, asked)

    @router.post("/sign-in")
    def sign_in(
        request: Request,
        name: Annotated[str, Form(max_length=_MOST)],
        password: Annotated[str, Form(max_length=LONGEST_PASSWORD)],
        asked: Annotated[str, Form(alias="next", max_length=2_000)] = "",
        given: Annotated[str, Form(alias=csrf.FIELD, max_length=_MOST)] = "",
    ) -> Response:
        before = request.cookies.get(_BEFORE, "")
        if csrf.is_from_elsewhere(request.headers) or not (before and csrf.matches(before, given)):
            return _form(
                site, request, asked, "This form was too old, or your browser keeps no cookies. Again:"
            )
        name, address = name.strip().lower(), address_of(request)
        if wait := site.throttle.wait(name, address):
            said = f"Too many sign-ins failed. Try again in {math.ceil(wait):,} seconds."
            return _form(site, request, asked, said, 429, {"Retry-After": str(math.ceil(wait))})
        user = password_is_right(site.database, name, password)
        if user is None:
            site.throttle.failed(name, address)
            sessions.refused(site.database, name, address)
            return _form(site, request, asked, "There is no such name with that password.", 401)
        site.throttle.succeeded(name, address)
        secure = is_secure(request)
        cookie = sessions.cookie_name(secure)
        token = sessions.begin(site.database, user, address, request.cookies.get(cookie))
        response = RedirectResponse(own_page(asked), 303)
        response.set_cookie(cookie, token, path="/", secure=secure, httponly=True, samesite="lax")
        response.delete_cookie(_BEFORE, path=ROOT)
        return response

    @router.post("/sign-out")
    def sign_out(request: Request, visit: Annotated[Visit, site.posted("viewer")]) -> Response:
        sessions.end(site.database, visit.session)
        response = RedirectResponse(f"{ROOT}/sign-in", 303)
        secure = is_secure(request)
        name = sessions.cookie_name(secure)
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
        return response

    return router


def _form(
    site: Site,
    request: Request,
    asked: str,
    said: str = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    with site.database.read() as connection:
        anybody = there_are_users(connection)
    before = request.cookies.get(_BEFORE) or secrets.token_urlsafe(32)
    if len(before) > _MOST:
        raise RefusedError("a cookie of this page was changed; remove it", 400)
    response = site.page(
        "sign_in.html",
        None,
        status=status,
        headers=headers,
        token=csrf.token_for(before),
        asked=asked,
        said=said,
        anybody=anybody,
    )
    response.set_cookie(
        _BEFORE, before, path=ROOT, secure=is_secure(request), httponly=True, samesite="strict", max_age=3_600
    )
    return response


def own_page(asked: str) -> str:
    """Where to go after the sign-in: a page of ours, whatever the form said."""
    plain = asked.isascii() and asked.isprintable() and "\\" not in asked and "//" not in asked
    return asked if plain and asked.startswith(f"{ROOT}/") else f"{ROOT}/"
