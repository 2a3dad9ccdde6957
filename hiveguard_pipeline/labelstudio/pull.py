"""Annotations from the server: looked at first, then taken in one transaction.

The server is only read. So a pull that is killed has done nothing, or all of it; the next one begins again
from what is recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hiveguard_pipeline.labelstudio.deciding import Decided, decide_waiting, waiting_items
from hiveguard_pipeline.labelstudio.following import Followed, follow
from hiveguard_pipeline.labelstudio.held import held_tasks, texts_of
from hiveguard_pipeline.labelstudio.known import known_annotations, known_items
from hiveguard_pipeline.labelstudio.projects import needed_project, only_one
from hiveguard_pipeline.labelstudio.seen import Looker
from hiveguard_pipeline.labelstudio.server import Server
from hiveguard_pipeline.labelstudio.templates import Shape, shape_of
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset, lock_dataset


@dataclass(slots=True)
class Pull:
    """What a pull did. looked_at: annotations; foreign: on tasks that are not ours, which are left alone.

    decided: None unless it was asked for. waiting_items: items with annotations that wait for it.
    """

    url: str
    project_id: int
    looked_at: int
    foreign: int
    is_full: bool
    followed: Followed
    decided: Decided | None = None
    waiting_items: int = 0


def pull(
    database: Database, server: Server, dataset_name: str, *, decide: bool = False, full: bool = False
) -> Pull:
    """Bring a dataset's votes to what its project's annotations say.

    decide: annotations on tasks of the review list become decisions; without it they wait. full: look at
    every annotation, not at what changed since the last pull, and offer what is in quarantine again.
    """
    with database.look() as connection:
        dataset = get_dataset(connection, dataset_name)
    shape = shape_of(dataset)
    with only_one(database, dataset):
        project = needed_project(database, server, dataset)
        with database.look() as connection:
            known = known_annotations(connection, dataset)
            held = held_tasks(connection, dataset)
        looker = Looker(server, project.project_id, shape, held, known, _Texts(database, dataset, shape).of)
        look = looker.look(full)
        source = f"Label Studio project {project.project_id} at {server.url}"
        with database.write() as connection:
            dataset = lock_dataset(connection, dataset_name)
            done = Pull(
                url=server.url,
                project_id=project.project_id,
                looked_at=len(look.live),
                foreign=look.foreign,
                is_full=look.is_full,
                followed=follow(connection, dataset, look, known, held, source),
            )
            if decide:
                done.decided = decide_waiting(connection, dataset, source)
            done.waiting_items = waiting_items(list(known_annotations(connection, dataset).values()))
        return done


@dataclass(frozen=True, slots=True)
class _Texts:
    database: Database
    dataset: Dataset
    shape: Shape

    def of(self, item_ids: Sequence[str]) -> dict[str, str | None]:
        """Of those that are items of the dataset, their texts, None where answers have no spans."""
        with self.database.look() as connection:
            ours = sorted(known_items(connection, self.dataset, item_ids))
            if self.shape.part != "spans":
                return dict.fromkeys(ours)
            return dict(texts_of(connection, ours))
