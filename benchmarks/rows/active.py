"""Active learning: the labels that each strategy needs, beside chance and scikit-activeml, and its speed."""

from dataclasses import dataclass, field, replace
from functools import partial
from statistics import mean
from typing import Any

from benchmarks.bench import QUICK, Bench, Rows
from benchmarks.measured.tasks import TEXTS
from benchmarks.processes import in_turn, measure
from benchmarks.report import Goal, Row, absent, times

SEEDS = 10
BATCH, LARGE_BATCH, TRAIN_RARELY, QUICK_LABELS = 10, 100, 500, 60
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""The models are small: threads only wait for one another."""
STRATEGIES = ("hybrid", "uncertainty", "uncertainty:entropy", "committee", "committee:kl", "diversity")
PEERS = {
    "uncertainty": "UncertaintySampling",
    "committee": "QueryByCommittee",
    "diversity": "CoreSet",
    "hybrid": "Badge",
    "hybrid ": "TypiClust",
}
"""scikit-activeml's counterpart of each of ours, or the nearest it has."""


@dataclass(frozen=True)
class Goals:
    """One task: the accuracy to reach, a higher one for the note, and what each strategy is held against."""

    task: str
    accuracy: float
    higher: float
    upto: int
    shares: dict[str, float] = field(default_factory=dict)


TASKS = (
    Goals("digits", 0.95, 0.97, 320, {"hybrid": 0.55, "uncertainty": 0.60}),
    Goals("tumours", 0.95, 0.96, 200, {"hybrid": 0.70}),
    Goals("newswire", 0.90, 0.95, 400, {"hybrid": 0.70}),
)


@dataclass(frozen=True)
class Curve:
    """Mean accuracy over the seeds at each number of labels."""

    labels: list[int]
    accuracy: list[float]

    def reaching(self, accuracy: float) -> float | None:
        """The labels at which the mean reaches an accuracy; None if it does not."""
        pairs = zip(self.labels, self.accuracy, strict=True)
        return next((float(count) for count, found in pairs if found >= accuracy), None)


def label_rows(bench: Bench) -> Rows:
    """Labels to reach an accuracy, in batches of ten; then where strategies lose."""
    quick = bench.sizes is QUICK
    seeds = 1 if quick else SEEDS
    for goals in (replace(TASKS[0], accuracy=0.7, higher=0.8, upto=QUICK_LABELS),) if quick else TASKS:
        if goals.task == "newswire" and not TEXTS.exists():
            yield absent("active", "labels to learn newswire", "`make peers` brings the texts", times(0.70))
            continue
        learnt = partial(_curve, task=goals.task, batch=BATCH, upto=goals.upto, seeds=seeds)
        chance = learnt("ours", "random")
        ours = {name: learnt("ours", name) for name in STRATEGIES}
        for name, found in ours.items():
            share = goals.shares.get(name)
            yield _row(goals, name, found, "random", chance, goal=times(share) if share else None)
        for name, peer in PEERS.items():
            theirs = learnt("skactiveml", peer)
            yield _row(goals, name.strip(), ours[name.strip()], f"scikit-activeml {peer}", theirs)
    if not quick:
        yield from _losing_rows(seeds)


def speed_rows(bench: Bench) -> Rows:
    """Seconds and memory of one selection."""
    rows = (bench.sizes.votes, bench.sizes.votes // 20)
    for work, count, text in (
        ("margin", rows[0], f"the 1,000 least sure of {rows[0]:,} x 10 probabilities"),
        ("k_centre", rows[1], f"k-centre, 100 of {rows[1]:,} x 64, 2,000 labelled"),
    ):
        sides = [partial(measure, "selection_speed", who, work, str(count)) for who in ("ours", "skactiveml")]
        ours, theirs = in_turn(bench.rounds, *sides)
        same = {side["picks"] for side in ours + theirs}
        yield Row(
            "selection",
            text,
            [side["seconds"] for side in ours],
            "scikit-activeml",
            [side["seconds"] for side in theirs],
            Goal("under", 1.0) if work == "margin" else None,
            ours_mb=[side["extra_mb"] for side in ours],
            beside_mb=[side["extra_mb"] for side in theirs],
            also=len(same) == 1,
            note="same picks; extra memory" if len(same) == 1 else "other picks",
        )


def _losing_rows(seeds: int) -> Rows:
    """Large batches, and a model that is trained too rarely."""
    goals = Goals("digits", 0.95, 0.97, 420)
    names = ("hybrid", "uncertainty", "committee", "diversity")
    large = partial(_curve, task="digits", batch=LARGE_BATCH, upto=goals.upto, seeds=seeds)
    chance = large("ours", "random")
    for name in names:
        yield _row(goals, name, large("ours", name), "random", chance, batch=LARGE_BATCH)
    rarely = partial(_curve, task="digits", batch=LARGE_BATCH, upto=520, seeds=seeds, train=TRAIN_RARELY)
    chance = rarely("ours", "random")
    for name in ("hybrid", "uncertainty", "diversity"):  # a committee is trained when it is asked
        yield Row(
            "active",
            f"accuracy on digits with 520 labels, {name}, 500 of them picked by the first model",
            [100 * rarely("ours", name).accuracy[-1]],
            "random",
            [100 * chance.accuracy[-1]],
            unit="%",
        )


def _row(
    goals: Goals,
    name: str,
    ours: Curve,
    peer: str,
    theirs: Curve,
    *,
    goal: Goal | None = None,
    batch: int = BATCH,
) -> Row:
    reached = [curve.reaching(goals.accuracy) for curve in (ours, theirs)]
    higher = [_text(curve.reaching(goals.higher), goals.upto) for curve in (ours, theirs)]
    missing = peer if reached[1] is not None else f"{peer}: more than {goals.upto} labels"
    return Row(
        "active",
        f"labels to {goals.accuracy:.0%} on {goals.task}, {name}, batches of {batch}",
        [] if reached[0] is None else [reached[0]],
        missing,
        [] if reached[1] is None else [reached[1]],
        goal,
        unit="labels",
        note=(f"more than {goals.upto}; " if reached[0] is None else "")
        + f"{goals.higher:.0%}: {higher[0]} beside {higher[1]}",
    )


def _text(labels: float | None, upto: int) -> str:
    return f"more than {upto}" if labels is None else f"{labels:.0f}"


def _curve(who: str, strategy: str, *, task: str, batch: int, upto: int, seeds: int, train: int = 0) -> Curve:
    arguments = (who, task, strategy, str(batch), str(upto), str(seeds), str(train))
    found: dict[str, Any] = measure("active", *arguments, environment=ONE_THREAD)
    return Curve(found["labels"], [mean(at) for at in zip(*found["accuracy"], strict=True)])
