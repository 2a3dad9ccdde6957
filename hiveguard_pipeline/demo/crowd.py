"""Who answers what: solvers of four kinds over items whose truth is known.

Good solvers are right 88 to 98 times in 100, careless ones guess a third of the time, adversarial ones
give a wrong answer on purpose most of the time, and robots always give the same one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Integers = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """A dataset of the demo."""

    name: str
    modality: str
    classes: tuple[str, ...]
    suffix: str
    texts: tuple[tuple[str, ...], ...] = ()
    """Of a scene of texts: what items of each class say."""


_REVIEWS = (
    (
        "The parcel came a week late, and the box was torn.",
        "It stopped working after two days. I want my money back.",
        "Nobody answered my three mails.",
        "The colour is not at all that of the picture.",
    ),
    (
        "The parcel came on Tuesday. The box was blue.",
        "It has two buttons and a cable of one metre.",
        "I ordered it in May and again in June.",
        "It is about as large as the old one.",
    ),
    (
        "The parcel came a day early, and all was well packed.",
        "It still works after two years. I would buy it again.",
        "A friendly answer within the hour.",
        "The colour is even finer than in the picture.",
    ),
)

SCENES = (
    Scene("demo-images", "image", ("bicycle", "bus", "crosswalk", "hydrant"), "jpg"),
    Scene("demo-texts", "text", ("negative", "neutral", "positive"), "txt", _REVIEWS),
    Scene("demo-sounds", "audio", ("bark", "meow", "siren", "speech", "thunder"), "wav"),
)

KINDS = ("good", "careless", "adversarial", "robot")
_SHARE_OF_SOLVERS = (0.72, 0.16, 0.06, 0.06)
_FEWEST_VOTES, _MOST_VOTES = 2, 24


@dataclass(frozen=True, slots=True)
class Crowd:
    """Votes in arrival order. item, solver and answer are positions; shapes (votes,).

    truth: the class of each item, shape (items,). kind: position in KINDS of each solver. duration_ms:
    how long each answer took.
    """

    scene: Scene
    truth: Integers
    kind: Integers
    item: Integers
    solver: Integers
    answer: Integers
    duration_ms: Integers


def simulate(scene: Scene, items: int, seed: int) -> Crowd:
    """A crowd over `items` items; the same for the same seed."""
    random = np.random.default_rng([seed, *scene.name.encode()])
    classes = len(scene.classes)
    solvers = max(60, items // 8)
    kind = random.choice(len(KINDS), solvers, p=_SHARE_OF_SOLVERS)
    truth = random.integers(0, classes, items)

    votes = random.integers(_FEWEST_VOTES, _MOST_VOTES + 1, items)
    chosen = np.argsort(random.random((items, solvers)), axis=1)[:, :_MOST_VOTES]
    kept = np.arange(_MOST_VOTES) < votes[:, None]
    item, place = np.nonzero(kept)
    solver = chosen[item, place]
    arrival = random.permutation(len(item))
    item, solver = item[arrival], solver[arrival]

    hard = random.random(items) < 0.06
    skill = np.select(
        [kind == 0, kind == 1, kind == 2], [random.uniform(0.88, 0.98, solvers), 0.67, 0.15], default=0.0
    )
    right = random.random(len(item)) < np.where(hard[item], skill[solver] * 0.6, skill[solver])
    other = (truth[item] + random.integers(1, classes, len(item))) % classes
    answer = np.where(right, truth[item], other)
    habit = random.integers(0, classes, solvers)
    answer = np.where(kind[solver] == 3, habit[solver], answer)
    slow = random.lognormal(8.4, 0.5, len(item))
    duration = np.where(kind[solver] == 3, random.normal(420, 15, len(item)), slow)
    return Crowd(scene, truth, kind, item, solver, answer, np.maximum(duration, 50).astype(np.int64))
