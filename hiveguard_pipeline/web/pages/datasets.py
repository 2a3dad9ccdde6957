"""Datasets: what there is, and a page for each with its figures."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response
from markupsafe import Markup

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.store.datasets import (
    Dataset,
    current_policy,
    get_dataset,
    list_datasets,
    policy_history,
)
from hiveguard_pipeline.web.pages.counted import FIGURES
from hiveguard_pipeline.web.pages.figures import KEPT_SECONDS, Figure
from hiveguard_pipeline.web.pages.site import ROOT, Site, Visit

_ON_PAGE = ("funnel", "confidence", "votes", "forecast", "agreement", "export")


def dataset_routes(site: Site) -> APIRouter:
    """The list, the pages, and the figures that they load."""
    router = APIRouter(route_class=site.route_class())

    @router.get("/")
    def show_all(visit: Annotated[Visit, site.signed_in("viewer")]) -> Response:
        with site.database.read() as connection:
            datasets = list_datasets(connection)
        shown = [(dataset, figure_part(site, dataset, "funnel")) for dataset in datasets]
        return site.page("datasets.html", visit, shown=shown)

    @router.get("/datasets/{name}")
    def show(name: str, visit: Annotated[Visit, site.signed_in("viewer")]) -> Response:
        with site.database.read() as connection:
            dataset = found_dataset(connection, name)
            policy = current_policy(connection, dataset)
            changes = len(policy_history(connection, dataset))
        parts = [(FIGURES[figure][0], figure, figure_part(site, dataset, figure)) for figure in _ON_PAGE]
        return site.page(
            "dataset.html",
            visit,
            dataset=dataset,
            tab="overview",
            parts=parts,
            policy=policy,
            changes=changes,
        )

    @router.get("/datasets/{name}/figures/{figure}")
    def figure(
        name: str,
        figure: str,
        visit: Annotated[Visit, site.signed_in("viewer")],
        part: bool = False,
        fresh: Annotated[bool, Query()] = False,
    ) -> Response:
        if figure not in FIGURES:
            raise HTTPException(404, "there is no such figure")
        with site.database.read() as connection:
            dataset = found_dataset(connection, name)
        counted = counted_figure(site, dataset, figure, fresh)
        text = _rendered(site, dataset, figure, counted)
        if part:
            return Response(text, media_type="text/html; charset=utf-8")
        return site.page(
            "figure.html",
            visit,
            dataset=dataset,
            tab="overview",
            title=FIGURES[figure][0],
            part=Markup(text),  # noqa: S704
        )

    return router


def found_dataset(connection: Any, name: str) -> Dataset:
    """The dataset of an address; raises 404."""
    try:
        return get_dataset(connection, name)
    except BadInputError as error:
        raise HTTPException(404, str(error)) from None


def counted_figure(site: Site, dataset: Dataset, figure: str, fresh: bool = False) -> Figure:
    """A figure of a dataset, counted now if it is not there, or if a fresh one is wanted."""
    count = FIGURES[figure][1]
    return site.figures.get(
        (figure, dataset.dataset_id),
        lambda: count(site.database, site.settings, dataset),
        0.0 if fresh else KEPT_SECONDS,
    )


def figure_part(site: Site, dataset: Dataset, figure: str) -> Markup:
    """A figure if it is counted already, else the place that the script loads it into, and a link to it."""
    found = site.figures.peek((figure, dataset.dataset_id))
    if found is not None:
        return Markup(_rendered(site, dataset, figure, found))  # noqa: S704 - of templates that escape
    address = f"{ROOT}/datasets/{dataset.name}/figures/{figure}"
    return Markup('<p class="quiet" data-part="{0}?part=true"><a href="{0}">Count it</a></p>').format(address)


def _rendered(site: Site, dataset: Dataset, figure: str, counted: Figure) -> str:
    return site.render(
        f"figure_{figure}.html", dataset=dataset, figure=figure, at=counted.at, **counted.value
    )
