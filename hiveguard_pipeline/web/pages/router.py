"""All pages of the dashboard, under `/ui`."""

from fastapi import APIRouter, HTTPException, Response

from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.web.pages.admin import admin_routes
from hiveguard_pipeline.web.pages.datasets import dataset_routes
from hiveguard_pipeline.web.pages.items import item_routes
from hiveguard_pipeline.web.pages.keys import key_routes
from hiveguard_pipeline.web.pages.quality import quality_routes
from hiveguard_pipeline.web.pages.review import review_routes
from hiveguard_pipeline.web.pages.sign_in import sign_in_routes
from hiveguard_pipeline.web.pages.site import ROOT, Site
from hiveguard_pipeline.web.pages.tasks import task_routes

PARTS = (
    sign_in_routes,
    dataset_routes,
    item_routes,
    review_routes,
    task_routes,
    quality_routes,
    admin_routes,
    key_routes,
)
"""What makes the routes, each with an address under ROOT."""


def pages_router(database: Database, settings: Settings) -> APIRouter:
    """The dashboard of a store; its routes are no part of the API's schema."""
    site = Site(database, settings)
    router = APIRouter(prefix=ROOT, route_class=site.route_class(), include_in_schema=False)

    @router.get("/static/{name}")
    def static(name: str) -> Response:
        return site.static.response(name)

    for routes in PARTS:
        router.include_router(routes(site))

    @router.get("/{rest:path}")
    def nothing(rest: str) -> Response:  # noqa: ARG001
        raise HTTPException(404, "there is no such page")

    return router
