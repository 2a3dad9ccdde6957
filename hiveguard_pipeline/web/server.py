"""The server: uvicorn, with a deadline for headers, which it has none of by itself, and a quiet end."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Generator
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.web.limits import Limits

APPLICATION = "hiveguard_pipeline.web.app:from_environment"

GRACE_SECONDS = 10
BACKLOG = 2048


def serve(host: str, port: int, workers: int, started: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. started: told the address once requests are taken.

    port 0: any free one. Raises BadInputError for an address that cannot be had.
    """
    listening = _listen(host, port)
    address = _address(listening)
    config = uvicorn.Config(
        APPLICATION,
        factory=True,
        workers=workers,
        http=LimitedProtocol,
        ws="none",
        lifespan="on",
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        timeout_keep_alive=LimitedProtocol.limits.keep_alive_seconds,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=LimitedProtocol.limits.connections,
    )
    with contextlib.closing(listening):
        if workers > 1:
            started(address)
            supervisor = Multiprocess(config, sockets=[listening])
            supervisor.run()
            if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
                sys.exit(1)
        else:
            server = Server(config, lambda: started(address))
            server.run(sockets=[listening])
            if not server.started:
                sys.exit(1)


class Server(uvicorn.Server):
    """A server that says when it has started, and whose end by a signal is an ordinary end."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._say_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """As uvicorn does, but that the signal is not raised again when all is done."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


class LimitedProtocol(HttpToolsProtocol):
    """HTTP for which headers have to be whole in time, and small."""

    limits = Limits()
    _deadline: asyncio.TimerHandle | None = None
    _unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client: its first headers are awaited."""
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        """Bytes, of headers if no request is being read."""
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._await_headers()  # the next request on a connection
        if self._deadline is not None:
            self._unread += len(data)
        super().data_received(data)
        if self._deadline is not None and self._unread > self.limits.header_bytes:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        """The headers are there."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        self._unread = 0
        self._deadline = self.loop.call_later(
            self.limits.header_seconds, self._refuse, b"408 Request Timeout"
        )

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: bytes) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family=family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)  # who comes before the processes are up waits
    except (OSError, UnicodeError, OverflowError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise BadInputError(
            f"{host}, port {port} cannot be listened on: {said}; --port takes another"
        ) from None
    listening.set_inheritable(True)
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"}
    },
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
        "hiveguard": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}
