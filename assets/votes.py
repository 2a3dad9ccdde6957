"""What comes in: items and votes, which others write and the pipeline observes, and what was refused."""

from typing import Any

import dagster as dg
import sqlalchemy as sa

from assets.metadata import columns
from assets.partitions import DATASETS, OWNERS
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.store.datasets import get_dataset

GROUP = "votes"

ITEMS = dg.AssetSpec(
    "items",
    group_name=GROUP,
    description="Things to label, as their owners named them. Written by `hiveguard items import`.",
    kinds={"table"},
    owners=OWNERS,
    partitions_def=DATASETS,
    metadata=columns(
        ("item_id", "uuid", "uuid5 over dataset name, NUL, external_id"),
        ("external_id", "text", "the owner's name for it, unique in its dataset"),
        ("data_ref", "text", "URL of the data"),
        ("modality", "text", "image, text or audio"),
        ("gold_label", "text", "the true label, where it is known"),
    ),
)

VOTES = dg.AssetSpec(
    "votes",
    group_name=GROUP,
    description=(
        "Answers of solvers to challenges, append-only; written by the challenge server and by imports."
        " The data version is the newest vote id under the horizon."
    ),
    kinds={"table"},
    owners=OWNERS,
    partitions_def=DATASETS,
    metadata=columns(
        ("vote_id", "integer", "arrival order, never reused"),
        ("item_id", "uuid", "the item"),
        ("solver_id", "text", "the person who answered"),
        ("answer", "text", "what they answered"),
        ("duration_ms", "integer", "how long it took"),
        ("created_at", "timestamp", "when, UTC"),
    ),
)


@dg.asset(
    group_name=GROUP,
    deps=[VOTES],
    description="Rows of imports that could not be votes, each with its line and the reason.",
    kinds={"table"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(
        ("row", "text", "the row as it came"),
        ("line", "integer", "its line in the file"),
        ("reason", "text", "why it could not be taken"),
        ("import_id", "integer", "the import that brought it"),
    ),
)
def quarantined_votes(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult[Any]:
    """Count the rows in quarantine by reason."""
    with store.open().read() as connection:
        dataset = get_dataset(connection, context.partition_key)
        counted = connection.execute(
            sa.text(
                "SELECT reason, count(*), max(quarantine_id) FROM quarantined_votes"
                " WHERE dataset_id = :dataset GROUP BY reason ORDER BY reason"
            ),
            {"dataset": dataset.dataset_id},
        ).all()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(count for _, count, _ in counted),
            **{f"reason/{reason}": count for reason, count, _ in counted},
        },
        data_version=dg.DataVersion(str(max((newest for *_, newest in counted), default=0))),
    )
