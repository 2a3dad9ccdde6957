"""Datasets: which there are, and how each stands."""

from typing import Annotated, Any

from fastapi import APIRouter

from hiveguard_pipeline.store.datasets import Dataset, current_policy, list_datasets
from hiveguard_pipeline.store.status import funnel, vote_counts
from hiveguard_pipeline.web.access import Caller, Named, Store, require
from hiveguard_pipeline.web.api.texts import Strict

router = APIRouter(tags=["datasets"])


class DatasetShown(Strict):
    """A dataset; classes: null where any answer is taken."""

    name: str
    task_type: str
    modality: str
    classes: list[str] | None


class Status(DatasetShown):
    """How a dataset stands: items by state, votes by what became of them, the policy that holds."""

    items: int
    states: dict[str, int]
    votes: dict[str, int]
    policy: dict[str, str]


@router.get("/datasets")
def all_datasets(
    caller: Annotated[Caller, require("export", "review", "votes")], database: Store
) -> list[DatasetShown]:
    """The datasets that the caller may touch, by name."""
    with database.read() as connection:
        found = list_datasets(connection)
    return [DatasetShown(**_shown(one)) for one in found if caller.dataset in (None, one.name)]


@router.get("/datasets/{name}")
def dataset_status(
    caller: Annotated[Caller, require("export", "review")],  # noqa: ARG001
    dataset: Named,
    database: Store,
) -> Status:
    """The funnel and the counts of a dataset."""
    with database.read() as connection:
        states = funnel(connection, dataset)
        return Status(
            **_shown(dataset),
            items=sum(states.values()),
            states=states,
            votes=vote_counts(connection, dataset),
            policy=current_policy(connection, dataset).policy.settings(),
        )


def _shown(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "task_type": dataset.task_type,
        "modality": dataset.modality,
        "classes": None if dataset.classes is None else list(dataset.classes),
    }
