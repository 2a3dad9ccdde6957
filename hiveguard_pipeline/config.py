"""A dataset described by a YAML file: name, task type, modality, classes and the six settings.

Every value is read as text, so that classes named `yes`, `no` or `01` stay what they are.
"""

from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.rules.policy import ALL_SETTINGS
from hiveguard_pipeline.settings import policy_from_environment
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, list_datasets

KEYS = ("name", "task_type", "modality", "classes")


def create_from_config(database: Database, path: Path) -> tuple[Dataset, bool]:
    """The dataset of a config, and whether it was created now. Raises BadInputError with the line."""
    values, lines = _read(path)

    def refuse(key: str, why: str) -> BadInputError:
        return BadInputError(f"{path}, line {lines.get(key, 1)}: {why}")

    for key, value in values.items():
        if key not in (*KEYS, *ALL_SETTINGS):
            raise refuse(key, f"{key} is no key; the keys are {', '.join((*KEYS, *ALL_SETTINGS))}")
        wanted = list if key == "classes" else str
        if not isinstance(value, wanted) or (wanted is list and not all(isinstance(v, str) for v in value)):
            raise refuse(key, f"{key} must be {'a list of names' if wanted is list else 'one value'}")
    if "name" not in values:
        raise refuse("name", "the config names no dataset (name: ...)")
    name, classes = str(values["name"]), values.get("classes")
    with database.read() as connection:
        existing = next((entry for entry in list_datasets(connection) if entry.name == name), None)
    if existing is not None:
        if classes is not None and tuple(classes) != existing.classes:
            raise refuse("classes", f"dataset {name} is there with other classes; those do not change")
        return existing, False
    try:
        policy = policy_from_environment().replaced(
            {key: values[key] for key in ALL_SETTINGS if key in values}
        )
        dataset = create_dataset(
            database,
            name,
            policy,
            classes=tuple(classes) if classes is not None else None,
            modality=str(values.get("modality", "image")),
            task_type=values.get("task_type"),
            actor="init",
            reason=f"config {path.name}",
        )
    except BadInputError as error:
        raise BadInputError(f"{path}: {error}") from None
    return dataset, True


def _read(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes nothing but text
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{path} is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise BadInputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict) or node is None:
        raise BadInputError(f"{path} holds no keys")
    return values, {key.value: key.start_mark.line + 1 for key, _ in node.value}
