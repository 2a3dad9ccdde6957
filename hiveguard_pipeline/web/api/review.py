"""Review: what people must decide, and what they decide."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from hiveguard_pipeline.review import Decision, correct, decide, list_flagged, standing_tokens, undo
from hiveguard_pipeline.web.access import Caller, Named, Store, require
from hiveguard_pipeline.web.api.items import ItemName
from hiveguard_pipeline.web.api.texts import Name, Reason, Strict, Text, decimal
from hiveguard_pipeline.web.problems import ProblemError

router = APIRouter(tags=["review"])


class FlaggedItem(Strict):
    """An item to decide on. reason: low_confidence or no_majority. standing: for a decision's `expected`."""

    item_id: str
    external_id: str
    data_ref: str
    modality: str
    reason: str
    label: str | None
    confidence: float | None
    votes: int
    waiting_votes: int
    standing: str


class Deciding(Strict):
    """A decision. label: what to relabel to, or to correct to. expected: the standing that was shown.

    reviewer: who decides, where a key is used; somebody who is signed in decides for themselves.
    """

    decision: Literal["confirm", "relabel", "discard", "correct", "undo"]
    label: Text | None = None
    reason: Reason
    reviewer: Name | None = None
    expected: Text


class Decided(Strict):
    """What a decision made of an item, and how it stands now."""

    review_id: int
    item_id: str
    external_id: str
    decision: str
    label: str | None
    confidence: float | None
    state: str
    waiting_votes: int
    standing: str


@router.get("/datasets/{name}/review")
def review_queue(
    caller: Annotated[Caller, require("review")],  # noqa: ARG001
    dataset: Named,
    database: Store,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> list[FlaggedItem]:
    """The items that people must decide, least confident first."""
    with database.read() as connection:
        flagged = list_flagged(connection, dataset, limit)
        standing = standing_tokens(connection, [one.item_id for one in flagged])
    return [
        FlaggedItem(
            item_id=one.item_id,
            external_id=one.external_id,
            data_ref=one.data_ref,
            modality=one.modality,
            reason=one.reason,
            label=one.label,
            confidence=decimal(one.confidence),
            votes=one.votes,
            waiting_votes=one.waiting_votes,
            standing=standing[one.item_id],
        )
        for one in flagged
    ]


@router.post(
    "/datasets/{name}/items/{item}/decisions",
    status_code=201,
    responses={409: {"description": "The item has changed since it was shown; nothing was done"}},
)
def decide_item(
    caller: Annotated[Caller, require("review")],
    dataset: Named,
    database: Store,
    item: ItemName,
    given: Deciding,
) -> Decided:
    """Decide on an item, or undo the newest decision on it.

    `confirm`, `relabel` and `discard` are for items of the review queue; `correct` relabels one in any state.
    A decision on an item that has changed since it was shown is refused (409).
    """
    who = {"reviewer": caller.acting_as(given.reviewer, "reviewer"), "reason": given.reason}
    shown = {"dataset_name": dataset.name, "expected": given.expected}
    if (given.label is None) is (given.decision in ("relabel", "correct")):
        raise ProblemError(422, "invalid", "relabel and correct want a label, and the others none")
    if given.decision == "undo":
        made = undo(database, item, **who, **shown)
    elif given.decision == "correct":
        made = correct(database, item, str(given.label), **who, **shown)
    else:
        made = decide(database, item, given.decision, label=given.label, **who, **shown)
    return _decided(database, made)


def _decided(database: Store, made: Decision) -> Decided:
    with database.read() as connection:
        standing = standing_tokens(connection, [made.item_id])
    return Decided(
        review_id=made.review_id,
        item_id=made.item_id,
        external_id=made.external_id,
        decision=made.decision,
        label=made.label,
        confidence=decimal(made.confidence),
        state=made.state,
        waiting_votes=made.waiting_votes,
        standing=standing[made.item_id],
    )
