"""What a dataset's exports are to be: formats, split, licence; kept in the row of the dataset."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError, SettingError
from hiveguard_pipeline.rules.policy import ONE, decimal_text, millionths
from hiveguard_pipeline.snapshots.header import DEFAULT_SHARE, SPLIT_METHODS
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, lock_dataset

KEYS = ("formats", "train_val_split", "split", "salt", "licence")
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Settings of exports. train_val_split: the share of train, in millionths.

    formats: written by every training export beside the plain ones. salt: of the split. licence: of the
    labels themselves, as manifests say it; that of each item stands with the item.
    """

    salt: str
    formats: tuple[str, ...] = ()
    train_val_split: int = DEFAULT_SHARE
    split: str = "hash"
    licence: str | None = None

    def values(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "formats": list(self.formats),
            "train_val_split": decimal_text(self.train_val_split),
            "split": self.split,
            "salt": self.salt,
            "licence": self.licence,
        }


def checked(settings: ExportSettings, given: Mapping[str, Any], task_type: str) -> ExportSettings:
    """Settings with some changed; raises SettingError, which names the key, for what cannot be."""
    from hiveguard_pipeline.snapshots.export import check_format

    for key, value in given.items():
        try:
            if key == "formats":
                names = value if isinstance(value, list) else str(value).split(",")
                formats = tuple(str(name).strip() for name in names if str(name).strip())
                for place, name in enumerate(formats):
                    check_format(name, task_type)
                    if name in formats[:place]:
                        raise BadInputError(f"formats names {name} twice")
                settings = replace(settings, formats=formats)
            elif key == "train_val_split":
                share = millionths("train_val_split", value)
                if not 0 < share <= ONE:
                    raise BadInputError(f"train_val_split must lie above 0 and at most at 1, not {value}")
                settings = replace(settings, train_val_split=share)
            elif key == "split":
                if value not in SPLIT_METHODS:
                    raise BadInputError(f"split is {' or '.join(SPLIT_METHODS)}, not {value!r}")
                settings = replace(settings, split=str(value))
            elif key in ("salt", "licence"):
                text = str(value).strip()
                if not text or len(text) > _LONGEST or "\0" in text:
                    raise BadInputError(f"{key} is a text of 1 to {_LONGEST} characters")
                settings = replace(settings, salt=text) if key == "salt" else replace(settings, licence=text)
            else:
                raise BadInputError(f"{key} is no key of export; the keys are {', '.join(KEYS)}")
        except BadInputError as error:
            raise SettingError(key, str(error)) from None
    return settings


def export_settings(connection: sa.Connection, dataset: Dataset) -> ExportSettings:
    """A dataset's settings; the defaults where nothing was set."""
    found = connection.execute(
        sa.select(t.datasets.c.export_settings).where(t.datasets.c.dataset_id == dataset.dataset_id)
    ).scalar()
    values = {key: value for key, value in (found or {}).items() if value is not None}
    return checked(ExportSettings(salt=dataset.name), values, dataset.task_type)


def set_export_settings(database: Database, dataset_name: str, given: Mapping[str, Any]) -> ExportSettings:
    """Change some settings of a dataset, for the snapshots and exports to come."""
    with database.write() as connection:
        dataset = lock_dataset(connection, dataset_name)
        settings = checked(export_settings(connection, dataset), given, dataset.task_type)
        connection.execute(
            t.datasets.update()
            .where(t.datasets.c.dataset_id == dataset.dataset_id)
            .values(export_settings=json.loads(json.dumps(settings.values())))
        )
    return settings
