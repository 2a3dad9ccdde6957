"""What assets say of themselves: column schemas, and the pictures of a dataset."""

from typing import Any

import dagster as dg
import sqlalchemy as sa

from hiveguard_pipeline import pictures
from hiveguard_pipeline.rules.policy import ONE
from hiveguard_pipeline.store.datasets import Dataset, current_policy
from hiveguard_pipeline.store.status import confidence_histogram, funnel


def columns(*described: tuple[str, str, str]) -> dict[str, Any]:
    """Definition metadata with a column schema: (name, type, description) each."""
    schema = dg.TableSchema([dg.TableColumn(name, kind, description=text) for name, kind, text in described])
    return {"dagster/column_schema": schema}


LABEL_COLUMNS = (
    ("item_id", "uuid", "the item"),
    ("label", "text", "the answer that holds the majority, or that a review set"),
    ("confidence", "integer", "in millionths: 850000 is 0.85"),
    ("state", "text", "in_revalidation, needs_review, graduated, discarded or gold"),
    ("vote_count", "integer", "votes of the first pass"),
    ("revalidation_vote_count", "integer", "votes applied after it"),
    ("policy_id", "integer", "the policy that made the label"),
    ("applied_through", "integer", "the newest vote that counts as processed"),
)

EXPORT_COLUMNS = (
    ("item_id", "uuid", "the item"),
    ("data_ref", "text", "URL of the item's data"),
    ("modality", "text", "image, text or audio"),
    ("label", "text", "the label"),
    ("confidence", "decimal", "between 0 and 1, at most six decimals"),
    ("solver_count", "integer", "solvers whose votes were applied"),
    ("created_at", "timestamp", "when the vote came that completed the first pass, UTC"),
)


def dataset_pictures(connection: sa.Connection, dataset: Dataset) -> dict[str, Any]:
    """The state funnel and the confidence histogram of a dataset, with the counts behind them."""
    states = funnel(connection, dataset)
    policy = current_policy(connection, dataset).policy
    histogram = pictures.histogram_svg(
        confidence_histogram(connection, dataset),
        policy.revalidation_confidence_threshold / ONE,
        policy.revalidation_exit_confidence / ONE,
    )
    return {
        "funnel": dg.MetadataValue.md(pictures.markdown("items by state", pictures.funnel_svg(states))),
        "confidence": dg.MetadataValue.md(pictures.markdown("labels by confidence", histogram)),
        **{f"items/{state}": count for state, count in states.items()},
    }
