"""Errors as application/problem+json (RFC 9457): what went wrong and what to do, nothing of our inside.

The pages answer their own errors, as HTML.
"""

import logging
import traceback
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from hiveguard_pipeline.errors import (
    BadInputError,
    ConflictError,
    HiveGuardError,
    NotFoundError,
    StoreUnavailableError,
)

log = logging.getLogger("hiveguard.web")

MEDIA_TYPE = "application/problem+json"
TYPES = "urn:hiveguard:problem:"

EVERYWHERE = {
    400: "The request cannot be read",
    401: "No key, or one that does not hold",
    403: "A key without the scope, or for another dataset",
    404: "No such dataset or item",
    408: "The body came too slowly",
    413: "The body is too large",
    422: "The request is not what this address takes",
    503: "The server or its database is busy: try again",
}
"""Problems that any address may answer with."""

SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}

_LONGEST_DETAIL = 2_000
_MOST_FAULTS = 20


class ProblemError(Exception):
    """A request that is answered with a problem. kind: the last part of the problem's type."""

    def __init__(self, status: int, kind: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.headers = headers or {}
        self.more: dict[str, Any] = {}

    @property
    def title(self) -> str:
        """What the status is called."""
        return HTTPStatus(self.status).phrase

    def response(self, instance: str) -> JSONResponse:
        """The problem as it is sent."""
        return JSONResponse(
            {
                "type": TYPES + self.kind,
                "title": self.title,
                "status": self.status,
                "detail": self.detail[:_LONGEST_DETAIL],
                "instance": instance,
                **self.more,
            },
            status_code=self.status,
            headers={**self.headers, "Cache-Control": "no-store"},
            media_type=MEDIA_TYPE,
        )


def problem_of(error: Exception) -> ProblemError:
    """What is told of an error; one that nobody expected says nothing of itself."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, StoreUnavailableError):
        return ProblemError(
            503,
            "store-unavailable",
            "the database could not be used just now; nothing was changed, try again",
            {"Retry-After": "5"},
        )
    for kind, status, name in (
        (NotFoundError, 404, "not-found"),
        (ConflictError, 409, "conflict"),
        (BadInputError, 422, "refused"),
        (HiveGuardError, 500, "failed"),
    ):
        if isinstance(error, kind):
            return ProblemError(status, name, " ".join(str(error).split()))
    if isinstance(error, HTTPException):
        return ProblemError(
            error.status_code, _kind_of(error.status_code), str(error.detail), dict(error.headers or {})
        )
    return ProblemError(500, "unexpected", "something failed that should not; the server's log says what")


def report(error: Exception, what: str, without_secrets: Callable[[str], str]) -> None:
    """Write an error to the server's log if its cause lies here."""
    if isinstance(error, StoreUnavailableError) or not isinstance(
        error, ProblemError | HiveGuardError | HTTPException
    ):
        report_unasked(error, what, without_secrets)


def report_unasked(error: Exception, what: str, without_secrets: Callable[[str], str]) -> None:
    """Write an error to the server's log that no answer tells, as of work in the background."""
    if isinstance(error, HiveGuardError):
        log.warning("%s: %s", what, error)
    else:
        log.error("%s: %s", what, without_secrets("".join(traceback.format_exception(error))))


def install(app: FastAPI, without_secrets: Callable[[str], str]) -> None:
    """Answer every error of an application with a problem."""

    async def told(request: Request, error: Exception) -> Response:
        report(error, f"{request.method} {request.url.path}", without_secrets)
        return problem_of(error).response(request.url.path)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        problem = ProblemError(422, "invalid", "the request is not what this address takes")
        problem.more["errors"] = [_fault(fault) for fault in error.errors()[:_MOST_FAULTS]]
        if any(fault["type"] == "json_invalid" for fault in error.errors()):
            problem = ProblemError(400, "not-json", "the body is no JSON")
        return await told(request, problem)

    app.add_exception_handler(ProblemError, told)
    app.add_exception_handler(HiveGuardError, told)
    app.add_exception_handler(HTTPException, told)
    app.add_exception_handler(RequestValidationError, invalid)


def _fault(fault: Any) -> dict[str, str]:
    """Where and what; not the value, which may be a secret or a megabyte."""
    return {"at": "/".join(str(part) for part in fault["loc"])[:200], "what": str(fault["msg"])[:200]}


def _kind_of(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "-")
