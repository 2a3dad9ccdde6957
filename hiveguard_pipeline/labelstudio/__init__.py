"""Label Studio: items go there as tasks, and what people answer comes back as votes or decisions.

What belongs here: the client of a server, projects and their labelling configs, tasks, what is done with
annotations, and the report on proposals. What does not: files of tasks (`formats.label_studio`), from which
the reading and writing of regions is taken.
"""

from collections.abc import Sequence

from hiveguard_pipeline.labelstudio.client import Client, LabelStudioError, open_client

__all__ = ["Client", "LabelStudioError", "open_client", "push_items"]


def push_items(dataset: str, item_ids: Sequence[str], project_id: int | None = None) -> int:
    """Send items of a dataset to the server, from the store, that the environment names; how many are new.

    What an ActiveLearner exports its picks by.
    """
    from hiveguard_pipeline.labelstudio.push import push
    from hiveguard_pipeline.labelstudio.server import Server
    from hiveguard_pipeline.settings import Settings
    from hiveguard_pipeline.store.schema import open_database

    settings = Settings.from_environment()
    database, server = open_database(settings.database_url), Server(open_client(settings))
    return push(database, server, dataset, items=item_ids, project_id=project_id).sent
