"""Datasets and their policies: create, find, lock, change."""

import re
import uuid
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError, NotFoundError
from hiveguard_pipeline.rules.class_names import check_new_class
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.rules.structured.tasks import MODALITY_OF, check_task, is_structured
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.contested import note_all
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.events import Act, record_event

MODALITIES = ("image", "text", "audio")
TASK_TYPES = {"image": "image_classification", "text": "text_classification", "audio": "audio_classification"}
"""The task type that a dataset gets when none is named, by modality."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A set of items with one task type and one list of classes (none: any answer is taken).

    schema_version: which version of its classes this is, 1 for those that it was created with.
    """

    dataset_id: str
    name: str
    task_type: str
    modality: str
    classes: tuple[str, ...] | None
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class RecordedPolicy:
    """A policy as it stands in the table: under which id, by whom, why and when."""

    policy_id: int
    policy: Policy
    actor: str
    reason: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far runs have come: votes looked at, under which policy and classes; the newest ledger row."""

    folded_through: int
    policy_id: int | None
    ledger_position: int
    schema_version: int = 1


def now_text() -> str:
    """This moment as it is written."""
    return t.time_text(datetime.now(UTC))


def create_dataset(
    database: Database,
    name: str,
    policy: Policy,
    *,
    classes: tuple[str, ...] | None = None,
    modality: str | None = None,
    task_type: str | None = None,
    actor: str = "create",
    reason: str = "dataset created",
) -> Dataset:
    """A new dataset with its first policy. Raises BadInputError for a bad or taken name, and bad classes.

    modality: by default that of the task type; without either, image.
    """
    if not NAME.fullmatch(name):
        raise BadInputError(
            f"{name!r} cannot name a dataset: lower-case letters, digits, - and _ (63 at most),"
            " the first a letter or digit"
        )
    modality = modality or MODALITY_OF.get(task_type or "", "image")
    if modality not in MODALITIES:
        raise BadInputError(f"{modality!r} is no modality; there are {', '.join(MODALITIES)}")
    task_type = task_type or TASK_TYPES[modality]
    check_task(task_type, modality)
    least = 1 if is_structured(task_type) else 2
    for class_name in classes or ():
        check_new_class(class_name)
    if classes is not None and (len(classes) < least or len(set(classes)) < len(classes)):
        raise BadInputError(
            f"classes are at least {'one name' if least == 1 else 'two names'}, no two of them alike"
        )
    if is_structured(task_type) and policy.is_adaptive:
        raise BadInputError(f"GRADUATION=adaptive is for answers that are one class, not for {task_type}")
    dataset = Dataset(str(uuid.uuid4()), name, task_type, modality, classes)
    with database.write() as connection:
        taken = connection.execute(sa.select(t.datasets.c.name).where(t.datasets.c.name == name)).first()
        if taken:
            raise BadInputError(f"there is a dataset {name} already")
        moment = now_text()
        connection.execute(
            t.datasets.insert().values(
                dataset_id=dataset.dataset_id,
                name=name,
                task_type=dataset.task_type,
                modality=modality,
                classes=list(classes) if classes is not None else sa.null(),
                created_at=moment,
                export_settings=sa.null(),
            )
        )
        connection.execute(
            t.schema_versions.insert().values(
                dataset_id=dataset.dataset_id,
                version=1,
                task_type=dataset.task_type,
                classes=list(classes) if classes is not None else sa.null(),
                change="created",
                class_map=sa.null(),
                ledger_position=0,
                actor=actor,
                reason=reason,
                created_at=moment,
            )
        )
        connection.execute(
            t.dataset_progress.insert().values(
                dataset_id=dataset.dataset_id,
                folded_through=0,
                ledger_position=0,
                updated_at=moment,
                schema_version=1,
            )
        )
        policy_id = _record_policy(connection, dataset, policy, actor, reason)
        record_event(
            connection,
            dataset.dataset_id,
            Act(
                actor,
                "dataset.create",
                f"dataset {name}",
                reason,
                after={
                    "task_type": dataset.task_type,
                    "modality": modality,
                    "classes": list(classes) if classes is not None else None,
                    "version": 1,
                    "policy_id": policy_id,
                    "policy": policy.settings(whole=True),
                },
            ),
        )
    return dataset


DATASETS = sa.select(
    t.datasets,
    sa.select(sa.func.max(t.schema_versions.c.version))
    .where(t.schema_versions.c.dataset_id == t.datasets.c.dataset_id)
    .scalar_subquery()
    .label("schema_version"),
)
"""Rows for `dataset_of`."""


def list_datasets(connection: sa.Connection) -> list[Dataset]:
    """All datasets, by name."""
    rows = connection.execute(DATASETS).all()
    return sorted((dataset_of(row) for row in rows), key=lambda dataset: dataset.name)


def get_dataset(connection: sa.Connection, name: str) -> Dataset:
    """The dataset of a name; raises NotFoundError with the names there are."""
    row = connection.execute(DATASETS.where(t.datasets.c.name == name)).first()
    if row is None:
        known = [dataset.name for dataset in list_datasets(connection)]
        raise NotFoundError(
            f"there is no dataset {name!r}; "
            + (
                f"there are {', '.join(known[:20])}"
                if known
                else "create one with `hiveguard datasets create`"
            )
        )
    return dataset_of(row)


def lock_dataset(connection: sa.Connection, name: str) -> Dataset:
    """The dataset, held for this transaction alone: runs, imports and reviews of it take turns.

    On SQLite a write transaction holds the whole file already. On PostgreSQL this is a row lock that
    waits for the other holder and lets new items refer to the dataset meanwhile.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(
            sa.text("SELECT 1 FROM datasets WHERE name = :name FOR NO KEY UPDATE"), {"name": name}
        )
    return get_dataset(connection, name)


def current_policy(connection: sa.Connection, dataset: Dataset) -> RecordedPolicy:
    """The policy that holds for votes not yet processed."""
    return policy_history(connection, dataset)[-1]


def policy_history(connection: sa.Connection, dataset: Dataset) -> list[RecordedPolicy]:
    """All policies of a dataset, oldest first."""
    rows = connection.execute(
        sa.select(t.policies)
        .where(t.policies.c.dataset_id == dataset.dataset_id)
        .order_by(t.policies.c.policy_id)
    )
    return [
        RecordedPolicy(
            policy_id=row.policy_id,
            policy=policy_of(row),
            actor=row.actor,
            reason=row.reason,
            created_at=row.created_at,
        )
        for row in rows
    ]


def set_policy(
    database: Database, name: str, settings: dict[str, str], *, actor: str, reason: str
) -> RecordedPolicy:
    """Change some settings of a dataset from the votes on that are not processed yet."""
    with database.write() as connection:
        dataset = lock_dataset(connection, name)
        return set_policy_in(connection, dataset, settings, actor=actor, reason=reason)


def set_policy_in(
    connection: sa.Connection, dataset: Dataset, settings: dict[str, str], *, actor: str, reason: str
) -> RecordedPolicy:
    """As `set_policy`, in the caller's transaction, which holds the dataset."""
    before = current_policy(connection, dataset).policy
    policy = before.replaced(settings)
    if policy.is_adaptive and is_structured(dataset.task_type):
        raise BadInputError(
            f"GRADUATION=adaptive is for answers that are one class: those of {dataset.name} are"
            f" structured ({dataset.task_type})"
        )
    if policy != before:
        policy_id = _record_policy(connection, dataset, policy, actor, reason)
        if policy.consensus_threshold < before.consensus_threshold:
            note_all(connection, dataset.dataset_id, policy)
        record_event(
            connection,
            dataset.dataset_id,
            Act(
                actor,
                "policy.set",
                f"dataset {dataset.name}",
                reason,
                before=dict(before.settings(whole=True)),
                after={"policy_id": policy_id, "policy": policy.settings(whole=True)},
            ),
        )
    return current_policy(connection, dataset)


def progress_of(connection: sa.Connection, dataset: Dataset) -> Progress:
    """How far runs of a dataset have come."""
    row = connection.execute(
        sa.select(t.dataset_progress).where(t.dataset_progress.c.dataset_id == dataset.dataset_id)
    ).one()
    return Progress(row.folded_through, row.policy_id, row.ledger_position, row.schema_version or 1)


def _record_policy(
    connection: sa.Connection, dataset: Dataset, policy: Policy, actor: str, reason: str
) -> int:
    key = connection.execute(
        t.policies.insert().values(
            dataset_id=dataset.dataset_id,
            actor=actor,
            reason=reason,
            created_at=now_text(),
            **{field.name: getattr(policy, field.name) for field in fields(Policy)},
        )
    ).inserted_primary_key
    assert key is not None
    return int(key[0])


def policy_of(row: sa.Row[Any]) -> Policy:
    """The settings of a row of `policies`."""
    return Policy(**{field.name: getattr(row, field.name) for field in fields(Policy)})


def dataset_of(row: sa.Row[Any]) -> Dataset:
    """The dataset of a row of DATASETS."""
    classes = row.classes
    return Dataset(
        row.dataset_id,
        row.name,
        row.task_type,
        row.modality,
        tuple(classes) if classes is not None else None,
        row.schema_version or 1,
    )
