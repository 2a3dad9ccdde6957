"""What a request may cost: size and time of its body, how many are at work at once, how slowly it is read.

An ASGI layer around the application. The sizes are counted as they arrive, so that a body sent in chunks
without a length is cut off at its limit; one that names its length is refused before a byte of it is read.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from hiveguard_pipeline.web.problems import ProblemError, problem_of, report

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

BULK_PATH = re.compile(r"/datasets/[^/]+/votes/bulk")
CLOSE = {"Connection": "close"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, seconds and counts; each of one process of the server."""

    body_bytes: int = 4 << 20
    bulk_bytes: int = 16 << 20
    bulk_rows: int = 10_000
    header_bytes: int = 64 << 10
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    """For the whole of a body: a client that sends a byte now and then is cut off."""
    send_seconds: float = 60.0
    """For a client to take what it was sent, before more is sent: one that reads nothing is cut off."""
    keep_alive_seconds: int = 15
    requests_at_once: int = 128
    connections: int = 1_000
    exports_at_once: int = 4
    threads: int = 16
    """Requests at work in the database; as many connections to it are kept."""


class _TooLateError(Exception):
    pass


class LimitsLayer:
    """Holds requests to their limits, and answers what goes wrong outside of the routes with a problem."""

    def __init__(self, app: Application, limits: Limits, without_secrets: Callable[[str], str]) -> None:
        self._app, self._limits, self._without_secrets = app, limits, without_secrets
        self._at_work = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send, self._limits)
        try:
            if self._at_work >= self._limits.requests_at_once:
                raise ProblemError(
                    503,
                    "busy",
                    "more requests are at work than this server takes",
                    {"Retry-After": "1"} | CLOSE,
                )
            self._at_work += 1
            try:
                request.check()
                await self._app(scope, request.receive, request.send)
            finally:
                self._at_work -= 1
        except _TooLateError:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a problem and no traceback
            if request.refusal is None:
                report(error, f"{scope['method']} {scope['path']}", self._without_secrets)
            await request.answer(request.refusal or problem_of(error))
        else:
            if request.refusal is not None:
                await request.answer(request.refusal)


class _Request:
    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send, limits: Limits) -> None:
        self._scope, self._receive, self._send, self._limits = scope, receive, send, limits
        self._most = limits.bulk_bytes if BULK_PATH.fullmatch(scope["path"]) else limits.body_bytes
        self._seen = 0
        self._ended = False
        self._deadline: float | None = None
        self._has_answered = False
        self.refusal: ProblemError | None = None

    def check(self) -> None:
        """Refuse what can be told from path and headers."""
        for part in (self._scope["path"], self._scope["query_string"].decode("latin-1")):
            if "\0" in part or "%00" in part:
                raise ProblemError(400, "bad-request", "an address holds no NUL character", CLOSE)
        for name, value in self._scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value[:20]) > self._most):
                raise self._too_large()

    async def receive(self) -> Message:
        """The next part of the body, within the limits."""
        if self._ended:
            return await self._receive()
        loop = asyncio.get_running_loop()
        self._deadline = self._deadline or loop.time() + self._limits.body_seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self.refusal = ProblemError(
                408, "too-slow", f"the body took longer than {self._limits.body_seconds:g} seconds", CLOSE
            )
            raise self.refusal from None
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            if self._seen > self._most:
                raise self._too_large()
        return message

    async def answer(self, problem: ProblemError) -> None:
        """Answer with a problem; an answer that has begun is left broken, and the connection is closed."""
        if not self._has_answered:
            self.refusal = None
            await problem.response(self._scope["path"])(self._scope, self._receive, self.send)

    async def send(self, message: Message) -> None:
        """Send a part of the answer, unless the client does not take it."""
        if self.refusal is not None:
            return  # what the application makes of a body that was cut off; `answer` says why
        if message["type"] == "http.response.start":
            self._has_answered = True
            headers = message.setdefault("headers", [])
            headers += [(b"x-content-type-options", b"nosniff")]
            if not self._ended and not self._is_bodiless():
                headers.append((b"connection", b"close"))  # the rest of the body is not read
        try:
            async with asyncio.timeout(self._limits.send_seconds):
                await self._send(message)
        except TimeoutError:
            raise _TooLateError from None

    def _is_bodiless(self) -> bool:
        return not any(
            name in (b"content-length", b"transfer-encoding") for name, _ in self._scope["headers"]
        )

    def _too_large(self) -> ProblemError:
        self.refusal = ProblemError(413, "too-large", f"a body here has at most {self._most} bytes", CLOSE)
        return self.refusal
