"""Models as they stand in the table: which there are, which one proposes, and whether it still may."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.features import FeatureSource, source_of
from hiveguard_pipeline.learning.models import Checkpoint, Loaded, load
from hiveguard_pipeline.learning.models.folder import ModelFolder
from hiveguard_pipeline.learning.settings import ActiveSettings
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.datasets import Dataset, now_text


@dataclass(frozen=True, slots=True)
class NewModel:
    """A model that is to be recorded. accuracy: on held_out items, in millionths; None without any.

    file: its name below the root of models, empty for one that was not kept. features: how they are made,
    and under `checkpoint` how the file is read. ledger_position: of the labels it was judged by.
    """

    kind: str
    name: str
    file: str
    file_sha256: str
    classes: tuple[str, ...]
    features: dict[str, Any]
    ledger_position: int
    labels_used: int
    held_out: int
    accuracy: int | None
    accepted: bool
    reason: str
    metrics: dict[str, Any]
    run_id: str | None


@dataclass(frozen=True, slots=True)
class RecordedModel(NewModel):
    """A model of the table."""

    model_id: int
    schema_version: int
    created_at: str

    @property
    def checkpoint(self) -> Checkpoint:
        """How its file is read. The hash of the row is the one that a person trusted, or that we wrote."""
        how = self.features.get("checkpoint", {})
        return Checkpoint(
            self.kind,
            classes=None if self.kind == "weak" else self.classes,
            trusted=tuple(how.get("trusted", ())),
            sha256=self.file_sha256,
            logits=bool(how.get("logits", False)),
        )


def list_models(
    connection: sa.Connection, dataset: Dataset, *, accepted: bool = False, limit: int | None = None
) -> list[RecordedModel]:
    """The models of a dataset, newest first; accepted: those that may propose, of which the first does."""
    query = (
        sa.select(t.models)
        .where(t.models.c.dataset_id == dataset.dataset_id)
        .order_by(t.models.c.model_id.desc())
        .limit(limit)
    )
    if accepted:
        query = query.where(t.models.c.accepted)
    names = RecordedModel.__dataclass_fields__
    rows = connection.execute(query).mappings()
    return [
        RecordedModel(**{name: row[name] for name in names} | {"classes": tuple(row["classes"])})
        for row in rows
    ]


def accepted_model(connection: sa.Connection, dataset: Dataset) -> RecordedModel | None:
    """The model that proposes and chooses: the newest accepted one."""
    return next(iter(list_models(connection, dataset, accepted=True, limit=1)), None)


def why_stale(model: RecordedModel, dataset: Dataset) -> str | None:
    """Why a model may no longer propose: the classes are others than those that it knows. None: it may."""
    if model.schema_version == dataset.schema_version:
        return None
    return (
        f"model {model.model_id} is stale: it knows the classes of schema version {model.schema_version}, and"
        f" those of version {dataset.schema_version} hold"
    )


def record(connection: sa.Connection, dataset: Dataset, model: NewModel) -> int:
    """Add a model; returns its id."""
    return int(
        connection.execute(
            t.models.insert()
            .values(
                **{name: getattr(model, name) for name in NewModel.__dataclass_fields__}
                | {"classes": list(model.classes)},
                dataset_id=dataset.dataset_id,
                schema_version=dataset.schema_version,
                created_at=now_text(),
            )
            .returning(t.models.c.model_id)
        ).scalar_one()
    )


@dataclass(frozen=True, slots=True)
class Ready:
    """A recorded model that is loaded, and the source of its features."""

    row: RecordedModel
    model: Loaded
    source: FeatureSource


def ready(folder: ModelFolder, row: RecordedModel, settings: ActiveSettings) -> Ready:
    """Load a model; raises BadInputError where its file is gone or changed, or its features cannot be had."""
    if not row.file:
        raise BadInputError(f"model {row.model_id} was not kept: {row.reason}")
    source = source_of(row.features, image_dir=settings.image_dir, embeddings=settings.embeddings)
    data = folder.read(row.file, row.file_sha256)
    model = load(data, row.name, row.checkpoint)
    if model.classes != row.classes:
        raise BadInputError(f"model {row.model_id} has other classes than were recorded; it is not used")
    return Ready(row, model, source)
