"""How a dataset's active learning is to be: strategy, sizes, places of features; kept in its row."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa

from hiveguard_pipeline.errors import BadInputError, SettingError
from hiveguard_pipeline.learning.selection.strategies import DEFAULT, STRATEGIES
from hiveguard_pipeline.rules.policy import ONE, decimal_text, millionths
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, lock_dataset

_WHOLE = {
    "query_batch_size": (1, 100_000),
    "retrain_every": (1, 10_000_000),
    "pool_size": (10, 10_000_000),
    "seed": (0, (1 << 63) - 1),
}
"""Settings that are whole numbers, and between which."""

_CHOICES = {"strategy": tuple(STRATEGIES), "uncertainty_method": STRATEGIES["uncertainty"].methods}
_PLACES = ("image_dir", "embeddings")
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class ActiveSettings:
    """Settings of active learning.

    query_batch_size: items of a selection. retrain_every: graduated labels until the weak model is trained
    anew by day. pool_size: unlabeled items that a selection looks at, at most; of more, as many drawn by the
    seed. blind_share: of proposals that are kept and shown to nobody, in millionths. image_dir: the folder or
    fsspec URL that files of items lie below. embeddings: a file of vectors, which then are the features.
    """

    strategy: str = DEFAULT
    query_batch_size: int = 100
    uncertainty_method: str = STRATEGIES["uncertainty"].methods[0]
    retrain_every: int = 500
    pool_size: int = 100_000
    seed: int = 0
    blind_share: int = ONE // 10
    image_dir: str | None = None
    embeddings: str | None = None

    def values(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"blind_share": decimal_text(self.blind_share)}


KEYS = tuple(ActiveSettings.__dataclass_fields__)


def checked(settings: ActiveSettings, given: Mapping[str, Any]) -> ActiveSettings:
    """Settings with some changed; raises SettingError, which names the key, for what cannot be.

    An empty place takes the setting back.
    """
    for key, value in given.items():
        try:
            settings = replace(settings, **{key: _checked_value(key, value)})
        except BadInputError as error:
            raise SettingError(key, str(error)) from None
    return settings


def _checked_value(key: str, value: Any) -> Any:
    text = "" if value is None else str(value).strip()
    if key in _CHOICES:
        if text not in _CHOICES[key]:
            raise BadInputError(f"{key} is one of {', '.join(_CHOICES[key])}, not {text!r}")
        return text
    if key in _WHOLE:
        least, most = _WHOLE[key]
        if not (text.isascii() and text.isdecimal() and least <= int(text[:30]) <= most):
            raise BadInputError(f"{key} is a whole number from {least} to {most}, not {text!r}")
        return int(text)
    if key == "blind_share":
        share = millionths(key, text)
        if not 0 <= share <= ONE:
            raise BadInputError(f"blind_share must lie between 0 and 1, not at {text}")
        return share
    if key in _PLACES:
        if len(text) > _LONGEST or "\0" in text:
            raise BadInputError(f"{key} is a path or URL of at most {_LONGEST} characters")
        return text or None
    raise BadInputError(f"{key} is no key of active_learning; the keys are {', '.join(KEYS)}")


def active_settings(connection: sa.Connection, dataset: Dataset) -> ActiveSettings:
    """A dataset's settings; the defaults where nothing was set."""
    found = connection.execute(
        sa.select(t.datasets.c.active_settings).where(t.datasets.c.dataset_id == dataset.dataset_id)
    ).scalar()
    return checked(ActiveSettings(), found or {})


def set_active_settings(database: Database, dataset_name: str, given: Mapping[str, Any]) -> ActiveSettings:
    """Change some settings of a dataset, for what is trained, proposed and selected from now on."""
    with database.write() as connection:
        dataset = lock_dataset(connection, dataset_name)
        settings = checked(active_settings(connection, dataset), given)
        connection.execute(
            t.datasets.update()
            .where(t.datasets.c.dataset_id == dataset.dataset_id)
            .values(active_settings=json.loads(json.dumps(settings.values())))
        )
    return settings
