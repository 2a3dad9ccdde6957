"""The eras of a ledger: under which classes each row was written, and who judges answers under them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.rules.arithmetic import Integers
from hiveguard_pipeline.rules.classes import Eras
from hiveguard_pipeline.rules.columns import Judge
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store.class_map import ClassMap
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.schema_versions import (
    SchemaVersion,
    class_map_of,
    eras_of,
    mapped_words,
    maps_by_era,
    schema_history,
)
from hiveguard_pipeline.store.structured import judge_of


@dataclass(slots=True)
class ClassEras:
    """The schema versions of a dataset, and what answers meant under each; both oldest first."""

    dataset: Dataset
    versions: list[SchemaVersion]
    maps: list[ClassMap]

    @classmethod
    def of(cls, connection: sa.Connection, dataset: Dataset) -> "ClassEras":
        """The eras of a dataset's ledger."""
        versions = schema_history(connection, dataset)
        return cls(dataset, versions, maps_by_era(versions, structured=is_structured(dataset.task_type)))

    @property
    def newest(self) -> int:
        """The era of now."""
        return len(self.versions) - 1

    def of_rows(self, batch_ids: Integers) -> Integers:
        """The era of each ledger row; shape (rows,)."""
        return eras_of(self.versions, batch_ids)

    def judge(self, words: Any) -> Judge | None:
        """Who says what agreeing means to codes in a dictionary; None where that is being the same word."""
        if not self.maps[-1]:
            return judge_of(self.dataset, words)
        every, mapping = mapped_words(words, self.maps)
        return Eras(mapping, judge_of(self.dataset, every))

    def differences(self, connection: sa.Connection) -> Iterator[str]:
        """What of the dataset's classes is not as the schema versions say."""
        numbers = [version.version for version in self.versions]
        if not numbers or numbers != list(range(1, len(numbers) + 1)):
            yield "a schema version is missing"
        if numbers and self.dataset.classes != self.versions[-1].classes:
            yield "the dataset has other classes than its newest schema version"
        if class_map_of(connection, self.dataset).names != self.maps[-1].names:
            yield "the class map is not what the schema versions amount to"
