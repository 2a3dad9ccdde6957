"""Votes: posted one by one, or some thousand at once."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field, TypeAdapter, ValidationError, model_validator
from starlette.concurrency import run_in_threadpool

from hiveguard_pipeline.intake.posted import ACCEPTED, CONFLICT, KNOWN, REFUSED, post_votes
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.web.access import Caller, Named, Store, require
from hiveguard_pipeline.web.api.texts import Strict, Text
from hiveguard_pipeline.web.problems import ProblemError

router = APIRouter(tags=["votes"])

UNREADABLE = "unreadable_row"

NDJSON = ("application/x-ndjson", "application/jsonl", "application/ndjson", "application/x-jsonlines")


class Vote(Strict):
    """One solver's answer to one item, which is named by item_id or by external_id, not by both."""

    item_id: Text | None = None
    external_id: Text | None = None
    solver_id: Text
    answer: Text | dict[str, Any] = Field(
        description="A class, as text; of a structured task (bbox, ner) the answer as JSON, or as its text."
    )
    duration_ms: int | None = Field(default=None, ge=0, lt=10**15)
    created_at: Text | None = Field(
        default=None, description="ISO 8601; the time of the post where it is left out."
    )

    @model_validator(mode="after")
    def _names_an_item(self) -> "Vote":
        if (self.item_id is None) is (self.external_id is None):
            raise ValueError("either item_id or external_id is wanted")
        return self

    def row(self) -> dict[str, str | None]:
        """The vote as texts, as a file would have it."""
        return {
            "item_id": self.item_id,
            "external_id": self.external_id,
            "solver_id": self.solver_id,
            "answer": self.answer if isinstance(self.answer, str) else _json(self.answer),
            "duration_ms": None if self.duration_ms is None else str(self.duration_ms),
            "created_at": self.created_at,
        }


class Result(Strict):
    """What became of a row: row 0 is the first. reason: why it is no vote, null if it is one."""

    row: int
    status: Literal["accepted", "known", "conflict", "refused"]
    reason: str | None


class Results(Strict):
    """What became of the rows of a post, in their order."""

    accepted: int
    known: int
    conflict: int
    refused: int
    results: list[Result]


_VOTES = TypeAdapter(list[Vote])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "array",
                    "items": {"$ref": "#/components/schemas/Vote"},
                    "maxItems": 10_000,
                }
            },
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}


@router.post(
    "/datasets/{name}/votes",
    status_code=201,
    responses={
        200: {"description": "The solver gave this vote already", "model": Result},
        409: {"description": "The solver gave another answer already"},
    },
)
def post_vote(
    caller: Annotated[Caller, require("votes")],  # noqa: ARG001
    dataset: Named,
    database: Store,
    vote: Vote,
    response: Response,
) -> Result:
    """Post one vote. Posting the same again changes nothing and is answered with 200."""
    done = post_votes(database, dataset, [vote.row()])
    status, reason = done.status[0], done.reason[0]
    if status == CONFLICT:
        raise ProblemError(409, "duplicate_vote", "this solver has given another answer to this item")
    if status == REFUSED:
        raise ProblemError(422, str(reason), f"this cannot be a vote of {dataset.name}: {reason}")
    if status == KNOWN:
        response.status_code = 200
    return Result(row=0, status=status, reason=None)  # type: ignore[arg-type]


@router.post("/datasets/{name}/votes/bulk", openapi_extra=_BODY, response_model=Results)
async def post_votes_in_bulk(
    caller: Annotated[Caller, require("votes")],  # noqa: ARG001
    dataset: Named,
    database: Store,
    request: Request,
) -> Response:
    """Post up to 10,000 votes: a JSON array, or a line of JSON each (application/x-ndjson).

    Each row is answered by itself: `accepted`, `known` (the same vote is there already), `conflict` (another
    answer of this solver is) or `refused`, with the reason. All that is accepted is stored together; where
    the answer is an error, nothing is.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and kind not in NDJSON:
        raise ProblemError(
            415, "unsupported-media-type", "a body here is application/json or application/x-ndjson"
        )
    body = await request.body()
    most = request.app.state.limits.bulk_rows
    return await run_in_threadpool(_posted, database, dataset, body, kind in NDJSON, most)


def _posted(database: Database, dataset: Dataset, body: bytes, is_lines: bool, most: int) -> Response:
    rows = _lines(body, most) if is_lines else _array(body)
    if len(rows) > most:
        raise ProblemError(413, "too-many-rows", f"at most {most:,} votes are taken at once")
    texts, why = _checked(rows)
    done = post_votes(database, dataset, texts)
    return JSONResponse(
        {status: done.count(status) for status in (ACCEPTED, KNOWN, CONFLICT, REFUSED)}
        | {
            "results": [
                {"row": row, "status": status, "reason": why.get(row, reason)}
                for row, (status, reason) in enumerate(zip(done.status, done.reason, strict=True))
            ]
        }
    )


def _array(body: bytes) -> list[Any]:
    try:
        rows = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, "not-json", f"the body is no JSON: {str(error)[:200]}") from None
    if not isinstance(rows, list):
        raise ProblemError(422, "invalid", "a JSON array of votes is wanted")
    return rows


def _lines(body: bytes, most: int) -> list[Any]:
    rows: list[Any] = []
    for line in body.split(b"\n"):
        if not line.strip():
            continue
        try:
            rows.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            rows.append(None)
        if len(rows) > most:
            break
    return rows


def _checked(rows: list[Any]) -> tuple[list[Mapping[str, str | None] | None], dict[int, str]]:
    """The rows as texts, None for what is no vote, and why by row."""
    try:
        return [vote.row() for vote in _VOTES.validate_python(rows)], {}
    except ValidationError as error:
        why = {int(fault["loc"][0]): _said(fault) for fault in reversed(error.errors(include_input=False))}
    good = [row for row in range(len(rows)) if row not in why]
    found: list[Mapping[str, str | None] | None] = [None] * len(rows)
    for row, vote in zip(good, _VOTES.validate_python([rows[row] for row in good]), strict=True):
        found[row] = vote.row()
    return found, why


def _said(fault: Any) -> str:
    where = "/".join(str(part) for part in fault["loc"][1:])
    return f"{UNREADABLE}: {f'{where}: ' if where else ''}{fault['msg']}"[:300]


def _json(answer: dict[str, Any]) -> str:
    try:
        return orjson.dumps(answer).decode()
    except orjson.JSONEncodeError:  # nested deeper than any answer
        return "{"
