"""Push and pull together: what people answered comes first, so that what is asked next is not stale."""

from dataclasses import dataclass

from hiveguard_pipeline.labelstudio.held import QUEUE
from hiveguard_pipeline.labelstudio.projects import find_project
from hiveguard_pipeline.labelstudio.pull import Pull, pull
from hiveguard_pipeline.labelstudio.push import Push, push
from hiveguard_pipeline.labelstudio.server import Server
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import get_dataset


@dataclass(frozen=True, slots=True)
class Sync:
    """What was done; pulled: None where there was no project yet."""

    pulled: Pull | None
    pushed: Push


def sync(
    database: Database,
    server: Server,
    dataset_name: str,
    *,
    source: str = QUEUE,
    blind_share: float = 0.0,
    media_root: str | None = None,
) -> Sync:
    """Pull the annotations of a dataset's project, if it has one, then push the items of a source."""
    with database.look() as connection:
        dataset = get_dataset(connection, dataset_name)
    there = find_project(database, server, dataset) is not None
    pulled = pull(database, server, dataset_name) if there else None
    pushed = push(
        database, server, dataset_name, source=source, blind_share=blind_share, media_root=media_root
    )
    return Sync(pulled, pushed)
