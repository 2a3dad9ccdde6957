"""Active learning whole, on real images: model, choice, simulated people, consensus, and the model again.

The images are the handwritten digits that come with scikit-learn (1,797 of 8 x 8; a third is kept apart and
judges every model). The people are made up: of 40, thirty are wrong 4 times in 100, eight 20 times, and two
60 times. Each chosen item is asked of three of them, and of more where no answer has a majority.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.errors import HiveGuardError
from hiveguard_pipeline.exports.files import replacing
from hiveguard_pipeline.intake import import_items
from hiveguard_pipeline.learning.choosing import select_items
from hiveguard_pipeline.learning.extras import needed
from hiveguard_pipeline.learning.features import Items, source_of
from hiveguard_pipeline.learning.models.folder import ModelFolder
from hiveguard_pipeline.learning.queue import Queue
from hiveguard_pipeline.learning.recorded import accepted_model, ready
from hiveguard_pipeline.learning.served import own_features
from hiveguard_pipeline.learning.settings import active_settings, set_active_settings
from hiveguard_pipeline.learning.training import train_weak_model
from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.bulk import append
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset, get_dataset
from hiveguard_pipeline.store.ledger import apply_votes

STRATEGIES = ("hybrid", "uncertainty", "diversity", "random")
BATCH = 20
ROUNDS = 10

PEOPLE = ((30, 0.04), (8, 0.20), (2, 0.60))
"""How many people are wrong how often."""

ASKED = 3
_MOST_ASKED = 9

POLICY = Policy().replaced(
    {
        "CONSENSUS_THRESHOLD": str(ASKED),
        "REVALIDATION_MIN_TOTAL_VOTES": str(ASKED),
        "REVALIDATION_EXIT_CONFIDENCE": "0.65",
        "REVALIDATION_CONFIDENCE_THRESHOLD": "0.3",
    }
)
"""Two of three people suffice, so that a label is there at once: this shows the choice, not re-validation."""


@dataclass(frozen=True, slots=True)
class Digits:
    """The images as files in a folder, and what they show. pool, judges: names of files."""

    folder: Path
    pool: tuple[str, ...]
    judges: tuple[str, ...]
    truth: dict[str, str]


@dataclass(frozen=True, slots=True)
class Point:
    """After a round: labels that there were, and the share of the judging images that the model has right."""

    labels: int
    accuracy: float


def write_digits(folder: Path) -> Digits:
    """The images as PNG files; the same files again are left as they are."""
    image: Any = needed("PIL.Image")
    rows, shown = needed("sklearn.datasets").load_digits(return_X_y=True)
    names = [f"digit-{number:04d}.png" for number in range(len(rows))]
    for name, row in zip(names, rows, strict=True):
        if not (folder / name).exists():
            with replacing(folder / name) as stream:
                picture = image.fromarray((row.reshape(8, 8) * 15.9375).astype(np.uint8))
                picture.save(stream, format="PNG")
    apart = np.random.default_rng(0).permutation(len(names)) < len(names) // 3
    return Digits(
        folder,
        tuple(name for name, judges in zip(names, apart, strict=True) if not judges),
        tuple(name for name, judges in zip(names, apart, strict=True) if judges),
        {name: str(digit) for name, digit in zip(names, shown, strict=True)},
    )


def prepare(database: Database, name: str, digits: Digits, seed: int) -> None:
    """A dataset of the pool's images, under a quick policy."""
    create_dataset(
        database,
        name,
        POLICY,
        classes=tuple(str(digit) for digit in range(10)),
        modality="image",
        actor="demo",
    )
    listed = digits.folder / f".{name}.csv"
    listed.write_text(
        "external_id,data_ref,modality\n" + "".join(f"{file},{file},image\n" for file in digits.pool)
    )
    try:
        import_items(database, name, listed)
    finally:
        listed.unlink()
    set_active_settings(
        database,
        name,
        {"image_dir": str(digits.folder.absolute()), "query_batch_size": BATCH, "seed": seed},
    )


def learn(
    database: Database,
    name: str,
    root: str,
    digits: Digits,
    strategy: str,
    seed: int,
    *,
    rounds: int,
    report: Callable[[], None] = lambda: None,
) -> list[Point]:
    """Choose, ask, label and train, so many times; what the accepted model was worth after each round.

    Until there is a model, a strategy that asks one chooses at random. root: of model files.
    """
    random = np.random.default_rng([seed, *name.encode()])
    people = _People(random)
    points, labels = [], 0
    judges = _judging(database, name, digits)
    for number in range(rounds):
        with database.read() as connection:
            has_model = accepted_model(connection, get_dataset(connection, name)) is not None
        by = strategy if has_model or strategy != "uncertainty" else "random"
        queue = select_items(database, name, root, strategy=by, n=BATCH, seed=seed * 1000 + number)
        labels += ask(database, name, queue, digits, people)
        train_weak_model(database, name, root)
        points.append(Point(labels, judged(database, name, root, judges)))
        report()
    return points


class _People:
    """Simulated people and their mistakes."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.wrong = np.repeat([wrong for _, wrong in PEOPLE], [count for count, _ in PEOPLE])

    def answers(self, truth: list[str], asked: int) -> tuple[Any, Any]:
        """Who answers what: `asked` different people an item; shapes (items, asked)."""
        who = np.argsort(self.random.random((len(truth), len(self.wrong))), axis=1)[:, :asked]
        right = self.random.random(who.shape) >= self.wrong[who]
        digits = np.array(truth, dtype=np.int64)[:, None]
        other = (digits + self.random.integers(1, 10, who.shape)) % 10
        return who, np.where(right, digits, other)


def ask(database: Database, name: str, queue: Queue, digits: Digits, people: _People) -> int:
    """Have people answer the queue through the vote table until each item has a label; returns how many."""
    truth = [digits.truth[row.external_id] for row in queue.rows]
    who, answers = people.answers(truth, _MOST_ASKED)
    open_, labelled = list(range(len(queue.rows))), 0
    for start, stop in ((0, ASKED), *((more, more + 1) for more in range(ASKED, _MOST_ASKED))):
        places = np.repeat(open_, stop - start)
        columns = np.tile(np.arange(start, stop), len(open_))
        ids = [queue.rows[place].item_id for place in places]
        solvers = [f"person-{number:02d}" for number in who[places, columns]]
        with database.write() as connection:
            append(
                connection,
                "votes",
                {
                    "item_id": pa.array(ids),
                    "solver_id": pa.array(solvers),
                    "answer": pa.array([str(answer) for answer in answers[places, columns]]),
                },
            )
        labelled += apply_votes(database, name, run_id="demo").first_passes
        counts = [np.bincount(answers[place, :stop]).max() * 2 > stop for place in open_]
        open_ = [place for place, has_majority in zip(open_, counts, strict=True) if not has_majority]
        if not open_:
            break
    return labelled


@dataclass(frozen=True, slots=True)
class Judges:
    """Images that are never asked about: their features, and what they show."""

    description: dict[str, Any]
    rows: Any
    truth: Any


def _judging(database: Database, name: str, digits: Digits) -> Judges:
    with database.read() as connection:
        dataset = get_dataset(connection, name)
        settings = active_settings(connection, dataset)
    source = source_of(own_features(dataset, settings, 10), image_dir=settings.image_dir)
    names = list(digits.judges)
    rows = source.make(Items(names, names, names, [None] * len(names))).rows
    return Judges(source.description, rows, np.array([digits.truth[name] for name in names]))


def judged(database: Database, name: str, root: str, judges: Judges) -> float:
    """The share of the judging images that the accepted model has right."""
    with database.read() as connection:
        dataset = get_dataset(connection, name)
        model, settings = accepted_model(connection, dataset), active_settings(connection, dataset)
    if model is None or model.features != judges.description:
        raise HiveGuardError(f"{name} has no model that sees the images as its judges do")
    loaded = ready(ModelFolder(root), model, settings).model
    said = loaded.classes_[loaded.predict_proba(judges.rows).argmax(axis=1)]
    return float(np.mean(said == judges.truth))


def mean_curve(runs: list[list[Point]]) -> list[Point]:
    """The mean over runs of as many rounds."""
    return [
        Point(
            round(float(np.mean([point.labels for point in points]))),
            float(np.mean([point.accuracy for point in points])),
        )
        for points in zip(*runs, strict=True)
    ]


def labels_to_reach(curve: list[Point], accuracy: float) -> int | None:
    """The labels from which on a curve stays at or above an accuracy; None where it does not."""
    reached = None
    for point in curve:
        if point.accuracy < accuracy:
            reached = None
        elif reached is None:
            reached = point.labels
    return reached
