"""The table of a dataset's items, and the page of one."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response

from hiveguard_pipeline.audit import explain
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import ONE, millionths
from hiveguard_pipeline.rules.states import STATES
from hiveguard_pipeline.store.datasets import policy_history
from hiveguard_pipeline.web.pages import item_listing, media, shown_item
from hiveguard_pipeline.web.pages.datasets import found_dataset
from hiveguard_pipeline.web.pages.drawings import path_svg
from hiveguard_pipeline.web.pages.given import clean, id_or_none
from hiveguard_pipeline.web.pages.item_listing import Wanted, list_items
from hiveguard_pipeline.web.pages.site import Site, Visit

_LONGEST = 1_000
MOST_VOTES = 1_000
"""Votes of one item that its page shows."""


def item_routes(site: Site) -> APIRouter:
    """The table, the pages, and files of this machine that data_refs name."""
    router = APIRouter(route_class=site.route_class())

    @router.get("/datasets/{name}/items")
    def show_all(
        name: str,
        visit: Annotated[Visit, site.signed_in("viewer")],
        state: Annotated[str, Query(max_length=40)] = "",
        label: Annotated[str, Query(max_length=_LONGEST)] = "",
        low: Annotated[str, Query(max_length=20)] = "",
        high: Annotated[str, Query(max_length=20)] = "",
        search: Annotated[str, Query(max_length=_LONGEST)] = "",
        after: Annotated[str, Query(max_length=36)] = "",
    ) -> Response:
        asked = {"state": state, "label": label, "low": low, "high": high, "search": search}
        wanted, faults = _wanted(asked)
        with site.database.read() as connection:
            dataset = found_dataset(connection, name)
            listed = list_items(connection, dataset, wanted, id_or_none(after))
        return site.page(
            "items.html",
            visit,
            dataset=dataset,
            tab="items",
            asked=asked,
            faults=faults,
            states=STATES,
            listed=listed,
            page=item_listing.PAGE,
            is_first=not after,
        )

    @router.get("/datasets/{name}/items/{item}")
    def show(name: str, item: str, visit: Annotated[Visit, site.signed_in("viewer")]) -> Response:
        with site.database.read() as connection:
            dataset = found_dataset(connection, name)
            found = _explained(connection, item, name)
            policies = {
                recorded.policy_id: recorded.policy for recorded in policy_history(connection, dataset)
            }
            card = shown_item.shown(connection, site.settings, dataset, found.item)
        newest = [row for row in found.batches if row["generation"] == found.item.generation]
        path = [row for row in newest if row["confidence_after"] is not None]
        policy = policies[path[-1]["policy_id"]] if path else None
        picture = (
            path_svg(
                [(str(row["batch_id"]), row["confidence_after"] / ONE) for row in path],
                policy.revalidation_confidence_threshold / ONE,
                policy.revalidation_exit_confidence / ONE,
            )
            if policy
            else None
        )
        return site.page(
            "item.html",
            visit,
            media=True,
            dataset=dataset,
            tab="items",
            card=card,
            item=found.item,
            probability=found.probability,
            votes=found.votes[:MOST_VOTES],
            more_votes=max(len(found.votes) - MOST_VOTES, 0),
            classes_changed=found.classes_changed,
            batches=found.batches,
            reviews=found.reviews[::-1],
            transitions=found.transitions[::-1],
            picture=picture,
            run_address=site.settings.dagster_url,
        )

    @router.get("/datasets/{name}/items/{item}/data")
    def data(name: str, item: str, visit: Annotated[Visit, site.signed_in("viewer")]) -> Response:  # noqa: ARG001
        with site.database.read() as connection:
            found = _explained(connection, item, name).item
        return media.file_response(site.settings, found.data_ref)

    return router


def _explained(connection: Any, item: str, name: str) -> Any:
    found_dataset(connection, name)
    if (item_id := id_or_none(item)) is None:
        raise HTTPException(404, f"there is no item {item!r} in {name}")
    try:
        return explain(connection, item_id, name)
    except BadInputError as error:
        raise HTTPException(404, str(error)) from None


def _wanted(asked: dict[str, str]) -> tuple[Wanted, list[str]]:
    """The filter of a query, and what is wrong in it; what is wrong filters nothing."""
    faults = []
    if asked["state"] and asked["state"] not in STATES:
        faults.append(f"{asked['state']} is no state")
    ends: dict[str, int | None] = {"low": None, "high": None}
    for end in ends:
        try:
            ends[end] = millionths("confidence", asked[end]) if asked[end].strip() else None
        except BadInputError as error:
            faults.append(str(error))
    return (
        Wanted(
            asked["state"] if asked["state"] in STATES else None,
            clean(asked["label"]) or None,
            ends["low"],
            ends["high"],
            clean(asked["search"]) or None,
        ),
        faults,
    )
