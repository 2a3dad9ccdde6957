"""Agreement and solvers of a dataset: the tables and pictures of the quality suite."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from hiveguard_pipeline import pictures
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.web.pages.datasets import counted_figure, figure_part, found_dataset
from hiveguard_pipeline.web.pages.figures import LEAST_SECONDS
from hiveguard_pipeline.web.pages.site import Site, Visit

PAGE = 100

COLUMNS = (
    "solver_id",
    "reasons",
    "votes",
    "consensus_agreement",
    "cohens_kappa",
    "gold_accuracy",
    "model_accuracy",
    "median_ms",
    "longest_streak",
    "leans_to",
    "most_alike",
    "excluded",
)


def quality_routes(site: Site) -> APIRouter:
    """The two pages."""
    router = APIRouter(route_class=site.route_class())

    @router.get("/datasets/{name}/agreement")
    def agreement(
        name: str, visit: Annotated[Visit, site.signed_in("viewer")], count: bool = False
    ) -> Response:
        with site.database.read() as connection:
            dataset = found_dataset(connection, name)
        if count:
            counted_figure(site, dataset, "agreement")
        return site.page(
            "agreement.html",
            visit,
            dataset=dataset,
            tab="agreement",
            part=figure_part(site, dataset, "agreement"),
            figure=site.figures.peek(("agreement", dataset.dataset_id)),
        )

    @router.get("/datasets/{name}/solvers")
    def solvers(
        name: str,
        visit: Annotated[Visit, site.signed_in("viewer")],
        by: Annotated[str, Query(max_length=40)] = "",
        down: bool = False,
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        count: bool = False,
    ) -> Response:
        with site.database.read() as connection:
            dataset = found_dataset(connection, name)
        key = ("solvers", dataset.dataset_id)
        found = site.figures.peek(key)
        if count or found is not None:
            seconds = LEAST_SECONDS if count and found is not None else 600.0
            found = site.figures.get(key, lambda: count_solvers(site.database, dataset), seconds)
        rows, columns = (found.value["rows"], found.value["columns"]) if found else ([], COLUMNS)
        chosen = sorted_rows(rows, by, down) if by in columns else rows
        return site.page(
            "solvers.html",
            visit,
            dataset=dataset,
            tab="solvers",
            figure=found,
            columns=columns,
            rows=chosen[(page - 1) * PAGE : page * PAGE],
            by=by if by in columns else "",
            down=down,
            number=page,
            pages=max(-(-len(rows) // PAGE), 1),
            flagged=sum(bool(row.get("reasons")) for row in rows),
            total=len(rows),
        )

    return router


def count_solvers(database: Database, dataset: Dataset) -> dict[str, Any]:
    """The solvers of a dataset, flagged ones first, then those with most votes; and pictures of them."""
    from hiveguard_pipeline.quality.solvers import plots, read_solver_quality, solver_rows
    from hiveguard_pipeline.quality.structured import SOLVER_COLUMNS, structured_agreement

    with database.read() as connection:
        if is_structured(dataset.task_type):
            found = structured_agreement(connection, dataset)
            rows = sorted(found.rows(), key=lambda row: (row["mean_f1"] is None, row["mean_f1"] or 0.0))
            return {"rows": rows, "columns": SOLVER_COLUMNS, "pictures": [], "notes": []}
        try:
            measured = read_solver_quality(connection, dataset)
        except BadInputError as error:
            return {"rows": [], "columns": COLUMNS, "pictures": [], "notes": [str(error)]}
    rows = [{name: row[name] for name in COLUMNS} for row in solver_rows(measured)]
    rows.sort(key=lambda row: (row["reasons"] is None, -row["votes"], row["solver_id"]))
    drawn = []
    if rows:
        name, _ = plots.accuracy(measured)
        drawn.append(
            (
                f"Solvers by {name}",
                pictures.marked_histogram_svg(*plots.accuracy_histogram(measured), name, "flagged"),
            )
        )
        for title, scatter, x_name in (
            ("by votes", plots.accuracy_by_votes(measured), "votes"),
            ("by time of an answer", plots.accuracy_by_time(measured), "median seconds an answer"),
        ):
            if scatter is not None:
                svg = pictures.scatter_svg(
                    scatter.crowd, scatter.flagged, (scatter.low, scatter.high), (x_name, name)
                )
                drawn.append((f"{name[0].upper()}{name[1:]}, {title}", svg))
    return {"rows": rows, "columns": COLUMNS, "pictures": drawn, "notes": measured.notes}


def sorted_rows(rows: list[dict[str, Any]], by: str, down: bool) -> list[dict[str, Any]]:
    """Rows by a column, those without a value last."""
    told = [row for row in rows if row[by] is not None]
    untold = [row for row in rows if row[by] is None]
    return sorted(told, key=lambda row: (row[by], row["solver_id"]), reverse=down) + untold
