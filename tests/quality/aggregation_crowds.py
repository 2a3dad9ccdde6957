"""Crowds for the tests of aggregation: by hand, drawn, and from files of real votes; and a plain EM."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from hiveguard_pipeline.rules.columns import NO_LABEL
from hiveguard_pipeline.store.crowd import NO_DURATION, Crowd

Vote = tuple[str, str, str]
"""item, solver, answer"""

FLOOR = 1e-10


def crowd_of(
    votes: Iterable[Vote],
    gold: dict[str, str] | None = None,
    classes: Iterable[str] = (),
    items: Iterable[str] = (),
) -> Crowd:
    """A crowd as `read_crowd` gives it; `items` are there without votes too, `classes` come first."""
    rows, gold = list(votes), gold or {}
    names = sorted({row[0] for row in rows} | set(gold) | set(items))
    solvers = sorted({row[1] for row in rows})
    first = list(classes)
    words = first + sorted(({row[2] for row in rows} | set(gold.values())) - set(first))
    item_code, solver_code, word_code = (
        {name: code for code, name in enumerate(texts)} for texts in (names, solvers, words)
    )
    coded = [(item_code[item], solver_code[solver], word_code[word]) for item, solver, word in rows]
    table = np.array(coded, dtype=np.int64).reshape(-1, 3)
    order = np.argsort(table[:, 0], kind="stable")
    return Crowd(
        offsets=np.searchsorted(table[order, 0], np.arange(len(names) + 1)).astype(np.int64),
        solver=table[order, 1].astype(np.int32),
        answer=table[order, 2].astype(np.int32),
        vote_id=order.astype(np.int64) + 1,
        duration_ms=np.full(len(rows), NO_DURATION, dtype=np.int64),
        item_ids=pa.array(names, type=pa.string()),
        external_ids=pa.array(names, type=pa.string()),
        gold=np.array(
            [word_code[gold[name]] if name in gold else NO_LABEL for name in names], dtype=np.int32
        ),
        solvers=solvers,
        classes=words,
    )


def drawn_votes(seed: int, items: int, solvers: int, classes: int, each: int) -> tuple[list[Vote], list[str]]:
    """Votes of solvers whose accuracies differ, and the truth of each item."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, items)
    skill = random.uniform(0.4, 0.95, solvers)
    votes = []
    for item in range(items):
        for solver in random.choice(solvers, each, replace=False):
            right = random.random() < skill[solver]
            answer = truth[item] if right else random.integers(0, classes)
            votes.append((f"item-{item:03d}", f"solver-{solver:02d}", f"class-{answer}"))
    return votes, [f"class-{code}" for code in truth]


def real_votes(folder: Path) -> tuple[list[Vote], dict[str, str]]:
    """Votes (the first of a solver to an item counts) and truth of a folder of real votes."""
    with (folder / "votes.csv").open(newline="") as file:
        counted: dict[tuple[str, str], str] = {}
        for row in csv.DictReader(file):
            counted.setdefault((row["external_id"], row["solver_id"]), row["answer"])
    truth = {}
    if (folder / "truth.csv").exists():
        with (folder / "truth.csv").open(newline="") as file:
            truth = {row["external_id"]: row["label"] for row in csv.DictReader(file)}
    return [(item, solver, answer) for (item, solver), answer in counted.items()], truth


def votes_of(crowd: Crowd) -> list[Vote]:
    """A crowd's votes by name."""
    names = crowd.item_ids.to_pylist()
    return [
        (names[item], crowd.solvers[solver], crowd.classes[answer])
        for item, solver, answer in zip(crowd.item, crowd.solver, crowd.answer, strict=True)
    ]


def plain_em(
    crowd: Crowd, iterations: int, one_coin: bool, correct: float, wrong: float, classes_prior: float
) -> np.ndarray:
    """The same EM written out vote by vote over dense matrices; every item has votes."""
    items, solvers, classes = len(crowd.item_ids), len(crowd.solvers), len(crowd.classes)
    votes = list(zip(crowd.item.tolist(), crowd.solver.tolist(), crowd.answer.tolist(), strict=True))
    probability = np.zeros((items, classes))
    for item, _, answer in votes:
        probability[item, answer] += 1

    def clamp(found: np.ndarray) -> np.ndarray:
        found = found / found.sum(axis=1, keepdims=True)
        for item, known in enumerate(crowd.gold.tolist()):
            if known != NO_LABEL:
                found[item] = np.eye(classes)[known]
        return found

    probability = clamp(probability)
    given = {(solver, answer) for _, solver, answer in votes}
    in_play = sorted({answer for *_, answer in votes} | set(crowd.gold[crowd.gold != NO_LABEL].tolist()))
    for _ in range(iterations):
        prior = np.full(classes, 0.0)
        for k in in_play:
            share = (probability[:, k].sum() + classes_prior) / (items + classes_prior * len(in_play))
            prior[k] = max(share, FLOOR)
        counts = np.zeros((solvers, classes, classes))  # solver, answer, true class
        for item, solver, answer in votes:
            counts[solver, answer] += probability[item]
        error = np.ones((solvers, classes, classes))
        for solver in range(solvers):
            if one_coin:
                cast = sum(1 for _, who, _ in votes if who == solver)
                skill = (np.trace(counts[solver]) + correct) / (cast + correct + (len(in_play) - 1) * wrong)
                miss = (1 - skill) / max(len(in_play) - 1, 1)
                error[solver] = np.clip(np.where(np.eye(classes, dtype=bool), skill, miss), FLOOR, 1 - FLOOR)
                continue
            own = [answer for answer in range(classes) if (solver, answer) in given]
            for k in range(classes):
                whole = sum(max(counts[solver, answer, k], FLOOR) for answer in own)
                whole += correct + (len(in_play) - 1) * wrong
                for answer in own:
                    pseudo = correct if answer == k else wrong
                    error[solver, answer, k] = (max(counts[solver, answer, k], FLOOR) + pseudo) / whole
        with np.errstate(divide="ignore"):
            log = np.tile(np.log(prior), (items, 1))
        for item, solver, answer in votes:
            log[item] += np.log(error[solver, answer])
        probability = clamp(np.exp(log - log.max(axis=1, keepdims=True)))
    return probability
