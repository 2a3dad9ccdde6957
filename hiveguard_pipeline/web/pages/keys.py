"""Keys of the API, for admins: who has which, a new one, and the end of one."""

from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.store.datasets import list_datasets
from hiveguard_pipeline.web.keys import LONGEST_NAME, SCOPES, create_key, list_keys, revoke_key
from hiveguard_pipeline.web.pages.given import clean
from hiveguard_pipeline.web.pages.site import ROOT, Site, Visit


def key_routes(site: Site) -> APIRouter:
    """The list and its forms."""
    router = APIRouter(route_class=site.route_class())

    @router.get("/keys")
    def show(visit: Annotated[Visit, site.signed_in("admin")]) -> Response:
        return _keys(site, visit)

    @router.post("/keys")
    def create(
        visit: Annotated[Visit, site.posted("admin")],
        name: Annotated[str, Form(max_length=LONGEST_NAME)] = "",
        scopes: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
        dataset: Annotated[str, Form(max_length=63)] = "",
    ) -> Response:
        try:
            text, _ = create_key(
                site.database, clean(name), scopes, actor=visit.name, dataset_name=clean(dataset) or None
            )
        except BadInputError as error:
            return _keys(site, visit, fault=str(error))
        return _keys(site, visit, made=text)

    @router.post("/keys/{key}")
    def revoke(key: int, visit: Annotated[Visit, site.posted("admin")]) -> Response:
        revoke_key(site.database, str(key), actor=visit.name)
        return RedirectResponse(f"{ROOT}/keys", 303)

    return router


def _keys(site: Site, visit: Visit, fault: str = "", made: str = "") -> Response:
    with site.database.read() as connection:
        datasets = [dataset.name for dataset in list_datasets(connection)]
    return site.page(
        "keys.html",
        visit,
        status=400 if fault else 200,
        keys=list_keys(site.database)[::-1],
        scopes=SCOPES,
        datasets=datasets,
        fault=fault,
        made=made,
        longest=LONGEST_NAME,
    )
