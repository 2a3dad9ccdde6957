"""What a config says of a dataset, checked as a whole and then put into the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiveguard_pipeline.config.file import Refuse, read_config
from hiveguard_pipeline.errors import BadInputError, SettingError
from hiveguard_pipeline.learning.settings import KEYS as ACTIVE_KEYS
from hiveguard_pipeline.learning.settings import ActiveSettings, set_active_settings
from hiveguard_pipeline.learning.settings import checked as checked_active
from hiveguard_pipeline.rules.class_names import check_new_class
from hiveguard_pipeline.rules.policy import ALL_SETTINGS
from hiveguard_pipeline.settings import policy_from_environment
from hiveguard_pipeline.snapshots.settings import KEYS as EXPORT_KEYS
from hiveguard_pipeline.snapshots.settings import ExportSettings, checked, set_export_settings
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import (
    MODALITIES,
    TASK_TYPES,
    Dataset,
    create_dataset,
    get_dataset,
    list_datasets,
)

if TYPE_CHECKING:
    from hiveguard_pipeline.workflow import WorkflowChange
    from hiveguard_pipeline.workflow.configured import ConfiguredWorkflow

WORKFLOW_KEYS = ("workflow", "quality")
KEYS = ("name", "task_type", "modality", "classes", "export", "active_learning", *WORKFLOW_KEYS)
_SECTIONS = {"export": EXPORT_KEYS, "active_learning": ACTIVE_KEYS}
"""Keys that hold keys of one value each."""

_LISTS = ("classes", "export.formats")


def create_from_config(database: Database, path: Path) -> tuple[Dataset, bool]:
    """The dataset of a config, and whether it was created now. Raises BadInputError with the line."""
    values, refuse = read_config(path)
    for key, value in values.items():
        if key not in (*KEYS, *ALL_SETTINGS):
            raise refuse(key, f"{key} is no key; the keys are {', '.join((*KEYS, *ALL_SETTINGS))}")
        if key not in _SECTIONS and key not in WORKFLOW_KEYS:
            _check_kind(key, value, refuse)
    exports, learning = (_section(values, name, refuse) for name in _SECTIONS)
    if "name" not in values:
        raise refuse("name", "the config names no dataset (name: ...)")
    name, classes = str(values["name"]), values.get("classes")
    with database.read() as connection:
        existing = next((entry for entry in list_datasets(connection) if entry.name == name), None)
    if existing is not None:
        if classes is not None and tuple(classes) != existing.classes:
            raise refuse(
                "classes",
                f"dataset {name} is there with other classes, which a config does not change; `hiveguard"
                " classes add|rename|merge|remove` does",
            )
        _check_exports(exports, existing.task_type, refuse)
        _check_learning(learning, refuse)
        workflow = _workflow(values, existing.task_type, existing.classes, refuse)
        _set(database, name, exports, learning)
        if workflow is not None:
            _set_workflow(database, name, workflow, path, refuse)
        return existing, False
    try:
        for class_name in classes or ():
            check_new_class(class_name)
    except BadInputError as error:
        raise refuse("classes", str(error)) from None
    modality = str(values["modality"]) if "modality" in values else None
    by_modality = TASK_TYPES.get(modality or MODALITIES[0], "")
    task_type = str(values.get("task_type", by_modality))
    _check_exports(exports, task_type, refuse)
    _check_learning(learning, refuse)
    workflow = _workflow(values, task_type, classes, refuse)
    try:
        policy = policy_from_environment().replaced(
            {key: values[key] for key in ALL_SETTINGS if key in values}
        )
        dataset = create_dataset(
            database,
            name,
            policy,
            classes=tuple(classes) if classes is not None else None,
            modality=modality,
            task_type=values.get("task_type"),
            actor="init",
            reason=f"config {path.name}",
        )
    except BadInputError as error:
        raise BadInputError(f"{path}: {error}") from None
    _set(database, name, exports, learning)
    if workflow is not None:
        _set_workflow(database, name, workflow, path, refuse)
    return dataset, True


def _section(values: dict[str, Any], name: str, refuse: Refuse) -> dict[str, Any]:
    """The keys below a key, each with a value of the right kind."""
    found = values.get(name) or {}
    if not isinstance(found, dict):
        raise refuse(name, f"{name} holds keys: {', '.join(_SECTIONS[name])}")
    for key, value in found.items():
        _check_kind(f"{name}.{key}", value, refuse)
    return found


def _set(database: Database, name: str, exports: dict[str, Any], learning: dict[str, Any]) -> None:
    if exports:
        set_export_settings(database, name, exports)
    if learning:
        set_active_settings(database, name, learning)


def set_workflow_from_config(
    database: Database, dataset_name: str, path: Path, *, actor: str, reason: str, dry_run: bool = False
) -> "WorkflowChange":
    """Give a dataset the workflow of a config; its other keys are not looked at.

    Raises BadInputError, with the line, for a config without a workflow or with one that cannot be.
    """
    values, refuse = read_config(path)
    with database.read() as connection:
        dataset = get_dataset(connection, dataset_name)
    workflow = _workflow(values, dataset.task_type, dataset.classes, refuse)
    if workflow is None:
        raise BadInputError(f"{path} names no workflow (workflow: or quality:)")
    return _set_workflow(
        database, dataset_name, workflow, path, refuse, actor=actor, reason=reason, dry_run=dry_run
    )


def _workflow(
    values: dict[str, Any],
    task_type: str,
    classes: Sequence[str] | None,
    refuse: Refuse,
) -> "ConfiguredWorkflow | None":
    if not any(key in values for key in WORKFLOW_KEYS):
        return None
    from hiveguard_pipeline.workflow import StageError
    from hiveguard_pipeline.workflow.change import refuse_stages
    from hiveguard_pipeline.workflow.configured import configured_workflow

    try:
        found = configured_workflow(values, classes)
        if found is not None:
            refuse_stages(found.stages, task_type, classes, found.key)
    except StageError as error:
        raise refuse(error.key, str(error)) from None
    return found


def _set_workflow(
    database: Database,
    name: str,
    workflow: "ConfiguredWorkflow",
    path: Path,
    refuse: Refuse,
    *,
    actor: str = "init",
    reason: str | None = None,
    dry_run: bool = False,
) -> "WorkflowChange":
    from hiveguard_pipeline.workflow import StageError, set_workflow

    try:
        return set_workflow(
            database,
            name,
            workflow.stages,
            actor=actor,
            reason=reason or f"config {path.name}",
            settings=workflow.settings,
            people=workflow.people,
            key=workflow.key,
            dry_run=dry_run,
        )
    except StageError as error:
        raise refuse(error.key, str(error)) from None


def _check_kind(key: str, value: Any, refuse: Refuse) -> None:
    if key in _LISTS:
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise refuse(key, f"{key} must be a list of names")
    elif not isinstance(value, str):
        raise refuse(key, f"{key} must be one value")


def _check_exports(exports: dict[str, Any], task_type: str, refuse: Refuse) -> None:
    try:
        checked(ExportSettings(salt=""), exports, task_type)
    except SettingError as error:
        raise refuse(f"export.{error.key}", str(error)) from None


def _check_learning(learning: dict[str, Any], refuse: Refuse) -> None:
    try:
        checked_active(ActiveSettings(), learning)
    except SettingError as error:
        raise refuse(f"active_learning.{error.key}", str(error)) from None
