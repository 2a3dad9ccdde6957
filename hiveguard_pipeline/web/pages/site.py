"""What all pages share: the store, the templates, who is signed in, and the headers of every answer."""

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Form, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException as StarletteHTTPException

from hiveguard_pipeline.errors import (
    BadInputError,
    ConflictError,
    HiveGuardError,
    NotFoundError,
    StoreUnavailableError,
)
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.web import csrf, sessions
from hiveguard_pipeline.web.pages import written
from hiveguard_pipeline.web.pages.figures import FigureCache
from hiveguard_pipeline.web.pages.static_files import StaticFiles
from hiveguard_pipeline.web.throttle import Throttle
from hiveguard_pipeline.web.users import may

ROOT = "/ui"

_OWN = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'{media}; connect-src 'self';"
    " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
CSP = _OWN.format(media="")
CSP_WITH_MEDIA = _OWN.format(media=" https: http:; media-src 'self' https: http:")
"""Of pages that show items: what a data_ref names is loaded by the browser, from wherever it lies."""

HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class SignInWantedError(Exception):
    """Nobody is signed in, and the page is not for everybody."""


class RefusedError(Exception):
    """The request is not one that this user, or any page of ours, may make."""

    def __init__(self, said: str, status: int = 403) -> None:
        super().__init__(said)
        self.status = status


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of somebody who is signed in."""

    request: Request
    session: sessions.SignedIn

    @property
    def name(self) -> str:
        """The user's name: the actor and reviewer of what he does."""
        return self.session.name

    def may(self, role: str) -> bool:
        """Whether the user's role includes another."""
        return may(self.session.role, role)


_TOLD = (SignInWantedError, RefusedError, HiveGuardError, RequestValidationError, StarletteHTTPException)
"""What a request can be answered with; anything else is a fault of ours, and the application's to tell."""


class Site:
    """The dashboard of one store."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        self.throttle = Throttle()
        self.figures = FigureCache(database.without_secrets)
        self.static = StaticFiles()
        self._notes = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hiveguard-sessions")
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= written.FILTERS
        self._templates.globals |= {"root": ROOT, "static": self.static.address}

    def render(self, template: str, **context: Any) -> str:
        """A template, filled in; every value is escaped."""
        return self._templates.get_template(template).render(**context)

    def page(
        self,
        template: str,
        visit: Visit | None,
        *,
        status: int = 200,
        media: bool = False,
        headers: Mapping[str, str] | None = None,
        **context: Any,
    ) -> HTMLResponse:
        """A whole page. media: whether it shows items, whose pictures and sounds lie elsewhere."""
        token = csrf.token_for(visit.session.token) if visit else ""
        text = self.render(template, visit=visit, csrf=token, **context)
        allowed = {"Content-Security-Policy": CSP_WITH_MEDIA if media else CSP}
        return HTMLResponse(text, status, headers={**allowed, **(headers or {})})

    def signed_in(self, role: str) -> Any:
        """The dependency of a page that only looks: somebody of at least that role is signed in."""
        return Depends(partial(_visit, self, role))

    def posted(self, role: str) -> Any:
        """The dependency of a form: and it was filled in on a page of this session."""

        def check(request: Request, given: Annotated[str, Form(alias=csrf.FIELD)] = "") -> Visit:
            return _made_here(_visit(self, role, request), given)

        return Depends(check)

    def fetched(self, role: str) -> Any:
        """The dependency of a request that our script makes: the token comes in a header."""

        def check(request: Request) -> Visit:
            return _made_here(_visit(self, role, request), request.headers.get(csrf.HEADER))

        return Depends(check)

    def visit_of(self, request: Request) -> Visit | None:
        """Who makes a request, None if nobody is signed in."""
        token = request.cookies.get(sessions.cookie_name(is_secure(request)))
        session = sessions.signed_in(self.database, token)
        if session is None:
            return None
        if session.is_stale:
            # Not before the answer: on SQLite a long import may hold the write lock.
            self._notes.submit(sessions.seen, self.database, session.token)
        return Visit(request, session)

    def problem(self, request: Request, status: int, title: str, said: str) -> Response:
        """An error as a page, or as JSON for our script."""
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"problem": said}, status)
        return self.page("problem.html", None, status=status, title=title, said=said)

    def route_class(self) -> type[APIRoute]:
        """Routes whose errors are pages and whose answers carry the headers."""
        site = self

        class PageRoute(APIRoute):
            def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
                handle = super().get_route_handler()

                async def handled(request: Request) -> Response:
                    try:
                        response = await handle(request)
                    except _TOLD as error:
                        response = _answer_to(site, request, error)
                    for name, value in HEADERS.items():
                        response.headers.setdefault(name, value)
                    return response

                return handled

        return PageRoute


def is_secure(request: Request) -> bool:
    """Whether the browser speaks https, to us or to a proxy that says so."""
    said = request.headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
    return request.url.scheme == "https" or said == "https"


def address_of(request: Request) -> str:
    """Where a request comes from; behind a proxy that the server trusts, from where that says."""
    return request.client.host if request.client else "unknown"


def _visit(site: Site, role: str, request: Request) -> Visit:
    visit = site.visit_of(request)
    if visit is None:
        raise SignInWantedError
    if not visit.may(role):
        raise RefusedError(f"this is for {role}s; {visit.name} is {visit.session.role}")
    return visit


def _made_here(visit: Visit, given: str | None) -> Visit:
    if csrf.is_from_elsewhere(visit.request.headers) or not csrf.matches(visit.session.token, given):
        raise RefusedError("this form is not of your session: go back, load the page again and send it anew")
    return visit


def _answer_to(site: Site, request: Request, error: Exception) -> Response:
    if isinstance(error, SignInWantedError):
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"problem": "you are signed out: sign in again"}, 401)
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        wanted = written.query({"next": asked}) if request.method == "GET" else ""
        return RedirectResponse(f"{ROOT}/sign-in{wanted}", 303)
    if isinstance(error, RefusedError):
        return site.problem(request, error.status, "Not allowed", str(error))
    if isinstance(error, StoreUnavailableError):
        return site.problem(request, 503, "The database cannot be used", str(error))
    if isinstance(error, HiveGuardError):
        return site.problem(request, status_of(error), "That cannot be done", str(error))
    if isinstance(error, RequestValidationError):
        where = ", ".join(str(found["loc"][-1]) for found in error.errors())
        return site.problem(request, 422, "That cannot be read", f"what was sent is wrong in: {where}")
    if isinstance(error, StarletteHTTPException):
        return site.problem(request, error.status_code, "Not found", str(error.detail))
    raise error


def status_of(error: HiveGuardError) -> int:
    """The status of an error that the user can put right."""
    if isinstance(error, NotFoundError):
        return 404
    if isinstance(error, ConflictError):
        return 409
    return 400 if isinstance(error, BadInputError) else 500
