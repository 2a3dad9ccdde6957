"""Exports: a dataset's labels as a stream."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hiveguard_pipeline.exports import export_labels
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.web.access import Caller, Named, Store, require
from hiveguard_pipeline.web.problems import ProblemError
from hiveguard_pipeline.web.spool import Spool, Spools

router = APIRouter(tags=["export"])

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}


@router.get(
    "/datasets/{name}/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The labels, in item_id order",
            "content": {kind.partition(";")[0]: {} for kind in MEDIA_TYPES.values()},
        }
    },
)
async def export_dataset(
    caller: Annotated[Caller, require("export")],  # noqa: ARG001
    dataset: Named,
    database: Store,
    request: Request,
    fmt: Annotated[
        Literal["csv", "jsonl", "json", "parquet"], Query(description="How they are written.")
    ] = "csv",
    min_confidence: Annotated[float, Query(ge=0, le=1)] = 0.0,
    graduated: Annotated[bool, Query(description="Only labels that have graduated.")] = False,
) -> StreamingResponse:
    """The finalized labels at one moment of the database: what `hiveguard datasets export` writes.

    A stream that breaks off (no last chunk) is not the whole file.
    """
    spools: Spools = request.app.state.exports
    spool = spools.start(
        partial(
            _write,
            database,
            fmt=fmt,
            dataset_name=dataset.name,
            min_confidence=round(min_confidence * ONE),
            graduated=graduated,
        )
    )
    if spool is None:
        raise ProblemError(
            503, "busy", "as many exports as this server makes at once are at work", {"Retry-After": "5"}
        )
    try:
        await spool.begun()
    except BaseException:
        spools.release(spool)
        raise
    return Followed(
        spools,
        spool,
        media_type=MEDIA_TYPES[fmt],
        headers={
            "Content-Disposition": f'attachment; filename="{dataset.name}.{fmt}"',
            "Cache-Control": "no-store",
        },
    )


def _write(database: Store, stream: object, **options: object) -> None:
    export_labels(database, stream, **options)  # type: ignore[arg-type]


class Followed(StreamingResponse):
    """A spool as it grows; given up when the answer ends, in whatever way."""

    def __init__(self, spools: Spools, spool: Spool, **options: Any) -> None:
        super().__init__(spool.parts(), **options)
        self._spools, self._spool = spools, spool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._spools.release(self._spool)
