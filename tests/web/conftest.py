"""A web application on each database, keys for it, and a real server on a real socket."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.web.app import create_app
from hiveguard_pipeline.web.keys import create_key
from hiveguard_pipeline.web.limits import Limits
from hiveguard_pipeline.web.server import LimitedProtocol, Server

NewKey = Callable[..., str]
Served = Callable[..., contextlib.AbstractContextManager[tuple[str, int]]]


@pytest.fixture
def settings_here(tmp_path: Path, database_url: str) -> Settings:
    home = tmp_path / "home"
    return Settings.from_environment({"HIVEGUARD_HOME": str(home), "HIVEGUARD_DATABASE_URL": database_url})


@pytest.fixture
def app(database_url: str, database: Database, settings_here: Settings) -> FastAPI:
    """The application as a server has it: with connections that are kept."""
    return create_app(Database(database_url, serves=4), settings_here)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """A client without a key."""
    with TestClient(app) as client:
        yield client
    app.state.database.engine.dispose()


@pytest.fixture
def new_key(database: Database) -> NewKey:
    """Makes keys: new_key("votes") gives the text of one."""

    def make(*scopes: str, **options: Any) -> str:
        return create_key(database, "a test's", scopes, actor="test", **options)[0]

    return make


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def served(
    database_url: str,
    database: Database,
    settings_here: Settings,
) -> Served:
    """Runs the application on a socket of this machine: with served(limits) as (host, port)."""

    @contextlib.contextmanager
    def run(limits: Limits | None = None) -> Iterator[tuple[str, int]]:
        limits = limits or Limits()
        store = Database(database_url, serves=4)
        config = uvicorn.Config(
            create_app(store, settings_here, limits),
            host="127.0.0.1",
            port=0,
            http=type("Protocol", (LimitedProtocol,), {"limits": limits}),
            ws="none",
            log_config=None,
            timeout_keep_alive=limits.keep_alive_seconds,
            timeout_graceful_shutdown=2,
            limit_concurrency=limits.connections,
        )
        started = threading.Event()
        server = Server(config, started.set)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        assert started.wait(30)
        try:
            yield server.servers[0].sockets[0].getsockname()[:2]
        finally:
            server.should_exit = True
            thread.join(20)
            store.engine.dispose()
        assert not thread.is_alive()

    return run


def problem(answer: Any) -> dict[str, Any]:
    """The problem of an answer, which is of the form that all have, and tells nothing of our inside."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told: dict[str, Any] = answer.json()
    assert (
        {"type", "title", "status", "detail", "instance"}
        <= set(told)
        <= {
            "type",
            "title",
            "status",
            "detail",
            "instance",
            "errors",
        }
    )
    assert told["status"] == answer.status_code
    assert told["type"].startswith("urn:hiveguard:problem:")
    for word in ("Traceback", "sqlalchemy", "psycopg2", "sqlite3", 'File "'):
        assert word not in json.dumps(told | {"instance": ""})
    return told
