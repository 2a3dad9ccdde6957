"""Label Studio: what people answered there, and what they are asked next."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.heartbeat import heartbeat
from assets.metadata import columns
from assets.partitions import DATASETS, OWNERS
from assets.votes import ITEMS
from hiveguard_pipeline.resources import StoreResource
from hiveguard_pipeline.settings import Settings

if TYPE_CHECKING:
    from hiveguard_pipeline.labelstudio.sync import Sync

GROUP = "label_studio"


class SyncConfig(dg.Config):
    """Which items are sent, and how: the options of `hiveguard label-studio sync`."""

    source: str = "queue"
    blind_share: float = 0.0
    media_root: str | None = None


@dg.asset(
    group_name=GROUP,
    deps=[ITEMS, "prelabels", "labeling_queue"],
    description=(
        "The dataset's Label Studio project, brought to what is known here, and its annotations brought here"
        " as votes. HIVEGUARD_LABEL_STUDIO_URL and HIVEGUARD_LABEL_STUDIO_TOKEN name the server."
    ),
    kinds={"api", "table"},
    owners=OWNERS,
    partitions_def=DATASETS,
    code_version="1",
    metadata=columns(
        ("item_id", "uuid", "the item, a task there"),
        ("task_id", "integer", "the task on the server"),
        ("source", "text", "queue, review or all: why it is asked"),
        ("proposal", "text", "what a model proposes for it"),
        ("blind", "boolean", "the proposal is kept from those who answer"),
        ("pushed_at", "timestamp", "when it was sent, UTC"),
    ),
)
def label_studio_sync(
    context: dg.AssetExecutionContext, config: SyncConfig, store: StoreResource
) -> dg.MaterializeResult[Any]:
    """Pull what people answered, then push what is to be asked."""
    from hiveguard_pipeline.labelstudio import open_client
    from hiveguard_pipeline.labelstudio.server import Server
    from hiveguard_pipeline.labelstudio.sync import sync

    server = Server(open_client(Settings.from_environment()))
    with heartbeat(context.instance, context.run):
        done = sync(
            store.open(),
            server,
            context.partition_key,
            source=config.source,
            blind_share=config.blind_share,
            media_root=config.media_root,
        )
    for reason, count in sorted(done.pushed.unsent.items()):
        first = done.pushed.unsent_first[reason]
        context.log.warning(
            f"{count} items of {context.partition_key} were not sent: {reason} (first {first})"
        )
    return dg.MaterializeResult(metadata=_metadata(done))


def _metadata(done: "Sync") -> dict[str, Any]:
    pushed = done.pushed
    found: dict[str, Any] = {
        "project": dg.MetadataValue.url(f"{pushed.url}/projects/{pushed.project_id}"),
        "dagster/row_count": pushed.known + pushed.sent,
        "tasks_sent": pushed.sent,
        "with_proposal": pushed.with_proposal,
        "predictions_changed": pushed.predictions,
        "not_sent": dg.MetadataValue.json(dict(sorted(pushed.unsent.items()))),
    }
    if done.pulled is not None:
        followed = done.pulled.followed
        found |= {
            "annotations_looked_at": done.pulled.looked_at,
            "votes": followed.votes,
            "votes_revised": followed.revised,
            "votes_withdrawn": followed.withdrawn,
            "items_waiting_for_a_decision": done.pulled.waiting_items,
            "quarantined": dg.MetadataValue.json(dict(sorted(followed.quarantined.items()))),
        }
    return found
