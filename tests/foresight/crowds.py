"""Crowds as columns, straight from votes with no store between; and one put into a store."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.foresight.standing import Recorded
from hiveguard_pipeline.rules.columns import NO_LABEL, Items
from hiveguard_pipeline.store import tables as t
from hiveguard_pipeline.store.crowd import NO_DURATION, Crowd
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import Dataset
from hiveguard_pipeline.store.tables import item_uuid, time_text
from tests.store.voting import FIRST_VOTE, add_items, cast

Rows = np.ndarray[Any, Any]
"""int64, shape (votes, 3): item, solver, answer, in arrival order."""


def read_rows(file: Path) -> Rows:
    """The votes of a shared set, a solver's first one on an item."""
    codes: list[dict[str, int]] = [{}, {}, {}]
    seen = set()
    rows = []
    with file.open(newline="") as lines:
        for line in csv.DictReader(lines):
            words = (line["external_id"], line["solver_id"], line["answer"])
            if words[:2] not in seen:
                seen.add(words[:2])
                rows.append(
                    [code.setdefault(word, len(code)) for code, word in zip(codes, words, strict=True)]
                )
    return np.array(rows)


def round_by_round(rows: Rows) -> Rows:
    """The same votes as if every item got its first one, then every item its second, ..."""
    order = np.argsort(rows[:, 0], kind="stable")
    counts = np.bincount(rows[:, 0])
    number = np.empty(len(rows), dtype=np.int64)
    number[order] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows[np.argsort(number, kind="stable")]


def crowd_of(rows: Rows, like: Rows | None = None, gold: dict[int, int] | None = None) -> Crowd:
    """Votes as a crowd; `like`: votes whose items, solvers and classes there are."""
    items, solvers, classes = ((rows if like is None else like).max(axis=0) + 1).tolist()
    order = np.argsort(rows[:, 0], kind="stable")
    truth = np.full(items, NO_LABEL, dtype=np.int32)
    for item, label in (gold or {}).items():
        truth[item] = label
    names = pa.array([f"{number:06d}" for number in range(items)])
    return Crowd(
        offsets=np.concatenate(([0], np.cumsum(np.bincount(rows[:, 0], minlength=items)))),
        solver=rows[order, 1].astype(np.int32),
        answer=rows[order, 2].astype(np.int32),
        vote_id=order + 1,
        duration_ms=np.full(len(rows), NO_DURATION),
        item_ids=names,
        external_ids=names,
        gold=truth,
        solvers=[str(number) for number in range(solvers)],
        classes=[str(number) for number in range(classes)],
    )


def unlabeled(crowd: Crowd) -> Recorded:
    """A store in which no run has been yet."""
    count = len(crowd.item_ids)
    return Recorded(Items.unlabeled(count), np.zeros(count, dtype=np.int64))


def made_up(
    items: int, votes: int, classes: int, mean: float, spread: float, random: np.random.Generator
) -> Rows:
    """Votes from the model itself, each by one of 50 solvers, every item's true answer drawn."""
    truth = random.integers(0, classes, items)
    rate = random.beta(spread * mean, spread * (1 - mean), items)
    item = np.tile(np.arange(items), votes)
    right = random.random(len(item)) < rate[item]
    wrong = (truth[item] + random.integers(1, classes, len(item))) % classes
    return np.stack((item, random.integers(0, 50, len(item)), np.where(right, truth[item], wrong)), axis=1)


def put_crowd(
    database: Database, dataset: Dataset, items: int = 60, votes: int = 5, right: float = 0.9
) -> None:
    """Items that most answer `yes`, but for six on which the crowd is of two minds."""
    random = np.random.default_rng(1)
    names = [f"item-{number:03d}" for number in range(items)]
    add_items(database, dataset, names)
    cast(
        database,
        dataset,
        [
            (name, "yes" if random.random() < (0.5 if name < "item-006" else right) else "no")
            for _ in range(votes)
            for name in names
        ],
    )


SKILLS = (0.97, 0.95, 0.9, 0.9, 0.85, 0.8, 0.75, 0.7, 0.5, 0.5)
"""How often solvers m0, m1, ... give the true answer of `put_measured_crowd`."""


def put_measured_crowd(
    database: Database, dataset: Dataset, items: int = 80, gold: int = 30, votes: int = 8
) -> None:
    """Items that solvers of unequal skill answer in rounds; the first ones are gold."""
    random = np.random.default_rng(1)
    truth = random.choice(["no", "yes"], items).tolist()
    names = [f"item-{number:03d}" for number in range(items)]
    for label in ("no", "yes"):
        known = [name for name, true in zip(names[:gold], truth, strict=False) if true == label]
        add_items(database, dataset, known, gold=label)
    add_items(database, dataset, names[gold:])
    asked = [random.permutation(len(SKILLS)) for _ in names]
    given = []
    for turn in range(votes):
        for item in random.permutation(items).tolist():
            solver = int(asked[item][turn])
            right = random.random() < SKILLS[solver]
            wrong = "no" if truth[item] == "yes" else "yes"
            given.append((names[item], f"m{solver}", truth[item] if right else wrong))
    put_votes(database, dataset, given)


def put_votes(database: Database, dataset: Dataset, given: list[tuple[str, str, str]]) -> None:
    """Votes as (external_id, solver, answer), in arrival order."""
    rows = [
        {
            "item_id": item_uuid(dataset.name, item),
            "solver_id": solver,
            "answer": answer,
            "created_at": time_text(FIRST_VOTE),
        }
        for item, solver, answer in given
    ]
    with database.write() as connection:
        connection.execute(t.votes.insert(), rows)
