"""The datasets of a store as an ActiveLearner takes them: their unlabeled items, and the labelled ones."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hiveguard_pipeline.labelstudio import push_items
from hiveguard_pipeline.learning.features import Features, FeatureSource, source_of
from hiveguard_pipeline.learning.items import UNLABELED, features_of, items_in, labelled_items
from hiveguard_pipeline.learning.served import own_features
from hiveguard_pipeline.learning.settings import active_settings
from hiveguard_pipeline.settings import Settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, get_dataset, list_datasets
from hiveguard_pipeline.store.schema import open_database

Push = Callable[[str, Sequence[str], int | None], int]
"""(dataset, item_ids, project) -> new tasks: what sends items to Label Studio; by default `push_items`."""


class StorePools:
    """The datasets of a store; fulfils `learning.pool.Pools`."""

    def __init__(self, database: Database, push: Push = push_items) -> None:
        self._database = database
        self._push = push

    @classmethod
    def from_environment(cls, push: Push = push_items) -> "StorePools":
        """Those of the store that the environment names."""
        return cls(open_database(Settings.from_environment().database_url), push)

    def datasets(self) -> list[str]:
        """Their names."""
        with self._database.read() as connection:
            return [dataset.name for dataset in list_datasets(connection)]

    def pool(self, dataset: str) -> "StorePool":
        """The pool of one of them; raises BadInputError where there is none of that name."""
        with self._database.read() as connection:
            return StorePool(self._database, get_dataset(connection, dataset), self._push)


class StorePool:
    """The unlabeled items of a dataset that have features, as they were when first asked for.

    Features are texts as they are, the user's vectors where the dataset has some, or pixels.
    """

    def __init__(self, database: Database, dataset: Dataset, push: Push) -> None:
        self._database = database
        self._dataset = dataset
        self._push = push

    @property
    def item_ids(self) -> NDArray[np.str_]:
        """The items by item_id, shape (items,)."""
        item_ids, found = self._unlabeled
        return np.array(item_ids.take(pa.array(found.positions)).to_pylist(), dtype=np.str_)

    def features(self) -> Any:
        """A row or text for each of item_ids."""
        return self._unlabeled[1].rows

    def labelled(self) -> Any:
        """The same of the items that have a usable label."""
        with self._database.read() as connection:
            labelled = labelled_items(connection, self._dataset)
        return features_of(self._database, self._source, labelled.item_ids).rows

    def push_to_label_studio(self, item_ids: Sequence[str], project_id: int | None) -> int:
        """Send items to Label Studio; how many tasks are new."""
        return self._push(self._dataset.name, item_ids, project_id)

    @cached_property
    def _unlabeled(self) -> tuple[Any, Features]:
        with self._database.read() as connection:
            item_ids = items_in(connection, self._dataset, UNLABELED)
        return item_ids, features_of(self._database, self._source, item_ids)

    @cached_property
    def _source(self) -> FeatureSource:
        with self._database.read() as connection:
            settings = active_settings(connection, self._dataset)
        description: dict[str, Any] = {"kind": "texts"}
        if settings.embeddings is not None or self._dataset.modality != "text":
            description = own_features(self._dataset, settings, 2)
        return source_of(description, image_dir=settings.image_dir, embeddings=settings.embeddings)
