"""What is asked of people next: the pool of challenges and the queue of reviews."""

from typing import Any

import dagster as dg

from assets.metadata import columns, dataset_pictures
from assets.partitions import DATASETS, OWNERS
from assets.votes import ITEMS
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.rules.policy import decimal_text
from hiveguard_pipeline.store.datasets import get_dataset

GROUP = "pool"
_PREVIEWED = 20


@dg.asset(
    group_name=GROUP,
    deps=["revalidation_state", ITEMS],
    description=(
        "The items that still want votes: tier 1 unlabeled, tier 2 in re-validation by weight."
        " `hiveguard pool sample` draws from it."
    ),
    kinds={"view"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(
        ("item_id", "uuid", "the item"),
        ("tier", "integer", "1 unlabeled, 2 in re-validation"),
        ("weight", "decimal", "max(exit - confidence, missing share of votes, 0.01)"),
        ("votes", "integer", "votes it has"),
    ),
)
def challenge_pool(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult[Any]:
    """Count the pool by tier and show what a draw looks like."""
    from hiveguard_pipeline.pool import pool_counts, sample

    with store.open().read() as connection:
        dataset = get_dataset(connection, context.partition_key)
        counts = pool_counts(connection, dataset)
        drawn = sample(connection, dataset, _PREVIEWED, seed=0)
        shown = dataset_pictures(connection, dataset)
    records = [
        dg.TableRecord(
            {
                "external_id": item.external_id,
                "tier": item.tier,
                "weight": item.weight if item.weight is not None else "",
                "votes": item.votes,
            }
        )
        for item in drawn
    ]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(counts.values()),
            **counts,
            **({"a_draw": dg.MetadataValue.table(records)} if records else {}),
            **shown,
        }
    )


@dg.asset(
    group_name=GROUP,
    deps=["revalidation_state"],
    description=(
        "Items that people must decide: labels under the floor, items without a majority, what stages hold."
    ),
    kinds={"view"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(
        ("item_id", "uuid", "the item"),
        ("reason", "text", "low_confidence, no_majority or held (by a stage of the workflow)"),
        ("label", "text", "the label in doubt"),
        ("confidence", "decimal", "between 0 and 1"),
        ("waiting_votes", "integer", "votes that wait for the decision"),
    ),
)
def review_queue(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult[Any]:
    """Count the queue and show its head."""
    from hiveguard_pipeline.review import list_flagged, queue_length

    with store.open().read() as connection:
        dataset = get_dataset(connection, context.partition_key)
        length = queue_length(connection, dataset)
        head = list_flagged(connection, dataset, limit=_PREVIEWED)
        shown = dataset_pictures(connection, dataset)
    records = [
        dg.TableRecord(
            {
                "external_id": item.external_id,
                "reason": item.reason,
                "label": item.label or "",
                "confidence": "" if item.confidence is None else decimal_text(item.confidence),
                "waiting_votes": item.waiting_votes,
            }
        )
        for item in head
    ]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": length.items,
            "waiting_votes": length.waiting_votes,
            **({"head": dg.MetadataValue.table(records)} if records else {}),
            **shown,
        }
    )
