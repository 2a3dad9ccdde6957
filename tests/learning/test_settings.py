"""Settings of active learning: kept for a dataset, and refused with the key where they cannot be."""

import pytest

from hiveguard_pipeline.errors import SettingError
from hiveguard_pipeline.learning.settings import (
    KEYS,
    ActiveSettings,
    active_settings,
    checked,
    set_active_settings,
)
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset


def test_settings_are_kept_and_what_is_not_given_stays(database: Database, dataset: Dataset) -> None:
    given = {"strategy": "diversity", "blind_share": "0.25", "image_dir": "s3://bucket/x", "seed": 7}
    made = set_active_settings(database, "animals", given)
    again = set_active_settings(database, "animals", {"image_dir": "", "pool_size": "500"})
    with database.read() as connection:
        assert active_settings(connection, dataset) == again
    assert made.image_dir == "s3://bucket/x"
    assert again == checked(
        ActiveSettings(), {"strategy": "diversity", "blind_share": "0.25", "seed": "7", "pool_size": "500"}
    )
    assert checked(ActiveSettings(), made.values()) == made


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("strategy", "best"),
        ("uncertainty_method", "vote_entropy"),
        ("query_batch_size", "0"),
        ("query_batch_size", "1.5"),
        ("query_batch_size", "²"),
        ("retrain_every", "-1"),
        ("pool_size", "9"),
        ("seed", "99999999999999999999999999999999999"),
        ("blind_share", "1.01"),
        ("blind_share", "half"),
        ("image_dir", "a\0b"),
        ("colour", "red"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(key: str, value: str) -> None:
    with pytest.raises(SettingError) as error:
        checked(ActiveSettings(), {key: value})
    assert error.value.key == key
    assert key in str(error.value)
    assert "\n" not in str(error.value)


def test_the_keys_are_those_of_the_kit() -> None:
    assert set(KEYS) == {
        "strategy",
        "query_batch_size",
        "uncertainty_method",
        "retrain_every",
        "pool_size",
        "seed",
        "blind_share",
        "image_dir",
        "embeddings",
    }
