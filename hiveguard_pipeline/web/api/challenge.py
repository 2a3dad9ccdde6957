"""Challenges: what to ask a solver next."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from hiveguard_pipeline.web.access import Caller, Named, require
from hiveguard_pipeline.web.api.texts import Name, Strict
from hiveguard_pipeline.web.challenges import described

router = APIRouter(tags=["challenges"])

REASON = "X-HiveGuard-Reason"


class Item(Strict):
    """An item to show. text: the item itself where it is text that the store holds."""

    item_id: str
    external_id: str
    data_ref: str
    modality: str
    text: str | None


class Challenge(Strict):
    """Items in the order in which to ask them. Nothing tells which of them are gold."""

    items: list[Item]


@router.get(
    "/datasets/{name}/challenge",
    response_model=Challenge,
    responses={
        204: {
            "description": "There is nothing to ask; the header says why",
            "headers": {
                REASON: {"schema": {"type": "string", "enum": ["nothing-in-pool", "nothing-new-for-solver"]}}
            },
        }
    },
)
def next_challenge(
    caller: Annotated[Caller, require("votes")],  # noqa: ARG001
    dataset: Named,
    request: Request,
    n: Annotated[int, Query(ge=1, le=100, description="Items of the pool.")] = 1,
    gold: Annotated[int, Query(ge=0, le=20, description="Gold items among them.")] = 1,
    solver: Annotated[
        Name | None, Query(description="Who is asked: they get nothing that they have answered.")
    ] = None,
) -> Response:
    """The next items: unlabeled ones first, by the labelling queue's rank, then re-validation by weight.

    Gold items stand at random places among them; where the pool has nothing left there is gold alone.
    """
    found = request.app.state.challenges.next(dataset, n, gold, solver)
    if found.reason is not None:
        return Response(status_code=204, headers={REASON: found.reason, "Cache-Control": "no-store"})
    return JSONResponse({"items": described(found)}, headers={"Cache-Control": "no-store"})
