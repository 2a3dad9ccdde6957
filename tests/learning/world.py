"""A dataset with labels, texts or images, and votes enough to graduate: what models learn from in tests."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset, create_dataset, get_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from tests.store.voting import add_items, cast

QUICK = Policy().replaced(
    {
        "CONSENSUS_THRESHOLD": "1",
        "REVALIDATION_MIN_TOTAL_VOTES": "1",
        "REVALIDATION_EXIT_CONFIDENCE": "0.7",
    }
)
"""One vote labels and graduates an item."""

WORDS = {
    "sport": ["goal", "match", "referee", "league", "striker", "penalty"],
    "food": ["soup", "oven", "butter", "recipe", "garlic", "dinner"],
    "music": ["chord", "violin", "tempo", "chorus", "concert", "drum"],
}
CLASSES = tuple(WORDS)


def texts_of(count: int, seed: int = 0, noise: float = 0.3) -> tuple[list[str], list[str]]:
    """Texts of some words of their class, some of others, and their classes."""
    random = np.random.default_rng(seed)
    labels = [CLASSES[number % 3] for number in range(count)]
    others = [word for words in WORDS.values() for word in words]
    texts = [
        " ".join(random.choice(WORDS[label] if random.random() > noise else others) for _ in range(6))
        for label in labels
    ]
    return texts, labels


def text_dataset(database: Database, count: int, name: str = "topics") -> tuple[Dataset, list[str]]:
    """Items t0, t1, ... with texts; returns the dataset and their true classes."""
    dataset = create_dataset(
        database, name, QUICK, classes=CLASSES, modality="text", task_type="text_classification"
    )
    texts, labels = texts_of(count)
    ids = add_items(database, dataset, [f"t{number}" for number in range(count)])
    rows = [{"item_id": ids[f"t{number}"], "content": text} for number, text in enumerate(texts)]
    with database.write() as connection:
        connection.execute(t.item_details.insert(), rows)
    return dataset, labels


def image_dataset(
    database: Database, folder: Path, images: Any, name: str = "digits", classes: Sequence[str] = ()
) -> Dataset:
    """Items t0.png, t1.png, ... with files in a folder; images: uint8, shape (n, height, width)."""
    dataset = create_dataset(database, name, QUICK, classes=tuple(classes), modality="image")
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"t{number}.png")
    add_items(database, dataset, [f"t{number}" for number in range(len(images))])
    with database.write() as connection:
        connection.execute(
            sa.update(t.items)
            .where(t.items.c.dataset_id == dataset.dataset_id)
            .values(data_ref=t.items.c.external_id + ".png")
        )
    return dataset


def label(database: Database, dataset: Dataset, answers: dict[str, str]) -> None:
    """One vote for each of some items by external id, applied: under QUICK they graduate."""
    cast(database, dataset, list(answers.items()))
    apply_votes(database, dataset.name, run_id="run")


def named(labels: Sequence[str], numbers: Any) -> dict[str, str]:
    """The true answers of some items."""
    return {f"t{number}": labels[number] for number in numbers}


def again(database: Database, dataset: Dataset) -> Dataset:
    """The dataset as it is now."""
    with database.read() as connection:
        return get_dataset(connection, dataset.name)


def rows_of(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    """All rows of a table, in the order of its key."""
    with database.read() as connection:
        found = connection.execute(sa.select(table).order_by(*table.primary_key.columns))
        return [dict(row) for row in found.mappings()]


def without(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """As if a library were not installed: Python's own mark of a module that is not to be had."""
    for name in [name for name in sys.modules if name.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
