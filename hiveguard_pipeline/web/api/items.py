"""Items: everything that made a label."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from hiveguard_pipeline.audit import explain
from hiveguard_pipeline.review import standing_token
from hiveguard_pipeline.web.access import Caller, Named, Store, require
from hiveguard_pipeline.web.api.texts import Strict, Text, decimal, plain

router = APIRouter(tags=["items"])

ItemName = Annotated[
    Text, Path(min_length=1, max_length=512, description="An item_id, or an external_id of the dataset.")
]


class Explained(Strict):
    """An item as it stands, its votes in arrival order, its ledger and the decisions on it.

    standing: how it stands, for a decision's `expected`.
    """

    item_id: str
    dataset: str
    external_id: str
    data_ref: str
    modality: str
    state: str
    label: str | None
    confidence: float | None
    probability: float | None
    total_votes: int
    generation: int
    standing: str
    classes_changed: bool
    votes: list[dict[str, Any]]
    batches: list[dict[str, Any]]
    reviews: list[dict[str, Any]]


@router.get("/datasets/{name}/items/{item}")
def explain_item(
    caller: Annotated[Caller, require("export", "review")],  # noqa: ARG001
    dataset: Named,
    database: Store,
    item: ItemName,
) -> Explained:
    """Every vote and batch that made an item's label, and every decision on it."""
    with database.read() as connection:
        made = explain(connection, item, dataset.name)
        found = made.item
        return Explained(
            item_id=found.item_id,
            dataset=found.dataset,
            external_id=found.external_id,
            data_ref=found.data_ref,
            modality=found.modality,
            state=found.state,
            label=found.label,
            confidence=decimal(found.confidence),
            probability=decimal(made.probability),
            total_votes=found.vote_count + found.revalidation_vote_count,
            generation=found.generation,
            standing=standing_token(connection, found),
            classes_changed=made.classes_changed,
            votes=made.votes,
            batches=[plain(row) for row in made.batches],
            reviews=made.reviews,
        )
