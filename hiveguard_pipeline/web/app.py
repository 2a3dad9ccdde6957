"""The application: the API's routes, the pages, and what holds for every request."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.responses import JSONResponse, RedirectResponse

from hiveguard_pipeline import __version__
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.schema import open_database
from hiveguard_pipeline.web import access, problems
from hiveguard_pipeline.web.api import challenge, datasets, export, items, review, tasks, votes
from hiveguard_pipeline.web.challenges import Challenges
from hiveguard_pipeline.web.limits import Limits, LimitsLayer
from hiveguard_pipeline.web.pages.router import pages_router
from hiveguard_pipeline.web.spool import Spools

DESCRIPTION = """
Votes in, challenges out, and labels for those who train on them. Every request wants a key
(`Authorization: Bearer hg_...`, made by `hiveguard keys create`) or somebody who is signed in. Errors are
problems (RFC 9457): `type`, `title`, `status`, `detail`, `instance`.
"""


def create_app(database: Database, settings: Settings, limits: Limits | None = None) -> FastAPI:
    """The web application of a store."""
    limits = limits or Limits()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = limits.threads
        with app.state.challenges, app.state.exports:
            yield

    app = FastAPI(
        title="HiveGuard",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        responses={
            status: {"description": said, "content": {problems.MEDIA_TYPE: {"schema": problems.SCHEMA}}}
            for status, said in problems.EVERYWHERE.items()
        },
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.database, app.state.settings, app.state.limits = database, settings, limits
    app.state.keys = access.Keys(database)
    app.state.challenges = Challenges(database)
    app.state.exports = Spools(settings.home / "tmp", limits.exports_at_once)
    problems.install(app, database.without_secrets)
    app.add_middleware(LimitsLayer, limits=limits, without_secrets=database.without_secrets)
    for routes in (datasets, votes, challenge, items, review, tasks, export):
        app.include_router(routes.router)
    app.add_api_route("/healthz", _health(database), include_in_schema=False)
    _add_pages(app, database, settings)
    return app


def from_environment() -> FastAPI:
    """The application of the store that the environment names: what the server's processes run."""
    settings = Settings.from_environment()
    open_database(settings.database_url)  # at its newest revision, or refused
    limits = Limits()
    return create_app(Database(settings.database_url, serves=limits.threads), settings, limits)


def _health(database: Database) -> Any:
    def health() -> JSONResponse:
        """Whether the store can be read; says nothing else."""
        with database.look() as connection:
            connection.exec_driver_sql("SELECT 1")
        return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})

    return health


def _add_pages(app: FastAPI, database: Database, settings: Settings) -> None:
    app.include_router(pages_router(database, settings))

    @app.get("/", include_in_schema=False)
    def root() -> RedirectResponse:
        return RedirectResponse("/ui/", 307)
