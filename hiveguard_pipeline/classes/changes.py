"""A change of classes in the store: the new version, the map, and the labels that it names, all or nothing.

Votes, reviews and ledger rows stay as they are: each reads under the classes of its time. Labels, and gold
labels too, take their new names in one statement; no confidence, state or count changes. Votes that are not
processed yet are read under the new classes: the next run looks at the whole pool.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.compute as pc
import sqlalchemy as sa

from hiveguard_pipeline.classes.plans import Change, Classes, Plan, addition, merging, removal, renaming
from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.structured.tasks import is_structured
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.bulk import append, read_columns
from hiveguard_pipeline.store.class_map import ClassMap
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, lock_dataset, now_text
from hiveguard_pipeline.store.events import Act, record_event
from hiveguard_pipeline.store.schema_versions import class_map_of


@dataclass(frozen=True, slots=True)
class ClassChange:
    """What a change did: the version it made, and how many labels and gold labels have another name now.

    classes: None where any answer is taken. class_map: the names that mean others from now on.
    """

    dataset: str
    version: int
    change: str
    classes: tuple[str, ...] | None
    class_map: dict[str, str]
    labels: int
    gold_labels: int


def add_classes(
    database: Database, dataset_name: str, names: Sequence[str], *, actor: str, reason: str
) -> ClassChange:
    """Add classes. Raises BadInputError for a name that is a class or was one, or where any answer goes."""
    return _changed(database, dataset_name, addition(names), actor, reason)


def rename_class(
    database: Database, dataset_name: str, old: str, new: str, *, actor: str, reason: str
) -> ClassChange:
    """Give a class another name. Raises BadInputError if `new` is a class or was one."""
    return _changed(database, dataset_name, renaming(old, new), actor, reason)


def merge_classes(
    database: Database, dataset_name: str, names: Sequence[str], into: str, *, actor: str, reason: str
) -> ClassChange:
    """Make one class of several. into: one of them, another class, or a name that never was one."""
    return _changed(database, dataset_name, merging(names, into), actor, reason)


def remove_class(
    database: Database, dataset_name: str, name: str, into: str, *, actor: str, reason: str
) -> ClassChange:
    """Take a class away. into: the class that its labels and answers mean from now on."""
    return _changed(database, dataset_name, removal(name, into), actor, reason)


def _changed(database: Database, dataset_name: str, change: Change, actor: str, reason: str) -> ClassChange:
    for name, text in (("actor", actor), ("reason", reason)):
        if not text.strip():
            raise BadInputError(f"{name} must not be empty: it stands in the record of classes")
    with database.write() as connection:
        dataset = lock_dataset(connection, dataset_name)
        before = class_map_of(connection, dataset)
        least = 1 if is_structured(dataset.task_type) else 2
        plan = change(Classes(dataset.name, dataset.classes, dict(before.names), least))
        version = dataset.schema_version + 1
        moment = now_text()
        _record(connection, dataset, version, plan, actor, reason, moment)
        if plan.class_map:
            _extend_map(connection, dataset, plan)
            labels, gold = _name_labels(
                connection, dataset, ClassMap(plan.class_map, before.structured), moment
            )
        else:
            _nothing_to_look_at(connection, dataset, version)
            labels = gold = 0
        record_event(
            connection,
            dataset.dataset_id,
            Act(
                actor,
                "classes.change",
                f"dataset {dataset.name}",
                reason,
                before={"classes": list(dataset.classes) if dataset.classes is not None else None},
                after={
                    "version": version,
                    "change": plan.change,
                    "classes": list(plan.names) if plan.names is not None else None,
                    "class_map": dict(plan.class_map),
                },
            ),
        )
    return ClassChange(dataset.name, version, plan.change, plan.names, plan.class_map, labels, gold)


def _record(
    connection: sa.Connection,
    dataset: Dataset,
    version: int,
    plan: Plan,
    actor: str,
    reason: str,
    moment: str,
) -> None:
    # Rows of this dataset are written under its lock: all there are now lie at or below the newest of
    # the table, all that come above it.
    newest = connection.execute(
        sa.select(sa.func.coalesce(sa.func.max(t.batches.c.batch_id), 0))
    ).scalar_one()
    classes = list(plan.names) if plan.names is not None else sa.null()
    connection.execute(
        t.schema_versions.insert().values(
            dataset_id=dataset.dataset_id,
            version=version,
            task_type=dataset.task_type,
            classes=classes,
            change=plan.change,
            class_map=plan.class_map or sa.null(),
            ledger_position=newest,
            actor=actor,
            reason=reason,
            created_at=moment,
        )
    )
    connection.execute(
        t.datasets.update().where(t.datasets.c.dataset_id == dataset.dataset_id).values(classes=classes)
    )


def _extend_map(connection: sa.Connection, dataset: Dataset, plan: Plan) -> None:
    """Names that were mapped to one that goes follow it; the names that go are mapped."""
    for old, new in plan.class_map.items():
        connection.execute(
            t.class_map.update()
            .where(t.class_map.c.dataset_id == dataset.dataset_id, t.class_map.c.label == old)
            .values(label=new)
        )
    connection.execute(
        t.class_map.insert(),
        [
            {"dataset_id": dataset.dataset_id, "answer": old, "label": new}
            for old, new in plan.class_map.items()
        ],
    )


def _name_labels(
    connection: sa.Connection, dataset: Dataset, change: ClassMap, moment: str
) -> tuple[int, int]:
    """Labels and gold labels under their new names; returns how many of each have another one now."""
    names = {"dataset": dataset.dataset_id}
    texts = read_columns(
        connection,
        "SELECT label FROM labels WHERE dataset_id = :dataset AND label IS NOT NULL"
        " UNION SELECT gold_label FROM items WHERE dataset_id = :dataset AND gold_label IS NOT NULL",
        names,
        {"label": str},
    )["label"]
    named = change.of(texts)
    other = pc.not_equal(texts, named)
    connection.execute(sa.text("DROP TABLE IF EXISTS renamed_labels"))
    connection.execute(sa.text("CREATE TEMPORARY TABLE renamed_labels (label text, named text)"))
    append(connection, "renamed_labels", {"label": texts.filter(other), "named": named.filter(other)})
    key = sa.bindparam("dataset", type_=t.Uuid)
    time = sa.bindparam("moment", type_=t.UtcTime)
    labels = connection.execute(
        sa.text(
            "UPDATE labels SET label = r.named, updated_at = :moment FROM renamed_labels r"
            " WHERE labels.dataset_id = :dataset AND labels.label = r.label"
        ).bindparams(key, time),
        names | {"moment": moment},
    ).rowcount
    gold = connection.execute(
        sa.text(
            "UPDATE items SET gold_label = r.named FROM renamed_labels r"
            " WHERE items.dataset_id = :dataset AND items.gold_label = r.label"
        ).bindparams(key),
        names,
    ).rowcount
    connection.execute(sa.text("DROP TABLE renamed_labels"))
    return labels, gold


def _nothing_to_look_at(connection: sa.Connection, dataset: Dataset, version: int) -> None:
    """No vote reads otherwise: what was looked at under the classes before needs no new look."""
    connection.execute(
        t.dataset_progress.update()
        .where(
            t.dataset_progress.c.dataset_id == dataset.dataset_id,
            sa.func.coalesce(t.dataset_progress.c.schema_version, 1) == dataset.schema_version,
        )
        .values(schema_version=version)
    )
